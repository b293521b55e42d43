"""The pictures of README and docs/studio.md: `python -m tests.browser.pictures`; `--views FOLDER` takes every view to look at."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from skimage import data

from tests.browser.conftest import APP, FLAGS, open_page, running
from tests.browser.driver import LONG, StudioPage
from tests.source import ROOT

DESKTOP, LARGE, PHONE = (1366, 768), (1920, 1080), (390, 844)
PHONE_WIDTH = 700
IMAGES = ROOT / "docs" / "images"
QUALITY = 82
Act = Callable[[StudioPage], object]


def app(script: str) -> Act:
    """Run a script over `app` in the page."""
    return lambda studio: studio.page.evaluate(
        f"(() => {{ const {{ app }} = document.querySelector('.studio'); return {script}; }})()"
    )


def example(id: str) -> Act:
    """Play an example to its picture."""

    def act(studio: StudioPage) -> None:
        app("app.drafts.edit({ prompt: '', seed: { locked: true, value: 7 } })")(studio)
        studio.play_example(id)

    return act


def photo(studio: StudioPage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coffee.png"
        Image.fromarray(np.ascontiguousarray(data.coffee())).save(path)
        studio.choose_photo(path)
    studio.wait_state("Object.keys(state.thumbs).length === state.tables.conditions.length", LONG)


def click(selector: str) -> Act:
    return lambda studio: studio.page.locator(selector).first.click()


def tiles(folder: Path) -> Path:
    """Write parts of photos that do not overlap, so that no probe shows what is trained on."""
    folder.mkdir()
    for name, photo in (("astronaut", data.astronaut()), ("coffee", data.coffee()), ("rocket", data.rocket())):
        corners = [(y, x) for y in range(0, 384, 128) for x in range(0, 384, 128)]
        for number, (y, x) in enumerate(corners):
            Image.fromarray(np.ascontiguousarray(photo[y : y + 128, x : x + 128])).save(folder / f"{name}{number}.png")
    return folder


def build_pairs(studio: StudioPage) -> None:
    """Build canny pairs from parts of photos on the Train page, and check them."""
    studio.at("open-train").click()
    studio.at("train-new").click()
    with tempfile.TemporaryDirectory() as folder:
        studio.at("train-folder").fill(str(tiles(Path(folder) / "photos")))
        studio.at("train-look").click()
        studio.at("build-condition").select_option("canny")
        studio.at("build-caption").fill("a photo")
        studio.at("train-build").click()
        studio.at("check-result").wait_for(timeout=LONG)


def train(studio: StudioPage) -> None:
    """Train on them for a few steps; a run of an earlier picture is shown again."""
    view = studio.page.locator("dialog.train")
    if app("app.server.call('trainings').then(({ trainings }) => trainings.length)")(studio):
        studio.at("open-train").click()
        view.locator(".run[data-standing=done]").wait_for(timeout=LONG)
        return
    build_pairs(studio)
    view.locator(".plan-more > summary").click()
    small = {"Name": "my-canny", "Steps": 120, "Batch size": 4, "Size": 128, "Steps between looks": 20, "Probes": 2}
    for label, value in small.items():
        view.get_by_label(label, exact=True).fill(str(value))
    studio.at("train-start").click()
    view.locator(".run[data-standing=done]").wait_for(timeout=10 * LONG)


VIEWS: Mapping[str, tuple[str, tuple[Act, ...]]] = {
    "first": ("The first visit", ()),
    "result": ("A picture, with the maps of its photo at the left", (photo, example("canny"))),
    "layers": (
        "Two layers, one of them open",
        (
            photo,
            click("#tab-canny"),
            app("import('./studio/layers/layer_actions.js').then((all) => all.addLayer(app, 'depth'))"),
        ),
    ),
    "compare": ("Map and picture under a slider", (example("depth"), app("app.show('compare')"))),
    "drawing": ("Drawing a scribble", (example("scribble"), app("app.tools.take('draw')"))),
    "pose": ("Editing a pose", (example("openpose"), app("app.tools.take('pose')"))),
    "classes": ("Painting classes by their names", (example("segmentation"), app("app.tools.take('classes')"))),
    "weights": ("Weights from -1 to 1", (example("softedge"), app("app.tools.take('weights')"))),
    "inpaint": ("Repainting a part", (example("inpaint"), app("app.tools.take('startmask')"))),
    "library": ("The library", (example("canny"), example("lineart"), app("app.openLibrary()"))),
    "models": ("Models", (app("app.openDialog('models')"),)),
    "help": ("Help and keys", (app("app.openDialog('help')"),)),
    "train": ("A new training: data, their check, the plan", (build_pairs,)),
    "training": ("A training: agreement, loss, and pictures of the probes", (train,)),
}
"""Title, and what brings a view about."""


@dataclass(frozen=True)
class Shot:
    """A view at a size and in a theme."""

    view: str
    size: tuple[int, int]
    dark: bool

    @property
    def name(self) -> str:
        """File name without its ending, such as `pose-1366-dark`."""
        return f"{self.view}-{self.size[0]}-{'dark' if self.dark else 'light'}"


README = {"app-desktop": Shot("result", DESKTOP, dark=True), "app-phone": Shot("result", PHONE, dark=False)}
DOCS = {f"studio-{view}": Shot(view, DESKTOP, dark=number % 2 == 1) for number, view in enumerate(VIEWS)} | {
    "studio-phone": Shot("drawing", PHONE, dark=True)
}


def all_shots(views: Sequence[str]) -> Iterator[Shot]:
    """Yield views in all sizes and themes."""
    for view in views:
        for size in (DESKTOP, LARGE, PHONE):
            for dark in (False, True):
                yield Shot(view, size, dark)


def take(browser: Browser, url: str, shot: Shot, path: Path) -> None:
    """Save a picture of a view as WebP."""
    width, height = shot.size
    is_phone = width < PHONE_WIDTH
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if shot.dark else "light",
        is_mobile=is_phone,
        has_touch=is_phone,
    )
    studio = open_page(context.new_page(), url)
    for act in VIEWS[shot.view][1]:
        act(studio)
    studio.wait_state("Object.values(state.maps).every((map) => !map?.isBusy)", LONG)
    studio.page.wait_for_timeout(1000)  # images fade in
    taken = path.with_suffix(".png")
    studio.page.screenshot(path=str(taken))
    Image.open(taken).convert("RGB").save(path.with_suffix(".webp"), quality=QUALITY, method=6)
    taken.unlink()
    context.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument(
        "--views", type=Path, metavar="FOLDER", help="take views in all sizes and both themes into a folder"
    )
    parser.add_argument(
        "--only", nargs="*", metavar="VIEW", choices=VIEWS, default=list(VIEWS), help="with --views: these"
    )
    args = parser.parse_args(arguments)
    shots = README | DOCS if args.views is None else {shot.name: shot for shot in all_shots(args.only)}
    folder: Path = args.views or IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as made,
        patch.dict(os.environ, {"CNET_MODELS_DIR": str(Path(made) / "models")}),
        sync_playwright() as playwright,
        running(APP, Path(made) / "outputs", Path(made)) as url,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, shot in shots.items():
            take(browser, url, shot, folder / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
