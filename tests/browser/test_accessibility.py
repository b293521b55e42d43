"""Every view of the page under axe-core, in both themes and on a phone: nothing critical, nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import open_page, visit, visitor
from tests.browser.driver import StudioPage
from tests.browser.example_run import write_pairs
from tests.evaluation.studies import make_study

pytestmark = pytest.mark.browser
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
RUN = """(rules) => axe.run(document.querySelector("dialog[open]") ?? document, { resultTypes: ["violations"], ...rules }).then(({ violations }) => violations
    .filter(({ impact }) => ["critical", "serious"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target.join(" "), failureSummary])))"""
"""Of an open dialog it alone is read: the page below was read without it."""


def take(tool: str) -> Callable[[StudioPage], Any]:
    return lambda studio: studio.page.evaluate(f"document.querySelector('.studio').app.tools.take('{tool}')")


def layer(id: str) -> Callable[[StudioPage], Any]:
    return lambda studio: studio.page.evaluate(
        f"""import(new URL("studio/page/rail.js", document.baseURI)).then(({{ openCondition }}) =>
            openCondition(document.querySelector(".studio").app, "{id}"))"""
    )


def dialog(name: str) -> Callable[[StudioPage], Any]:
    return lambda studio: studio.page.evaluate(f"document.querySelector('.studio').app.openDialog('{name}')")


def close(studio: StudioPage) -> None:
    studio.page.evaluate("document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close())")


def sheet(name: str) -> Callable[[StudioPage], Any]:
    return lambda studio: studio.page.evaluate(f"document.querySelector('[data-opens={name}]').click()")


def open_library(studio: StudioPage) -> None:
    studio.page.evaluate("document.querySelector('.studio').app.openLibrary()")
    studio.page.locator(".tile").first.click()


def open_studies(studio: StudioPage) -> None:
    studio.page.evaluate("document.querySelector('.studio').app.openStudies()")
    studio.page.get_by_label("Name 2").wait_for()


def open_train(studio: StudioPage) -> None:
    studio.page.evaluate("document.querySelector('.studio').app.openTrain()")
    studio.page.locator(".samples img").first.wait_for()


def open_data(folder: Path) -> Callable[[StudioPage], Any]:
    def act(studio: StudioPage) -> None:
        studio.page.locator("#train-new").click()
        studio.page.locator("#train-folder").fill(str(folder))
        studio.page.locator("#train-look").click()
        studio.page.locator(".plan-more > summary").click()

    return act


VIEWS: dict[str, tuple[Callable[[StudioPage], Any], ...]] = {
    "layer": (layer("canny"), sheet("controls")),
    "drawing": (layer("scribble"), take("draw")),
    "pose": (layer("openpose"), take("pose")),
    "classes": (layer("segmentation"), take("classes")),
    "weights": (take("weights"),),
    "queue": (lambda studio: studio.page.locator("#queue").click(),),
    "library": (close, open_library),
    "training": (close, open_train),
    "help": (close, dialog("help")),
    "models": (close, dialog("models")),
    "grid": (close, dialog("grid")),
    "batch": (close, dialog("batch")),
    "studies": (close, open_studies),
    "closed": (close,),
}


def faults(page: Page, colours_alone: bool = False) -> list[Any]:
    found: list[Any] = page.evaluate(RUN, {"runOnly": ["color-contrast"]} if colours_alone else {})
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_no_view_has_a_serious_fault(
    browser: Browser, fake_site: str, photo: Path, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    """The themes differ in their colours alone, so these alone are checked in the dark one."""
    pairs = write_pairs(tmp_path / "pairs")
    for studio in visit(browser, fake_site, *size, phone=size[0] < 700, dark=dark):
        page = studio.page
        page.evaluate(AXE)
        found = {"empty": faults(page, dark)}
        studio.choose_photo(photo)
        studio.open_tab("canny")
        studio.shorten()
        studio.make()
        found["result"] = faults(page, dark)
        for name, acts in (VIEWS | {"new training": (close, open_train, open_data(pairs))}).items():
            for act in acts:
                act(studio)
            page.wait_for_timeout(300)
            found[name] = faults(page, dark)
        assert not {name: list for name, list in found.items() if list}


@pytest.mark.parametrize(("size", "dark"), [((1366, 768), False), ((390, 844), True)], ids=["desktop", "phone"])
def test_no_view_of_a_study_has_a_serious_fault(
    browser: Browser, fake_site: str, fake_folder: Path, size: tuple[int, int], dark: bool
) -> None:
    for name, methods, kind in (("rank", 3, "ranking"), ("which", 2, "which")):
        if not (fake_folder / "studies" / name).exists():
            make_study(fake_folder, methods=methods, names=2, name=name, kind=kind)
    with visitor(browser, fake_site, *size, phone=size[0] < 700, dark=dark) as context:
        page, found = context.new_page(), {}
        for name in ("rank", "which"):
            open_page(page, f"{fake_site}?study={name}")
            page.evaluate(AXE)
            found[name] = faults(page)
            page.get_by_label("Your name or number").fill(f"{size[0]} {dark}")
            page.keyboard.press("Enter")
            page.locator(".study-group img[src]").first.wait_for()
            page.keyboard.press("1")
            found[f"{name}, a question"] = faults(page)
        page.keyboard.press("Enter")
        page.get_by_text("Test: which model").wait_for()  # the training before it has a button of that name too
        page.get_by_role("button", name="Model B").click()
        found["a guess"] = faults(page)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Thank you").wait_for()
        found["thanks"] = faults(page)
    assert not {name: list for name, list in found.items() if list}
