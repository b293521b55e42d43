"""Nothing is downloaded before the page has asked, and an engine that is down is shown with a way to start it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
import pytest

from cnet_app.jobs.runner import Runner
from cnet_app.ui.consent import consent_html
from models.catalog import entry
from tests.jobs.fake_engine import FakeEngine
from tests.ui.handlers import by_id, call, find, listeners, named


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CNET_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def engine_of(runner: Runner) -> FakeEngine:
    engine = runner._engine
    assert isinstance(engine, FakeEngine)
    return engine


def test_choosing_an_annotator_without_its_files_asks_first(built: gr.Blocks) -> None:
    (ask,) = [fn for fn in listeners(built, "openpose-annotator", "input") if fn.name == "_ask_download"]
    asked = by_id(call(ask, {"openpose-annotator": "dwpose"}))
    assert asked["consent"].visible
    text = asked["consent-text"]
    assert "DWPose" in text and "351 MB" in text and "Apache-2.0" in text and "huggingface.co" in text
    assert call(ask, {"openpose-annotator": "openpose_embedded"}) == gr.skip()


def test_generating_without_the_files_asks_and_submits_nothing(
    built: gr.Blocks, runner: Runner, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[Any] = []
    monkeypatch.setattr(runner, "submit", lambda *given: submitted.append(given))
    (generate,) = listeners(built, "canny-go", "click")
    values = {"canny-photo": photo, "model-base": "sd15"}
    updates = [by_id(one) for one in call(generate, values, gr.Request(session_hash="me"))]
    assert updates[-1]["consent"].visible
    assert "Stable Diffusion 1.5" in updates[-1]["consent-text"]
    assert "licence" in updates[-1]["consent-text"]
    assert not submitted


def test_a_yes_downloads_and_closes_the_question(built: gr.Blocks, runner: Runner) -> None:
    start, follow = named(built, "_start"), next(fn for fn in built.fns.values() if fn.name == "_follow")
    (ids,) = [c for c in start.inputs if isinstance(c, gr.State)]
    started = call(start, {ids: ("sd15",)}, gr.Request(session_hash="me"))
    (job,) = follow.inputs

    async def last() -> dict[str, Any]:
        updates: dict[str, Any] = {}
        async for one in call(follow, {job: started[job]}):
            updates |= by_id(one)
        return updates

    ended = asyncio.run(last())
    assert ended["consent"].visible is False
    assert engine_of(runner).downloads == ["sd15"]


def test_a_better_base_is_offered_where_the_engine_names_one(built: gr.Blocks, runner: Runner) -> None:
    (ask,) = listeners(built, "base-offer", "click")
    runner.start()
    assert ask.fn() == gr.skip()
    engine_of(runner).state = replace(runner.engine_status(), base_offer="sd15")
    asked = by_id(ask.fn())
    assert asked["consent"].visible and "Stable Diffusion 1.5" in asked["consent-text"]
    runner.start()


def test_an_engine_that_is_down_is_shown_with_its_reason_and_a_button(built: gr.Blocks, runner: Runner) -> None:
    look = named(built, "_look")
    runner.start()
    call(look, {})
    engine_of(runner).go_down("The engine stopped 3 times within a minute.")
    shown = by_id(call(look, {}))
    assert shown["engine"].visible and shown["engine-start"].visible
    assert "3 times within a minute" in shown["engine-text"]
    (start,) = listeners(built, "engine-start", "click")
    start.fn()
    assert runner.engine_status().state == "ready"
    assert find(built, "engine") is not None


def test_the_question_lists_each_model_once_with_its_terms_and_their_sum() -> None:
    rows = [entry("sd15"), entry("sd15"), entry("dwpose")]
    text = consent_html(rows)
    assert text.count("<li>") == text.count("Files and terms") == 2
    for row in rows[1:]:
        assert escape(row.title) in text
        assert f"licence {escape(row.licence)}." in text
    assert text.index(escape(rows[0].title)) < text.index(escape(rows[2].title))
