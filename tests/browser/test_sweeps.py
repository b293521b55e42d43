"""Grids, batches and wildcards from the page: dialog, progress, reload, resume, results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cnet_app.request.recipe import read_request
from tests.browser.conftest import FAKE, running, visit
from tests.browser.driver import LONG, READY, StudioPage

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over the fake engine, with a file of wildcards."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "models" / "wildcards").mkdir(parents=True)
    (folder / "models" / "wildcards" / "colour.txt").write_text("red\ngreen\nblue\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNET_MODELS_DIR", str(folder / "models"))
        with running(FAKE, folder / "outputs", folder) as url:
            yield url


@pytest.fixture
def studio(browser: Browser, served: str) -> Iterator[StudioPage]:
    yield from visit(browser, served, width=1366, height=768)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos, a caption and a table."""
    for number in (1, 2, 10):
        pixels = np.full((64, 96, 3), 30, np.uint8)
        pixels[10:40, 6 * number : 6 * number + 20] = (220, 180, 60)
        Image.fromarray(pixels).save(tmp_path / f"p{number}.png")
    (tmp_path / "notes.pdf").write_bytes(b"no picture")
    (tmp_path / "prompts.csv").write_text("file,prompt\np10,a hat\np1.png,\np2.png,a box\n")
    return tmp_path


def open_way(page: Page, name: str) -> None:
    page.get_by_role("button", name="More ways to generate").click()
    page.get_by_role("menuitem", name=name).click()


def wait_end(studio: StudioPage, status: str = "done") -> None:
    studio.wait_state(f"state.sweeps[0]?.status === '{status}'", LONG)


def requests_of(studio: StudioPage) -> dict[str, str]:
    """The prompt of each picture in the folder of the sweep that is listed first."""
    made = Path(studio.state("sweeps[0].folder"))
    return {path.name: read_request(path).prompt for path in made.glob("*.png")}


def test_a_grid_goes_from_the_dialog_to_its_picture_and_page(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    studio.shorten(steps=2)
    page.locator("#prompt").fill("a red ball")
    open_way(page, "Grid")
    dialog = page.get_by_role("dialog", name="Grid")
    dialog.get_by_label("Columns: setting").select_option(label="Control strength")
    dialog.get_by_label("Values of Canny: Control strength").fill("0.5, 3")
    expect(dialog.get_by_role("alert")).to_contain_text("“Canny: Control strength” is 3, but it must be from 0 to 2")
    dialog.get_by_label("Values of Canny: Control strength").fill("0.5-1:0.5")
    dialog.get_by_label("Rows: setting").select_option("prompt")
    dialog.get_by_label("Replace").fill("red")
    dialog.get_by_label("Prompt: texts, one a line").fill("green\nblue, light")
    expect(dialog.get_by_text("2 × 2 = 4 pictures")).to_be_visible()
    dialog.get_by_role("button", name="Start the grid").click()
    expect(dialog).to_have_count(0)
    wait_end(studio)
    row = page.get_by_role("list", name="Grids and batches").get_by_role("listitem")
    expect(row).to_contain_text("4 of 4")
    manifest = json.loads(Path(studio.state("sweeps[0].manifest")).read_text())
    assert manifest["plan"]["titles"] == ["Canny: Control strength", "Prompt, red becomes"]
    page.reload()
    page.wait_for_selector(READY)
    row.get_by_role("button", name="Show: Canny: Control strength, Prompt").click()
    result = page.get_by_role("dialog")
    result.get_by_role("img", name="Grid of 4 pictures").wait_for()
    page.wait_for_function("document.querySelector('.sweep-grid img').naturalWidth > 500")
    with page.context.expect_page() as opened:
        result.get_by_role("link", name="Open as a page").click()
    expect(opened.value.locator("td img")).to_have_count(4)
    expect(opened.value.get_by_role("columnheader", name="0.5", exact=True)).to_be_visible()
    opened.value.close()
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Dismiss").click()
    expect(row).to_have_count(0)


def test_a_batch_with_a_table_is_cancelled_and_resumed_after_a_reload(studio: StudioPage, folder: Path) -> None:
    page = studio.page
    studio.open_tab("canny")
    studio.shorten(steps=100)
    page.locator("#prompt").fill("a red ball")
    open_way(page, "Batch")
    dialog = page.get_by_role("dialog", name="Batch")
    with page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(sorted(folder.iterdir()))
    expect(dialog.get_by_text("3 pictures, table prompts.csv. 1 other file is left out.")).to_be_visible()
    expect(dialog.get_by_text("One picture for each row of prompts.csv.")).to_be_visible()
    place = dialog.get_by_label("Canny: the photo")
    place.uncheck()
    dialog.get_by_role("button", name="Start the batch").click()
    expect(dialog.get_by_role("alert")).to_contain_text("choose at least one that is on")
    place.check()
    dialog.get_by_label("Name").fill("Photos")
    dialog.get_by_role("button", name="Start the batch").click()
    expect(dialog).to_have_count(0)
    row = page.get_by_role("list", name="Grids and batches").get_by_role("listitem").filter(has_text="Photos")
    row.get_by_role("button", name="Cancel: Photos").click()
    wait_end(studio, "cancelled")
    assert studio.state("sweeps[0].done") < 3
    page.reload()
    page.wait_for_selector(READY)
    row.get_by_role("button", name="Resume: Photos").click()
    wait_end(studio)
    expect(row).to_contain_text("3 of 3")
    assert requests_of(studio) == {"p10.png": "a hat", "p1.png": "a red ball", "p2.png": "a box"}
    row.get_by_role("button", name="Show: Photos").click()
    expect(page.locator(".sweep-pictures img")).to_have_count(3)


def test_wildcards_are_counted_and_their_names_offered(studio: StudioPage) -> None:
    page = studio.page
    prompt = page.locator("#prompt")
    prompt.fill("a {ball|box} of ")
    line = page.locator(".wildcards")
    expect(line).to_have_text("2 combinations; each picture takes one.")
    prompt.press_sequentially("__co")
    line.get_by_role("button", name="colour").click()
    expect(prompt).to_have_value("a {ball|box} of __colour__")
    expect(line).to_have_text("2 × 3 = 6 combinations; each picture takes one.")
    prompt.press_sequentially(" {")
    expect(line).to_contain_text("is closed by no }")
    prompt.fill("a ball")
    expect(line).to_be_hidden()
