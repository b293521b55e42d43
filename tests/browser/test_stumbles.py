"""What people stumbled over in earlier pages, several things in one journey: each must stay right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from skimage import data

from annotators.sources.images import load_image
from cnet_app.request.recipe import read_request
from tests.browser.conftest import open_page, visit, visitor
from tests.browser.driver import StudioPage

pytestmark = pytest.mark.browser
APP = "document.querySelector('.studio').app"
CLIPPED = """() => [...document.querySelectorAll(".layer-form .field-name, .layer-form label, .segments button")]
    .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map(({ textContent }) => textContent)"""
OVER_THE_STAGE = """() => [...document.querySelector(".stage-area").children]
    .filter((one) => one.checkVisibility()).map(({ className }) => className)"""
BROKEN = "() => [...document.images].filter((one) => one.checkVisibility() && one.src && one.complete && !one.naturalWidth).length"
SMALL_INPUTS = """() => [...document.querySelectorAll(".studio :is(input:not([type=checkbox], [type=radio], [type=range]), textarea, select)")]
    .filter((one) => parseFloat(getComputedStyle(one).fontSize) < 16).map(({ outerHTML }) => outerHTML.slice(0, 80))"""
COLOUR = """([x, y]) => {
    const { stage } = document.querySelector(".studio").app;
    const at = (value, start) => Math.round((start + value * stage.place.zoom) * devicePixelRatio);
    return [...stage.canvas.getContext("2d").getImageData(at(x, stage.place.x), at(y, stage.place.y), 1, 1).data].slice(0, 3);
}"""
OFFER = {
    "ids": ["sd15"],
    "items": [
        {"title": "Stable Diffusion 1.5", "size": "2.1 GB", "licence": "CreativeML", "terms": "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
         "use": "Commercial use with limits.", "page": "https://huggingface.co/stable-diffusion-v1-5", "files": [], "folder": "models/checkpoints/sd15"}
    ],
    "total": "2.1 GB", "place": "the cache", "offline": False,
}  # fmt: skip
ALERTS = """() => {
    // Answers to Generate come after the job's end, as on a slow network.
    const send = window.fetch;
    window.fetch = async (place, options) => {
        const answer = await send(place, options);
        if (!String(options?.body).startsWith('{"name":"generate"')) return answer;
        const { store } = document.querySelector(".studio").app;
        const { ended } = store.state;
        const until = performance.now() + 3000;
        while (store.state.ended === ended && performance.now() < until) await new Promise((go) => setTimeout(go, 20));
        return answer;
    };
    window.heard = { tones: 0, notifications: [] };
    window.AudioContext = class {
        currentTime = 0;
        destination = {};
        createGain() { return { gain: { setValueAtTime() {}, exponentialRampToValueAtTime() {} }, connect: (next) => next }; }
        createOscillator() { return { frequency: {}, connect: (next) => next, start() { heard.tones += 1; }, stop() {} }; }
        close() {}
    };
    window.Notification = class {
        static permission = "granted";
        static requestPermission() { return Promise.resolve("granted"); }
        constructor(title, { body }) { heard.notifications.push([title, body]); }
    };
}"""


@pytest.fixture
def studio(browser: Browser, fake_site: str) -> Iterator[StudioPage]:
    yield from visit(browser, fake_site, width=1366, height=768)


def wait_hidden_error(studio: StudioPage) -> None:
    expect(studio.page.locator(".error")).to_be_hidden()


def test_a_refusal_is_told_once_and_goes_with_the_tab(studio: StudioPage, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    studio.drop(bad)
    expect(studio.page.locator(".error [role=alert]")).to_contain_text("bad.png")
    assert studio.state("draft.photo") is None
    assert studio.page.evaluate(BROKEN) == 0
    studio.open_tab("canny")
    wait_hidden_error(studio)
    for _ in range(2):
        studio.generate()
        expect(studio.page.locator(".error [role=alert]")).to_contain_text("There is no photo yet; drop")
    assert studio.page.get_by_text("There is no photo yet; drop").count() == 1
    assert studio.state("messages") == []
    studio.open_tab("softedge")
    wait_hidden_error(studio)
    assert studio.state("error") == ""


def test_the_size_follows_the_photo_and_an_example_keeps_the_words(studio: StudioPage, tmp_path: Path) -> None:
    page = studio.page
    path = tmp_path / "wide.png"
    Image.fromarray(np.ascontiguousarray(data.coffee()[:400, :600])).save(path)
    studio.choose_photo(path)
    studio.wait_state("state.frame.width === 312")
    assert studio.state("frame") == {"width": 312, "height": 208, "fit": "crop"}
    page.locator("#view-photo").click()
    expect(page.locator(".caption-about")).to_contain_text("Photo 600 × 400 px → picture 312 × 208 px")
    studio.at("prompt").fill("my own words")
    request = read_request(studio.play_example("canny"))
    assert request.prompt == "my own words"
    assert studio.state("draft.photo.name") != "wide.png"
    page.evaluate(f"{APP}.drafts.undo()")
    assert (studio.state("draft.photo.name"), studio.state("draft.prompt")) == ("wide.png", "my own words")
    page.locator("#view-result").click()
    assert page.evaluate(OVER_THE_STAGE) == ["stage-canvas"]
    expect(page.locator(".caption-about")).to_contain_text(f"{request.width} × {request.height} px · seed")


def test_an_upscale_is_gentle_and_compared_with_what_it_was(studio: StudioPage) -> None:
    page = studio.page
    studio.at("prompt").fill("a poster in dusk colours")
    studio.shorten()
    small = load_image(studio.make())
    (path,) = studio.pictures_of(page.locator("#picture-upscale").click)
    assert read_request(path).strength == 0.25
    expect(page.locator(".notes")).to_contain_text("The demo model repaints 25 %")
    large = load_image(path)
    assert large.shape[:2] == (512, 512)
    with page.expect_response("**/gradio_api/file=**/before.png"):
        page.locator("#view-compare").click()
    page.wait_for_function(f"{APP}.stage.split === 0.5")
    page.wait_for_timeout(200)  # decoded and drawn
    left, right = (page.evaluate(COLOUR, [x, 128]) for x in (60, 200))
    assert np.abs(np.subtract(left, small[128, 60])).max() <= 3
    assert np.abs(np.subtract(right, large[256, 400])).max() <= 3
    assert np.abs(np.subtract(left, large[256, 120])).max() <= 3 or not np.array_equal(small[128, 60], large[256, 120])


def test_the_bar_names_the_model_offers_a_better_one_and_switches_the_theme(studio: StudioPage) -> None:
    page = studio.page
    expect(studio.at("base")).to_contain_text("Demo model (256 px)")
    expect(studio.at("offer")).to_be_hidden()
    page.evaluate(f"(offer) => {APP}.store.patch({{ choices: {{ ...{APP}.store.state.choices, offer }} }})", OFFER)
    studio.at("offer").click()
    dialog = page.get_by_role("dialog", name="Get Stable Diffusion")
    expect(dialog).to_contain_text("without one it takes minutes")
    expect(dialog).to_contain_text("Together 2.1 GB, into the cache.")
    expect(dialog.get_by_role("link", name="CreativeML")).to_be_visible()
    expect(dialog.get_by_role("button", name="Download", exact=True)).to_be_focused()
    dialog.get_by_role("button", name="Not now").click()
    page.locator(".more > summary").click()
    page.locator("#setting-base").select_option("sd15")
    expect(studio.at("base")).to_have_text("Stable Diffusion 1.5")
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate("document.documentElement.classList.contains('is-dark')")
    page.reload()
    studio.wait_ready()
    assert page.evaluate("document.documentElement.classList.contains('is-dark')")
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()


def test_a_preprocessor_that_is_not_here_asks_before_anything_is_downloaded(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("openpose")
    page.get_by_label("Preprocessor", exact=True).select_option("dwpose")
    expect(page.locator(".layer-missing")).to_contain_text("351 MB")
    expect(page.locator(".caption-about")).to_have_text("No map: its preprocessor needs a download")
    assert studio.state("jobs") == []
    page.locator(".layer-parameters summary").click()
    for name in ("Body", "Hands", "Faces"):
        expect(page.get_by_label(name, exact=True)).to_be_visible()
    assert page.evaluate(CLIPPED) == []
    page.locator(".layer-missing button").click()
    expect(page.get_by_role("dialog")).to_contain_text("models/checkpoints/dwpose")


def run_to_end(studio: StudioPage) -> None:
    """Send the draft and wait until its job has ended."""
    before = studio.state("ended?.id")
    studio.page.evaluate(f"{APP}.jobs.generate()")
    studio.wait_state(f"state.ended && state.ended.id !== {json.dumps(before)} && !state.isSending")


def test_a_tone_and_a_notification_tell_that_a_job_ended(browser: Browser, fake_site: str) -> None:
    with visitor(browser, fake_site, 1366, 768) as context:
        context.add_init_script(f"({ALERTS})()")
        studio = open_page(context.new_page(), fake_site)
        page = studio.page
        studio.at("prompt").fill("a poster")
        studio.shorten()
        run_to_end(studio)
        assert page.evaluate("heard") == {"tones": 0, "notifications": []}  # both are off at first
        studio.at("queue").click()
        page.get_by_label("Sound when a job ends").check()
        assert page.evaluate("heard.tones") == 1  # how it sounds
        page.get_by_label("Notification when a job ends").check()
        page.keyboard.press("Escape")
        run_to_end(studio)
        assert page.evaluate("heard") == {"tones": 2, "notifications": []}  # the page is in sight
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
        studio.shorten(pictures=2)
        run_to_end(studio)
        page.wait_for_function("heard.notifications.length === 1")
        assert page.evaluate("heard") == {"tones": 3, "notifications": [["2 pictures are finished", "a poster"]]}
        studio.shorten(pictures=8, steps=150)
        studio.generate()
        studio.wait_state("state.running?.step > 0")
        studio.at("cancel").click()
        studio.wait_state("!state.jobs.length")
        assert page.evaluate("heard.tones") == 3  # who cancels knows
        page.reload()
        studio.wait_ready()
        studio.at("queue").click()
        expect(page.get_by_label("Sound when a job ends")).to_be_checked()
        page.get_by_label("Sound when a job ends").uncheck()
        assert page.evaluate("heard.tones") == 0


@pytest.mark.parametrize(("width", "height"), [(390, 844), (683, 384)], ids=["phone", "zoomed"])
def test_small_screens_show_progress_and_picture_at_once(
    browser: Browser, fake_site: str, photo: Path, width: int, height: int
) -> None:
    for studio in visit(browser, fake_site, width, height, phone=width < 600):
        page = studio.page
        studio.choose_photo(photo)
        studio.open_tab("canny")
        studio.shorten(pictures=8, steps=150)
        studio.generate()
        studio.wait_state("state.preview")
        for part in (".stage-canvas", "#generate", "#cancel", ".progress"):
            box = page.locator(part).first.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, part
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, part
        canvas = page.locator(".stage-canvas").bounding_box()
        assert canvas and canvas["height"] >= 0.25 * height
        assert studio.state("view") == "result"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SMALL_INPUTS) == []
        studio.at("cancel").click()
        studio.wait_state("!state.jobs.length")
