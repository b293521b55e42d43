"""The README's pictures, and every view of the page to look at: `python -m tests.browser.pictures --views FOLDER`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from cnet_app.registry.conditions import CONDITIONS
from tests.browser.conftest import APP, FLAGS, open_page, running
from tests.source import ROOT

DESKTOP, PHONE = (1366, 768), (390, 844)
PHONE_WIDTH = 500
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True)
class View:
    """A tab after its example was made."""

    tab: str
    size: tuple[int, int]
    dark: bool
    pictures: int = 1
    whole: bool = True
    """Take the whole page rather than one screen."""

    @property
    def name(self) -> str:
        """File name, such as `canny-1366-dark.png`."""
        return f"{self.tab.lower().replace(' ', '-')}-{self.size[0]}-{'dark' if self.dark else 'light'}.png"


README = {
    "app-desktop.png": View("Canny", (1366, 1160), dark=False, pictures=4, whole=False),
    "app-phone.png": View("Canny", PHONE, dark=True, whole=False),
}


def all_views(tabs: Sequence[str]) -> Iterator[View]:
    """Yield the views of tabs in both sizes and themes."""
    for tab in tabs:
        for size in (DESKTOP, PHONE):
            for dark in (False, True):
                yield View(tab, size, dark)


def take(browser: Browser, url: str, view: View, path: Path) -> None:
    """Save a picture of a view."""
    width, height = view.size
    is_phone = width < PHONE_WIDTH
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if view.dark else "light",
        is_mobile=is_phone,
        has_touch=is_phone,
    )
    studio = open_page(context.new_page(), url)
    studio.lock_seed(7)
    studio.fill_number("create-num_images", view.pictures)
    studio.open_tab(view.tab)
    ids = {row.title: row.id for row in CONDITIONS if "embedded" in row.controlnets} | {"Compose": "compose"}
    if view.tab in ids:
        studio.at(f"{ids[view.tab]}-example").click()
        studio.wait_status("done")
    studio.page.wait_for_timeout(500)  # images fade in
    studio.page.screenshot(path=str(path), full_page=view.whole)
    context.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures."""
    tabs = [*(row.title for row in CONDITIONS), "Compose", "All maps", "History"]
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument("--views", type=Path, metavar="FOLDER", help="take every view in both themes and sizes")
    parser.add_argument("--tabs", nargs="*", metavar="TITLE", default=tabs, help="with --views: of these tabs only")
    args = parser.parse_args(arguments)
    views = README if args.views is None else {view.name: view for view in all_views(args.tabs)}
    folder: Path = args.views or IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as made,
        sync_playwright() as playwright,
        running(APP, Path(made) / "outputs", Path(made)) as url,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, view in views.items():
            take(browser, url, view, folder / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
