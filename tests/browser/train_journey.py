"""The way from a folder of pictures to a control of one's own, timed: `python -m tests.browser.train_journey`.

A newcomer's clicks in the browser: build pairs, check them, train with the suggested plan, try the control, compare scores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from skimage import data

from tests.browser.conftest import APP, FLAGS, open_page, running
from tests.browser.driver import LONG, StudioPage

SIDE = 128
TRAINING = 3_600_000
"""Milliseconds that the training may take."""


def write_pictures(folder: Path, count: int) -> Path:
    """Write parts of photos that do not overlap."""
    photos = (data.astronaut(), data.coffee(), data.rocket(), data.immunohistochemistry(), data.retina())
    tiles = [
        photo[y : y + SIDE, x : x + SIDE]
        for photo in photos
        for y in range(0, photo.shape[0] - SIDE + 1, SIDE)
        for x in range(0, photo.shape[1] - SIDE + 1, SIDE)
    ]
    folder.mkdir()
    for number, tile in enumerate(tiles[:count]):
        Image.fromarray(np.ascontiguousarray(tile)).save(folder / f"{number:03}.png")
    return folder


def score_of_new_picture(studio: StudioPage, scale: float) -> str:
    """Make a picture at a control strength; return the words of its caption."""
    studio.set_layer(conditioning_scale=scale)
    studio.make()
    caption = studio.page.locator(".stage-caption")
    expect(caption).to_contain_text("%", timeout=LONG)
    return caption.inner_text().split("\n")[0]


def write_photo(path: Path) -> Path:
    """Write a photo that is not among them."""
    Image.fromarray(np.ascontiguousarray(data.chelsea())).save(path)
    return path


def journey(studio: StudioPage, pictures: Path, unseen: Path) -> None:
    """Print each part's seconds and what the page shows at its end."""
    begun = time.monotonic()

    def tell(part: str, words: str) -> None:
        print(f"{time.monotonic() - begun:7.1f} s  {part}: {words}", flush=True)

    view = studio.page.locator("dialog.train")
    studio.at("open-train").click()
    studio.at("train-new").click()
    studio.at("train-folder").fill(str(pictures))
    studio.at("train-look").click()
    studio.at("build-condition").select_option("canny")
    studio.at("build-caption").fill("a photo")
    studio.at("train-build").click()
    studio.at("check-result").wait_for(timeout=LONG)
    tell("pairs and check", studio.at("check-result").inner_text())
    studio.at("train-start").click()
    state = view.locator(".run-state")
    view.locator(".run[data-standing=done]").wait_for(timeout=TRAINING)
    tell("training", f"{state.inner_text()} {view.locator('.run-converged').inner_text()}")
    view.get_by_role("button", name="Try it now").click()
    expect(view).to_be_hidden(timeout=LONG)
    studio.choose_photo(unseen)
    studio.wait_map()
    for scale in (0.0, 1.0):
        tell(f"a picture that it was not trained on, strength {scale:g}", score_of_new_picture(studio, scale))


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the app with folders of its own, and go the way."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.train_journey", description=__doc__)
    parser.add_argument("--pictures", type=int, default=64, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="pictures of one's own, in place of the photos")
    parser.add_argument("--unseen", type=Path, metavar="FILE", help="a picture that is not among them")
    args = parser.parse_args(arguments)
    if (args.folder is None) != (args.unseen is None):
        parser.error("--folder and --unseen go together; give both")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            patch.dict(os.environ, {"CNET_MODELS_DIR": str(folder / "models")}),
            sync_playwright() as playwright,
            running(APP, folder / "outputs", folder) as url,
        ):
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            pictures = args.folder or write_pictures(folder / "photos", args.pictures)
            journey(open_page(context.new_page(), url), pictures, args.unseen or write_photo(folder / "unseen.png"))
            context.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
