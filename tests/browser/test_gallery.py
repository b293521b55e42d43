"""Finished pictures and jobs: nothing is lost by a reload, and every picture can be used again."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from annotators.sources.images import load_image
from cnet_app.jobs.library.picture_rows import insert_picture
from cnet_app.jobs.store import Store
from cnet_app.request.recipe import save_picture
from tests.browser.conftest import FAKE, running, visitor
from tests.browser.driver import LONG, SHORT
from tests.jobs.fake_engine import fake_picture, request
from tests.request.foreign.pictures import A1111, COMFY_SIMPLE, png

pytestmark = pytest.mark.browser

APP = "document.querySelector('.studio').app"
PASTE = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true }));
}"""
MANY = 10_000
IN_THE_MIDDLE = """() => [...document.querySelectorAll(".tile[aria-label^='picture ']")]
  .map((tile) => Number(tile.getAttribute("aria-posinset")))
  .find((place) => place > 4900 && place < 5100)"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(FAKE, tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def studio(browser: Browser, served: str) -> Iterator[Page]:
    with visitor(browser, served, 1366, 768) as context:
        yield opened(context.new_page(), served)


def opened(page: Page, url: str) -> Page:
    page.set_default_timeout(SHORT)
    page.goto(url)
    page.wait_for_selector(".studio:not([aria-busy])")
    return page


def reload(page: Page) -> None:
    page.reload()
    page.wait_for_selector(".studio:not([aria-busy])")


def paste(page: Page, path: Path) -> None:
    page.evaluate(PASTE, [base64.b64encode(path.read_bytes()).decode(), path.name])


def take_photo(page: Page, path: Path) -> None:
    paste(page, path)
    page.wait_for_function(f"{APP}.store.state.draft.photo && {APP}.store.state.frame")


def edit(page: Page, **changes: Any) -> None:
    page.evaluate(f"(changes) => {APP}.drafts.edit(changes)", changes)


def generate(page: Page, prompt: str) -> None:
    page.locator("#prompt").fill(prompt)
    page.locator("#generate").click()


def make(page: Page, prompt: str) -> None:
    """Make one picture and wait for its end."""
    before = shown_path(page)
    generate(page, prompt)
    page.wait_for_function(
        f"(before) => ({APP}.store.state.shown?.path ?? '') !== before && !{APP}.store.state.jobs.length", arg=before
    )


def shown_path(page: Page) -> str:
    return page.evaluate(f"{APP}.store.state.shown?.path ?? ''")


def pictures(page: Page) -> list[str]:
    """Prompts of the filmstrip."""
    return page.evaluate(f"{APP}.store.state.pictures.map(({{ prompt }}) => prompt)")


def queued(page: Page) -> list[str]:
    return page.evaluate(f"{APP}.store.state.jobs.map(({{ prompt }}) => prompt)")


def long_job(page: Page, prompt: str) -> None:
    edit(page, count=8, settings={"num_inference_steps": 150})
    generate(page, prompt)
    page.wait_for_function(f"{APP}.store.state.running?.step > 0")


def press_while_its_text_changes(page: Page, button: Locator) -> None:
    """Click a button that shows progress, and hold the mouse down until it shows another."""
    box = button.locator("span").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = button.inner_text()
    page.mouse.down()
    expect(button).not_to_have_text(before)
    page.mouse.up()


def test_a_reload_finds_the_running_job_which_is_cancelled_and_continued(studio: Page) -> None:
    long_job(studio, "a castle")
    studio.wait_for_function(f"{APP}.store.state.pictures.length > 0")
    reload(studio)
    expect(studio.locator(".strip-job")).to_be_visible()
    expect(studio.locator(".strip-picture:not(.strip-job)").first).to_be_visible()
    assert "%" in studio.title()
    press_while_its_text_changes(studio, studio.locator("#queue"))
    studio.locator(".queue-cancel").click()
    expect(studio.locator(".queue-empty")).to_be_visible()
    made = len(pictures(studio))
    assert 1 <= made < 8
    expect(studio.locator(".queue-rest .queue-state")).to_contain_text("of 8 missing")
    studio.locator(".queue-continue").click()
    studio.wait_for_function(f"{APP}.store.state.pictures.length === 8", timeout=LONG)
    expect(studio.locator(".queue-continue")).to_have_count(0)
    seeds = studio.evaluate(f"{APP}.store.state.pictures.map(({{ seed }}) => seed)")
    assert sorted(seeds) == list(range(min(seeds), min(seeds) + 8))


def test_waiting_jobs_are_reordered_and_cancelled_together(studio: Page) -> None:
    long_job(studio, "first")
    edit(studio, count=1, settings={})
    for prompt in ("second", "third"):
        generate(studio, prompt)
        studio.wait_for_function(f"(prompt) => {APP}.store.state.jobs.some((job) => job.prompt === prompt)", arg=prompt)
    studio.locator("#queue").click()
    studio.locator(".queue-list li", has_text="third").locator(".queue-up").click()
    studio.wait_for_function(f"{APP}.store.state.jobs[1].prompt === 'third'")
    assert queued(studio) == ["first", "third", "second"]
    studio.keyboard.press("Escape")
    expect(studio.locator(".queue-panel")).to_be_hidden()
    assert len(queued(studio)) == 3
    studio.locator("#queue").click()
    studio.locator("#cancel-all").click()
    studio.wait_for_function(f"!{APP}.store.state.jobs.length")


def test_a_deleted_picture_returns_and_arrow_keys_go_through_the_filmstrip(studio: Page) -> None:
    for prompt in ("one", "two", "three"):
        make(studio, prompt)
    assert pictures(studio)[:3] == ["three", "two", "one"]
    studio.locator(".strip-picture").first.focus()
    studio.keyboard.press("ArrowRight")
    assert studio.evaluate(f"{APP}.store.state.shown.prompt") == "two"
    studio.locator("#picture-delete").click()
    studio.wait_for_function(f"{APP}.store.state.pictures[1].prompt === 'one'")
    assert studio.evaluate(f"{APP}.store.state.shown.prompt") == "one"
    studio.locator(".undo-offer .undo").click()
    studio.wait_for_function(f"{APP}.store.state.pictures[1].prompt === 'two'")
    assert pictures(studio)[:3] == ["three", "two", "one"]
    reload(studio)
    studio.wait_for_function(f"{APP}.store.state.pictures.length === 3")  # a new browser began with the machine's


def test_all_settings_of_a_picture_make_it_again_and_where_it_obeyed_is_shown(studio: Page, photo: Path) -> None:
    take_photo(studio, photo)
    studio.locator("#tab-canny").click()
    make(studio, "an astronaut")
    first = shown_path(studio)
    expect(studio.locator(".caption-about")).to_contain_text("followed the edges", timeout=LONG)
    studio.locator(".where").click()
    expect(studio.locator(".legend li")).to_have_count(3)
    before = studio.evaluate(f"JSON.stringify({APP}.store.state.draft)")
    edit(
        studio,
        prompt="something else",
        layers=[],
        photo=None,
        size={"mode": "custom", "width": 128, "height": 64, "fit": "crop"},
    )
    studio.get_by_role("button", name="All actions of the picture").click()
    studio.get_by_role("menuitem", name="Use all settings").click()
    studio.wait_for_function(f"{APP}.store.state.draft.layers.length === 1 && {APP}.store.state.frame.height === 256")
    assert studio.locator("#prompt").input_value() == "an astronaut"
    expect(studio.locator(".layer-lines")).to_contain_text("From a picture's recipe: map by Canny (low threshold 100")
    expect(studio.locator(".restored")).to_be_hidden()
    studio.locator("#generate").click()
    studio.wait_for_function(f"(path) => {APP}.store.state.shown.path !== path", arg=first)
    assert np.array_equal(load_image(Path(first)), load_image(Path(shown_path(studio))))
    studio.evaluate(f"{APP}.drafts.undo()")
    studio.evaluate(f"{APP}.drafts.undo()")
    assert studio.evaluate(f"JSON.stringify({APP}.store.state.draft)") == before


def test_a_picture_of_another_program_brings_its_settings(studio: Page, tmp_path: Path) -> None:
    paste(studio, png(tmp_path / "from elsewhere.png", parameters=A1111))
    expect(studio.locator(".ask")).to_contain_text("AUTOMATIC1111")
    expect(studio.get_by_role("button", name="Use as photo")).to_be_focused()
    studio.get_by_role("button", name="Use all settings").click()
    expect(studio.locator("#prompt")).to_have_value(re.compile("^a castle on a hill, .*wide view$", re.DOTALL))
    expect(studio.locator("#seed")).to_have_value("1234567890")
    left_out = studio.locator(".restored")
    expect(left_out).to_contain_text("From AUTOMATIC1111")
    expect(left_out.get_by_role("listitem").filter(has_text="ControlNet Canny")).to_have_count(1)
    studio.wait_for_timeout(600)
    reload(studio)
    expect(left_out).to_contain_text("ControlNet Canny")
    left_out.get_by_role("button", name="Dismiss").click()
    expect(left_out).to_be_hidden()
    paste(studio, png(tmp_path / "again.png", parameters=A1111))
    studio.wait_for_selector(".ask")
    studio.keyboard.press("Enter")
    studio.wait_for_function(f"{APP}.store.state.draft.photo?.name === 'again.png'")


def test_a_picture_of_comfyui_fills_in_what_its_graph_holds(studio: Page, tmp_path: Path) -> None:
    paste(studio, png(tmp_path / "graph.png", prompt=json.dumps(COMFY_SIMPLE)))
    expect(studio.locator(".ask")).to_contain_text("ComfyUI")
    studio.get_by_role("button", name="Use all settings").click()
    expect(studio.locator("#prompt")).to_have_value("a lighthouse,\nstorm")
    expect(studio.locator("#seed")).to_have_value("42")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose library has very many pictures, on a few days; all but the newest share files."""
    folder = tmp_path_factory.mktemp("many")
    store = Store(folder / "history.sqlite3")
    files = [save_picture(folder, fake_picture(wanted, 3), wanted, 0).name for wanted in map(_of_seed, range(24))]
    shared = {
        "job": "",
        "session": "",
        "kind": "generation",
        "image_index": 0,
        "width": 64,
        "height": 64,
        "base": "embedded",
    }
    with store.database.writing() as connection:
        for number in range(MANY):
            own = {
                "path": files[number % 4 if number < MANY - 20 else number - MANY],
                "created": 1.7e9 + 40 * number,
                "prompt": f"picture {number}",
                "seed": number,
            }
            insert_picture(connection, shared | own | {"conditions": "canny", "negative_prompt": ""})
    store.close()
    with running(FAKE, folder, tmp_path_factory.mktemp("server")) as url:
        yield url


