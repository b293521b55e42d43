"""First steps: from nothing to a picture, with what a newcomer sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.recipe import read_request
from tests.browser.conftest import visit
from tests.browser.driver import REAL, StudioPage

pytestmark = pytest.mark.browser
MAX_NODES = 1200
MAX_DOCUMENT = 120_000
"""Bytes, without compression."""


def test_an_example_makes_a_picture_with_one_click(studio: StudioPage) -> None:
    (made,) = studio.pictures_of(studio.at("example-lineart").click)
    request = read_request(made)
    assert [unit.condition for unit in request.units] == ["lineart"]
    assert request.prompt == next(row.example_prompt for row in CONDITIONS if row.id == "lineart")
    assert studio.state("view") == "result"


def test_one_photo_fills_every_tab(studio: StudioPage, photo: Path) -> None:
    studio.choose_photo(photo)
    studio.wait_state("Object.keys(state.thumbs).length === state.tables.conditions.length")
    thumbs = studio.state("thumbs")
    assert all(
        thumbs[row.id].get("image") or thumbs[row.id].get("missing") or thumbs[row.id].get("error")
        for row in CONDITIONS
    )
    assert sum(bool(thumb.get("image")) for thumb in thumbs.values()) >= (12 if REAL else 9)
    for id in ("canny", "depth" if REAL else "tile"):
        studio.open_tab(id)
        assert [layer["condition"] for layer in studio.state("draft.layers")] == [id]


def test_text_alone_makes_a_picture(studio: StudioPage) -> None:
    studio.at("prompt").fill("a poster in ocean colours")
    studio.shorten()
    request = read_request(studio.make())
    assert (request.prompt, request.units) == ("a poster in ocean colours", ())


def test_the_first_screen_is_small_and_whole(browser: Browser, url: str) -> None:
    for studio in visit(browser, url, width=1366, height=768):
        page = studio.page
        assert page.evaluate("document.querySelectorAll('*').length") <= MAX_NODES
        assert page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]") == [
            768,
            1366,
        ]
        assert len(page.request.get(url).body()) <= MAX_DOCUMENT
        canvas = page.locator(".stage-canvas").bounding_box()
        assert canvas and canvas["width"] >= 0.6 * 1366
        for id in ("prompt", "generate"):
            box = studio.at(id).bounding_box()
            assert box and box["y"] + box["height"] <= 768


def test_the_tabs_are_one_stop_and_answer_arrow_keys(studio: StudioPage) -> None:
    tabs = studio.page.get_by_role("tab")
    assert tabs.evaluate_all("(tabs) => tabs.filter((tab) => tab.tabIndex === 0).length") == 1
    studio.at("tab-canny").focus()
    studio.page.keyboard.press("ArrowDown")
    assert studio.state("draft.condition") == CONDITIONS[1].id
    studio.page.keyboard.press("End")
    assert studio.state("draft.condition") == CONDITIONS[-1].id


def test_generate_is_within_twelve_tab_stops(studio: StudioPage) -> None:
    studio.page.evaluate("document.activeElement.blur()")
    focused: list[str] = []
    while "generate" not in focused and len(focused) < 12:
        studio.page.keyboard.press("Tab")
        focused.append(studio.page.evaluate("document.activeElement.id"))
    assert focused[-1] == "generate", focused


def test_work_survives_a_reload(studio: StudioPage, photo: Path) -> None:
    studio.choose_photo(photo)
    studio.open_tab("canny")
    studio.at("prompt").fill("words that stay")
    studio.page.wait_for_timeout(600)  # the draft is saved a moment after the last change
    studio.page.reload()
    studio.wait_ready()
    studio.wait_map()
    assert studio.state("draft.prompt") == "words that stay"
    assert [layer["condition"] for layer in studio.state("draft.layers")] == ["canny"]
