"""Studies in a browser: answered by keyboard alone and by touch with a reload in between, made and read by the owner."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cnet_app.evaluation.study.plan import find_study
from cnet_app.evaluation.study.questions import answers_of, lettered, questions
from cnet_app.evaluation.study.results import results
from tests.browser.conftest import FAKE, open_page, running, visit, visitor
from tests.browser.driver import READY
from tests.evaluation.studies import make_folders, make_study

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's pictures, with a ranking and a study of which model made it."""
    made = tmp_path_factory.mktemp("outputs")
    make_study(made, names=3, name="rank")
    make_study(made, methods=2, names=3, name="which", kind="which", training=1)
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with running(FAKE, folder, folder / "server") as url:
        yield url


def take_part(page: Page, name: str) -> None:
    page.get_by_label("Your name or number").fill(name)
    page.keyboard.press("Enter")
    page.locator(".study-group img[src]").first.wait_for()


def expect_count(page: Page, text: str) -> None:
    expect(page.locator(".study-count")).to_have_text(text)


def test_a_ranking_by_keyboard_alone_goes_on_after_a_reload(browser: Browser, site: str, folder: Path) -> None:
    with visitor(browser, site, 1366, 768) as context:
        page = open_page(context.new_page(), f"{site}?study=rank").page
        take_part(page, "Ann")
        expect_count(page, "1 of 3")
        page.keyboard.press("Enter")  # presses rank 1 of the first picture
        for key in ("2", "3", "ArrowDown", "ArrowUp", "ArrowRight", "3"):
            page.keyboard.press(key)
        swapped = [
            page.get_by_role("button", name=f"Quality of picture {place}: {rank}") for place, rank in ((2, 3), (3, 2))
        ]
        for button in swapped:
            expect(button).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_text("3 of 6 given")).to_be_visible()
        page.get_by_role("button", name="Next").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Picture 1 has no number for fidelity yet; give it one.")
        for key in ("3", "2", "1", "Enter"):
            page.keyboard.press(key)
        expect_count(page, "2 of 3")
        page.reload()
        page.wait_for_selector(READY)
        expect_count(page, "2 of 3")
        for number in (3, 4):
            for key in ("1", "2", "3", "3", "2", "1", "Enter"):
                page.keyboard.press(key)
            expect_count(page, f"{min(number, 3)} of 3")
            if number == 3:
                page.locator(".study-group img[src]").first.wait_for()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    study = find_study(folder / "studies", "rank")
    first = questions(study, "ann")[0]
    kept = {
        row.method: (row.quality, row.fidelity) for row in answers_of(study).of("ann") if row.group == first.group.name
    }
    assert [kept[study.methods[place].name] for place in first.shown] == [(1, 3), (3, 2), (2, 1)]
    assert results(study).participants == 1


def test_guesses_by_touch_go_on_after_a_reload(browser: Browser, site: str, folder: Path) -> None:
    study = find_study(folder / "studies", "which")
    asked = questions(study, "7")
    with visitor(browser, site, 390, 844, phone=True) as context:
        page = open_page(context.new_page(), f"{site}?study=which").page
        take_part(page, "7")
        expect(page.get_by_text("Training: learn how")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="Next").tap()
        expect_count(page, "2 of 3")
        page.reload()
        page.wait_for_selector(READY)
        expect_count(page, "2 of 3")
        page.get_by_role("button", name="Enlarge: Picture").tap()
        dialog = page.get_by_role("dialog", name="Picture")
        expect(dialog.get_by_role("img", name="Control image")).to_be_visible()
        dialog.get_by_role("button", name="Close").tap()
        page.get_by_role("button", name="Next").tap()
        expect(page.get_by_role("alert")).to_have_text("No model is chosen yet; choose model A or model B.")
        for question in asked[1:]:
            expect_count(page, f"{question.number + 1} of 3")
            right = lettered(study, "7").index(question.shown[0])
            page.get_by_role("button", name=f"Model {'AB'[right]}").tap()
            page.get_by_role("button", name="Next").tap()
        expect(page.get_by_text("You named the right model for 2 of 2 pictures.")).to_be_visible()
        page.get_by_role("button", name="Not you?").tap()
        page.get_by_label("Your name or number").fill(" 7 ")
        page.get_by_role("button", name="Begin").tap()
        expect(page.get_by_text("“7” has answered 3 of 3 questions. If that was not you")).to_be_visible()
    found = results(study).precision
    assert found and found.mean == 1


def test_the_owner_makes_a_study_and_saves_its_results(
    browser: Browser, site: str, folder: Path, tmp_path: Path
) -> None:
    methods = make_folders(tmp_path, 3, 2)
    for studio in visit(browser, site, 1366, 768):
        page = studio.page
        page.get_by_role("button", name="Rank").click()
        dialog = page.get_by_role("dialog", name="Rank")
        dialog.get_by_text("New study").click()
        dialog.get_by_label("Name", exact=True).fill("third")
        dialog.get_by_role("button", name="Add a method").click()
        for number, method in enumerate(methods, 1):
            dialog.get_by_label(f"Folder {number}").fill(str(method.folder))
        dialog.get_by_role("button", name="Make the study").click()
        expect(dialog.get_by_role("alert")).to_contain_text("A ranking needs the control images")
        dialog.get_by_label("Folder of control images").fill(str(tmp_path / "controls"))
        dialog.get_by_role("button", name="Make the study").click()
        expect(dialog.get_by_role("listitem").filter(has_text="third")).to_contain_text("method-2; 2 groups")
        dialog.get_by_role("button", name="Results of rank").click()
        expect(dialog.get_by_role("row", name="ControlNet 4.22 ± 0.43 4.28 ± 0.45")).to_be_visible()
        with page.expect_download() as saved:
            dialog.get_by_role("button", name="answers.csv").click()
        rows = list(csv.DictReader(saved.value.path().open()))
        assert {row["participant"] for row in rows} <= {"ann"}
        dialog.get_by_role("button", name="All studies").click()
        with page.context.expect_page() as opened:
            dialog.get_by_role("link", name="Open third").click()
        expect(opened.value.get_by_role("heading", name="third")).to_be_visible()
    assert find_study(folder / "studies", "third").missing == 0
