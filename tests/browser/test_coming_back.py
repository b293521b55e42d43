"""Nothing is lost when the server goes away; and the page without a pointer, and under a finger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from cnet_app.request.recipe import read_request
from tests.browser.conftest import FAKE, free_port, open_page, running, visit, visitor
from tests.browser.driver import LONG, StudioPage

pytestmark = pytest.mark.browser


def test_a_server_that_dies_and_comes_back_finds_the_work_as_it_was(
    browser: Browser, photo: Path, tmp_path: Path
) -> None:
    port = free_port()
    with visitor(browser, f"http://127.0.0.1:{port}/", 1280, 900) as context:
        with running(FAKE, tmp_path / "outputs", tmp_path / "first", port) as url:
            studio = open_page(context.new_page(), url)
            studio.choose_photo(photo)
            studio.open_tab("canny")
            studio.at("prompt").fill("words that stay")
            studio.make()
        studio.wait_state("state.engine.state === 'away'", LONG)
        expect(studio.page.locator(".engine-line")).to_contain_text("does not answer")
        studio.at("prompt").fill("words that were written meanwhile")
        with running(FAKE, tmp_path / "outputs", tmp_path / "second", port):  # without the uploads of the first
            studio.wait_state("state.engine.state === 'ready'", LONG)
            studio.set_layer(parameters={"high_threshold": 150})
            studio.wait_map()
            request = read_request(studio.make())
            assert request.prompt == "words that were written meanwhile"
            assert request.units[0].annotator_parameters["high_threshold"] == 150
            assert len(studio.state("pictures")) == 2


def test_from_nothing_to_a_drawn_picture_with_the_keyboard_alone(browser: Browser, fake_site: str) -> None:
    for studio in visit(browser, fake_site, width=1280, height=900):
        _draw_by_keyboard(studio)


def _draw_by_keyboard(studio: StudioPage) -> None:
    page = studio.page
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "prompt":
            break
    page.keyboard.type("a poster in ocean colours")
    studio.at("tab-canny").focus()
    page.keyboard.press("s")  # no key of the page while a tab has the focus
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    assert studio.state("draft.condition") == "scribble"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    studio.wait_state("state.tool === 'draw'")
    page.keyboard.press("ArrowRight")  # brings the crosshair to the middle
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    studio.wait_map()
    studio.shorten()
    (made,) = studio.pictures_of(lambda: page.keyboard.press("Control+Enter"))
    (unit,) = read_request(made).units
    lit = np.flatnonzero(unit.pixels[..., 0].max(axis=0) > 128)
    assert lit[-1] - lit[0] >= 90


def test_a_phone_under_a_finger(browser: Browser, fake_site: str, photo: Path) -> None:
    for studio in visit(browser, fake_site, width=390, height=844, phone=True):
        page = studio.page
        studio.choose_photo(photo)
        page.locator("[data-opens=controls]").tap()
        studio.at("tab-tile").tap()
        studio.wait_map()
        expect(page.locator(".layer.is-open")).to_be_visible()
        studio.shorten()
        button = studio.at("generate").bounding_box()
        assert button and button["height"] >= 44 and button["y"] + button["height"] <= 844
        studio.pictures_of(studio.at("generate").tap)
        page.locator("[data-opens=pictures]").tap()
        expect(page.locator(".filmstrip")).to_be_visible()
        small = page.locator(".studio button:visible").evaluate_all(
            "(all) => all.filter((one) => { const { width, height } = one.getBoundingClientRect();"
            " return width && Math.min(width, height) < 24; }).map((one) => one.outerHTML.slice(0, 90))"
        )
        assert not small
        cut = page.locator(".bar button:visible").evaluate_all(
            "(all) => all.filter((one) => one.getBoundingClientRect().right > 390).map((one) => one.id)"
        )
        assert not cut
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_new_training_that_is_begun_while_the_runs_load_stays(browser: Browser, fake_site: str) -> None:
    for studio in visit(browser, fake_site, width=1366, height=768):
        page = studio.page
        page.evaluate(
            """async () => {
              const { app } = document.querySelector(".studio");
              const call = app.server.call.bind(app.server);
              const wait = (ms) => new Promise((done) => setTimeout(done, ms));
              app.server.call = async (name, values) => { if (name === "trainings") await wait(500); return call(name, values); };
              app.openTrain();
              while (!document.querySelector("#train-new")) await wait(5);
              document.querySelector("#train-new").click();
              document.querySelector(".new-training").dataset.first = "";
            }"""
        )
        page.locator(".train-list li").first.wait_for()
        page.wait_for_timeout(300)
        expect(page.locator(".new-training[data-first]")).to_be_visible()
