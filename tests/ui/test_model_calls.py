"""The calls of the models view and of the question before a download."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotators.runtime import Runtime
from cnet_app.jobs.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.ui.calls.context import Context, Visitor
from cnet_app.ui.calls.jobs import describe_job
from cnet_app.ui.calls.models import catalogue, describe_rows, question
from models.catalog import entry
from tests.jobs.fake_engine import request

VISITOR = Visitor("test")


@pytest.fixture
def context(runner: Runner, tmp_path: Path) -> Context:
    return Context(
        runner._settings, runner, Maps(run_here(Runtime())), Assets(tmp_path), lambda _: False, lambda *_: ""
    )


def test_the_question_names_files_folder_and_terms_of_every_row(context: Context) -> None:
    missing = question(context, VISITOR, {"ids": ["sd15"]})["missing"]
    (item,) = missing["items"]
    assert missing["ids"] == ["sd15"]
    assert item["title"] == "Stable Diffusion 1.5" and item["licence"] == "CreativeML OpenRAIL-M"
    assert item["terms"].startswith("https://") and item["page"].startswith("https://")
    assert item["folder"] == "models/checkpoints/sd15"
    assert set(item["files"]) <= {file.name for file in entry("sd15").files} and item["files"]


def test_rows_may_come_from_a_generator_and_what_ships_is_left_out() -> None:
    described = describe_rows(entry(id) for id in ("embedded", "taesd"))
    assert described["ids"] == ["taesd"]
    assert [item["title"] for item in described["items"]] == [entry("taesd").title]


def test_the_catalogue_gives_every_model_a_kind_and_tells_where_own_files_go(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CNET_MODELS_DIR", raising=False)
    answer = catalogue(context, VISITOR, {})
    rows = {row["id"]: row for row in answer["models"]}
    assert rows["sd15"]["kind_title"] == "Base model" and rows["sd15"]["family_title"] == "SD 1.5"
    assert rows["embedded"]["here"] and all(row["kind_title"] for row in answer["models"])
    assert "models/loras" in [row["folder"] for row in answer["folders"]]
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    assert str(tmp_path / "loras") in [row["folder"] for row in catalogue(context, VISITOR, {})["folders"]]


def test_a_job_tells_its_size(runner: Runner) -> None:
    id = runner.submit(request("a job with a size"), "test")
    assert [describe_job(runner.state(id))[side] for side in ("width", "height")] == [64, 64]
