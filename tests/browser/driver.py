"""User actions on the page, and its readable state. Waits are for a state, never for a time."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.source import ROOT

REAL = (ROOT / "models" / "embedded" / "base" / "model_index.json").exists()
"""Whether the embedded model is there."""
CREATE = "create"
SHORT = 60_000
LONG = 120_000
"""Milliseconds that the page, and a picture, may take on a busy machine."""


class StudioPage:
    """The open page. `name` is where the prompt and the pictures are: create, for all conditions, or history."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self, elem_id: str) -> Locator:
        return self.page.locator(f"#{elem_id}")

    def wait_ready(self) -> None:
        expect(self.at("base")).to_contain_text("Base model:", timeout=LONG)

    def open_tab(self, title: str) -> None:
        if title not in ("All maps", "History") and not self.at("create-tab").is_visible():
            self.page.get_by_role("tab", name="Create", exact=True).click()
        self.page.get_by_role("tab", name=title, exact=True).click()

    def upload(self, elem_id: str, path: Path) -> None:
        self.at(elem_id).locator("input[type=file]").set_input_files(str(path))

    def clear_photo(self, elem_id: str) -> None:
        self.at(elem_id).get_by_label("Remove Image").click()
        expect(self.at(elem_id).locator("img")).to_have_count(0)

    def wait_brush(self, elem_id: str) -> None:
        """Wait until the app has selected the brush."""
        expect(self.at(elem_id).locator("button.highlight[aria-label=Brush]")).to_be_visible()

    def stroke(self, elem_id: str, start: float, end: float) -> None:
        """A level stroke through the middle of an editor's canvas, between fractions of its width."""
        sheet = self.at(elem_id).locator("canvas").first
        expect(sheet).to_be_visible()
        box = sheet.bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] * start, middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * end, middle, steps=10)
        self.page.mouse.up()

    def choose(self, elem_id: str, title: str) -> None:
        """From a dropdown."""
        self.at(elem_id).locator("input").click()
        self.page.get_by_role("option", name=title, exact=True).click()

    def wait_map(self, elem_id: str) -> None:
        expect(self.at(elem_id).locator("img")).to_be_visible()

    def wait_map_width(self, elem_id: str, width: int) -> None:
        """Wait until the map has this width in px."""
        expect(self.at(elem_id).locator("img")).to_have_js_property("naturalWidth", width)

    def unfold(self, name: str = CREATE) -> None:
        """The settings that are folded away."""
        if not self.at(f"{name}-size").is_visible():
            self.at(f"{name}-more").locator("button").first.click()
            expect(self.at(f"{name}-size")).to_be_visible()

    def set_size(self, width: int, height: int, name: str = CREATE) -> None:
        """A size that is not the photo's."""
        self.unfold(name)
        self.at(f"{name}-size").get_by_label("Custom").check()
        expect(self.at(f"{name}-width")).to_be_visible()
        self.fill_number(f"{name}-width", width)
        self.fill_number(f"{name}-height", height)

    def lock_seed(self, seed: int, name: str = CREATE) -> None:
        """The same seed for every picture."""
        self.fill_number(f"{name}-seed", seed)
        expect(self.at(f"{name}-random").locator("input")).not_to_be_checked()

    def wait_active(self, text: str, name: str = CREATE) -> None:
        """Wait until the list near Generate contains a setting."""
        expect(self.at(f"{name}-active")).to_contain_text(text)

    def fill_number(self, elem_id: str, value: int) -> None:
        field = self.at(elem_id).locator("input[type=number]")
        slider = self.at(elem_id).locator("input[type=range]")
        for _ in range(
            10
        ):  # a field that has just appeared may not listen yet; the slider beside it shows what arrived
            field.fill(str(value))
            field.blur()
            self.page.wait_for_timeout(200)
            if field.input_value() == str(value) and (not slider.count() or slider.input_value() == str(value)):
                return
        raise AssertionError(f"{elem_id} did not take {value}")

    @property
    def prompt(self) -> Locator:
        return self.at(f"{CREATE}-prompt").locator("textarea")

    def fill_prompt(self, text: str) -> None:
        self.prompt.fill(text)

    def generate(self, name: str = CREATE) -> None:
        self.at(f"{name}-generate").click()

    def cancel(self, name: str = CREATE) -> None:
        self.at(f"{name}-cancel").click()

    def wait_status(self, status: str, name: str = CREATE, timeout: int = LONG) -> None:
        expect(self.at(f"{name}-progress").locator(".status")).to_have_attribute("data-status", status, timeout=timeout)

    def wait_text(self, text: str, name: str = CREATE) -> None:
        expect(self.at(f"{name}-progress")).to_contain_text(text, timeout=LONG)

    def pictures(self, name: str = CREATE) -> Locator:
        return self.at(f"{name}-pictures").locator("button.thumbnail-item")

    def download(self, folder: Path, name: str = CREATE) -> Path:
        """The first picture, by the gallery's own button."""
        self.pictures(name).first.click()
        with self.page.expect_download() as started:
            self.at(f"{name}-pictures").get_by_label("Download", exact=True).first.click()
        path = folder / started.value.suggested_filename
        started.value.save_as(path)
        return path