def _of_seed(seed: int) -> Any:
    return request(f"file {seed}", seed=seed)


def test_ten_thousand_pictures_scroll(browser: Browser, crowded: str) -> None:
    with visitor(browser, crowded, 1366, 768) as context:
        page = opened(context.new_page(), crowded)
        page.locator("#open-library").click()
        expect(page.locator(".library-count")).to_have_text("10,000 pictures")
        expect(page.locator(".tile").first).to_have_attribute("aria-label", f"picture {MANY - 1}, seed {MANY - 1}")
        page.locator(".tile").first.click()
        page.keyboard.press("End")
        last = page.locator(f".tile[aria-posinset='{MANY}']")
        expect(last).to_have_attribute("aria-label", "picture 0, seed 0")
        expect(last).to_be_focused()
        page.locator(".grid-scroll").evaluate("(scroll) => { scroll.scrollTop = scroll.scrollHeight / 2; }")
        place = page.wait_for_function(IN_THE_MIDDLE).json_value()
        expect(page.locator(f".tile[aria-posinset='{place}']")).to_have_attribute(
            "aria-label", f"picture {MANY - place}, seed {MANY - place}"
        )
        expect(page.locator(f".tile[aria-posinset='{place}'] img")).to_have_js_property("naturalWidth", 64)
        assert page.evaluate("document.querySelectorAll('*').length") < 1200
        page.locator("#library-text").fill("4321")
        expect(page.locator(".library-count")).to_have_text("1 picture")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("dialog.library")).to_be_hidden()


def test_several_pictures_are_marked_deleted_and_restored_in_the_library(browser: Browser, crowded: str) -> None:
    with visitor(browser, crowded, 1366, 768) as context:
        page = opened(context.new_page(), crowded)
        page.locator("#open-library").click()
        page.locator(".tile").nth(2).click()
        page.locator(".tile").nth(5).click(modifiers=["Shift"])
        expect(page.locator(".library-detail h3")).to_have_text("4 pictures chosen")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        expect(page.locator(".library-detail h3")).to_have_text("5 pictures chosen")
        assert page.locator(".library-detail").get_by_role("button", name="Use all settings").count() == 0
        with page.expect_download() as packed:
            page.locator("[data-action=zip]").click()
        assert packed.value.suggested_filename == "pictures.zip"
        page.locator("[data-action=favourite]").click()
        expect(page.locator(".tile-mark:visible")).to_have_count(5)
        page.locator("[data-action=delete]").click()
        expect(page.locator(".library-count")).to_have_text(f"{MANY - 5:,} pictures")
        expect(page.locator(".library-detail")).to_be_hidden()  # nothing can be done with what is gone
        page.locator(".undo-offer .undo").click()
        expect(page.locator(".library-count")).to_have_text(f"{MANY:,} pictures")
