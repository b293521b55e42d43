"""From a folder of pictures to a ControlNet of one's own: build, check, train, watch, try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect
from skimage import data

from cnet_app.request.recipe import read_request
from tests.browser.conftest import APP, running, visit
from tests.browser.driver import LONG, REAL, StudioPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PICTURES = 8
STEPS = 20
SMALL = {"Steps": STEPS, "Batch size": 1, "Size": 64}
OFTEN = {"Steps between checkpoints": 10, "Steps between looks": 5, "Denoising steps": 4, "Probes": 2}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with folders of its own for models and pictures."""
    folder = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNET_MODELS_DIR", str(folder / "models"))
        with running(APP, folder / "outputs", folder) as url:
            yield url


@pytest.fixture
def studio(browser: Browser, served: str) -> Iterator[StudioPage]:
    yield from visit(browser, served, width=1366, height=768)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Parts of two photos, 96 px."""
    photos = (data.astronaut(), data.coffee())
    for number in range(PICTURES):
        corner = 24 * number
        pixels = photos[number % 2][corner : corner + 192 : 2, 120:312:2]
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / f"{number}.png")
    return tmp_path


def open_train(studio: StudioPage) -> Locator:
    studio.at("open-train").click()
    view = studio.page.get_by_role("dialog", name="Train")
    expect(view).to_be_visible()
    return view


@pytest.mark.skipif(not REAL, reason="the embedded model is not here")
def test_pictures_become_a_control_that_a_tab_uses(studio: StudioPage, pictures: Path) -> None:
    view = open_train(studio)
    view.get_by_label("Folder of pairs, or of pictures").fill(str(pictures))
    view.get_by_role("button", name="Look").click()
    expect(view.locator(".train-found")).to_contain_text(f"{PICTURES} pictures without maps.")
    view.get_by_label("The maps show").select_option("canny")
    studio.at("build-caption").fill("a photo")
    view.get_by_role("button", name="Build pairs").click()
    expect(studio.at("check-result")).to_contain_text(f"in {PICTURES} pairs", timeout=LONG)
    expect(view.locator(".train-found")).to_contain_text(f"{PICTURES} pairs, {PICTURES} with a caption.")

    view.get_by_label("Name", exact=True).fill("my canny")
    view.get_by_role("button", name="Start training").click()
    expect(view.locator("[data-refused=name]")).to_contain_text("“Name” is 'my canny', but it must be 1 to 64 letters")
    view.get_by_label("Name", exact=True).fill("my-canny")
    view.get_by_text("More settings").click()
    for label, value in (SMALL | OFTEN).items():
        view.get_by_label(label, exact=True).fill(str(value))
    view.get_by_role("button", name="Start training").click()
    expect(view.get_by_role("article", name="my-canny")).to_be_visible()

    studio.page.reload()
    studio.wait_ready()
    view = open_train(studio)
    expect(view.locator(".run-state")).to_have_text(f"Done: {STEPS} steps.", timeout=LONG)
    expect(view.locator(".samples thead th")).to_have_text(["Map", *(f"Step {step}" for step in range(0, 21, 5))])
    studio.page.wait_for_function("[...document.querySelectorAll('.samples img')].every((image) => image.naturalWidth)")
    expect(view.get_by_role("img", name="Agreement with the probes. Agreement: ")).to_be_visible()
    expect(view.get_by_role("img", name=f"at step {STEPS}, from")).to_have_count(2)
    view.get_by_text("Learning rate, speed and memory").click()
    for title in ("Learning rate", "Seconds a step", "Memory (MB)"):
        expect(view.get_by_role("img", name=f"{title}. {title}: ")).to_be_visible()
    expect(view.locator(".run-converged")).to_contain_text("The paper saw it usually before 10,000 steps.")

    view.get_by_role("button", name="Try it now").click()
    expect(view).to_be_hidden(timeout=LONG)
    studio.choose_photo(next(pictures.glob("*.png")))
    studio.wait_map()
    assert studio.state("draft.layers[0].controlnet") == "my-canny"
    studio.shorten(steps=2)
    (unit,) = read_request(studio.make()).units
    assert (unit.condition, unit.controlnet) == ("canny", "my-canny")


def test_a_folder_that_is_not_there_is_named(studio: StudioPage) -> None:
    view = open_train(studio)
    studio.at("train-new").click()
    view.get_by_label("Folder of pairs, or of pictures").fill("/nowhere/at/all")
    view.get_by_role("button", name="Look").click()
    expect(view.get_by_role("alert").filter(has_text="There is no folder '/nowhere/at/all'")).to_be_visible()


def test_a_run_that_is_done_offers_its_best_checkpoint_and_more_steps(browser: Browser, fake_site: str) -> None:
    for studio in visit(browser, fake_site, width=1366, height=768):
        view = open_train(studio)
        expect(view.get_by_role("article", name="example")).to_be_visible()
        expect(view.get_by_role("button", name="Use the best checkpoint (step 120)")).to_be_visible()
        expect(view.get_by_role("button", name="Resume")).to_be_hidden()
        view.get_by_text("Train further").first.click()
        expect(view.get_by_label("Steps", exact=True)).to_have_value("300")
        view.get_by_text("More settings").first.click()
        expect(view.get_by_label("Precision", exact=True)).to_have_value("float32")
