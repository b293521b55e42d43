"""What hands do to the page: strokes between everything else, palms, double clicks, held keys, dragged sliders, two tabs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from tests.browser.conftest import open_page, visitor
from tests.browser.test_paint import APP, Easel

pytestmark = pytest.mark.browser

NO_WEBGL = """const open = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : open.call(this, kind, ...rest);
};"""
PASTE = """([bytes]) => {
  const clipboardData = new DataTransfer();
  const content = Uint8Array.from(atob(bytes), (sign) => sign.charCodeAt(0));
  clipboardData.items.add(new File([content], "pasted.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""
OTHER_TAB = "This work is open in another tab too; the one that is changed last is kept."


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 8 megapixels."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    Image.fromarray(np.asarray(data.astronaut())).resize((3264, 2448)).save(path)
    return path


def test_strokes_stay_whatever_is_done_between_them(browser: Browser, fake_site: str, large: Path, photo: Path) -> None:
    with visitor(browser, fake_site, 1366, 768) as context:
        context.add_init_script(NO_WEBGL)
        studio, page = open_page(context.new_page(), fake_site), context.pages[0]
        easel = Easel(page)
        studio.choose_photo(large)
        easel.take("scribble", "draw")
        easel.drag((20, 20), (200, 120))
        drawn = easel.drawn()

        studio.at("tab-canny").click()
        page.emulate_media(color_scheme="dark")
        for width, height in ((800, 600), (600, 800), (1366, 768)):
            page.set_viewport_size({"width": width, "height": height})
        studio.at("tab-scribble").click()
        if studio.state("tool") != "draw":
            studio.at("tool-draw").click()
        page.wait_for_selector(".paint-panel")
        easel.option("Size", 30)
        easel.mode("erase")
        easel.mode("brush")
        assert np.array_equal(easel.drawn(), drawn)

        page.mouse.move(*easel.screen(30, 150))
        page.mouse.down()
        page.mouse.move(*easel.screen(90, 150))
        page.evaluate(PASTE, [base64.b64encode(photo.read_bytes()).decode()])
        studio.wait_state("state.draft.photo?.name === 'pasted.png'")
        page.mouse.move(*easel.screen(150, 150))
        page.mouse.up()
        studio.wait_state("state.frame.width === 256")
        kept = easel.shown()  # fitted into the frame of the new photo
        assert (kept > 127).sum() > 0.5 * (drawn > 127).sum()
        easel.drag((30, 200), (150, 200))
        assert (easel.drawn()[200, 40:140] > 127).all()

        _undo_and_clear(easel)


def _undo_and_clear(easel: Easel) -> None:
    page = easel.page
    for _ in range(2):
        easel.press("Clear")
    assert easel.read("layer.drawing") is None
    page.evaluate(f"for (let step = 0; step < 210; step += 1) {APP}.drafts.undo()")
    assert page.evaluate(f"{APP}.drafts.now.layers.length") == 0
    page.evaluate(f"for (let step = 0; step < 210; step += 1) {APP}.drafts.redo()")
    page.evaluate(f"{APP}.drafts.undo()")
    assert easel.read("layer.drawing") is not None


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_a_drawing_has_exactly_the_size_of_the_picture(browser: Browser, fake_site: str, ratio: int) -> None:
    with visitor(browser, fake_site, 900, 700) as context:
        studio, page = open_page(context.new_page(), fake_site), context.pages[0]
        sizes = {"width": 900, "height": 700, "deviceScaleFactor": ratio, "mobile": False}
        context.new_cdp_session(page).send("Emulation.setDeviceMetricsOverride", sizes)
        page.evaluate(f"{APP}.drafts.edit({{ size: {{ mode: 'custom', width: 1023, height: 767, fit: 'crop' }} }})")
        studio.wait_state("state.frame?.width === 1023")
        easel = Easel(page)
        easel.take("scribble", "draw")
        easel.drag((300, 200), (900, 200))
        drawn = easel.drawn()
        assert drawn.shape == (767, 1023)
        columns = np.flatnonzero(drawn[200] > 127)
        assert abs(columns[0] - 300) < 12 and abs(columns[-1] - 900) < 12
        assert abs(np.flatnonzero(drawn[:, 600] > 127).mean() - 200) < 3


def test_two_fingers_and_a_palm_draw_nothing_and_the_page_does_not_scroll(browser: Browser, fake_site: str) -> None:
    with visitor(browser, fake_site, 820, 1180, phone=True) as context:
        open_page(context.new_page(), fake_site)
        easel = Easel(context.pages[0])
        easel.take("scribble", "draw")
        touch = easel.page.context.new_cdp_session(easel.page)
        finger = [easel.screen(40 + 20 * step, 60) for step in range(8)]
        _touch(touch, [[point] for point in finger])
        one = easel.drawn()
        assert (one[60, 40:180] > 127).all()
        place = easel.page.evaluate(f"{APP}.stage.place")
        _touch(touch, [[(x, y + 200), (x + 80, y + 300 + 10 * step)] for step, (x, y) in enumerate(finger)])
        assert np.array_equal(easel.drawn(), one)
        assert easel.page.evaluate(f"{APP}.stage.place") != place

        easel.page.evaluate(f"{APP}.stage.fit()")
        pen = easel.page.context.new_cdp_session(easel.page)
        easel.send_pen(pen, "mousePressed", 30, 200, 0.8)
        for step in range(8):
            x, y = easel.screen(30 + 20 * step, 20)
            palm = {"type": "touchMove" if step else "touchStart", "touchPoints": [{"x": x, "y": y, "id": 0}]}
            touch.send("Input.dispatchTouchEvent", palm)
            easel.send_pen(pen, "mouseMoved", 30 + 20 * step, 200, 0.8)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        easel.send_pen(pen, "mouseReleased", 170, 200, 0.0)
        both = easel.drawn()
        assert (both[200, 30:160] > 127).all()
        assert not both[:40].any()
        assert easel.page.evaluate("[scrollX, scrollY]") == [0, 0]


def _touch(session: Any, places: list[list[tuple[float, float]]]) -> None:
    """Put fingers down, move them over the places, and lift them."""
    for step, points in enumerate(places):
        touches = [{"x": x, "y": y, "id": id} for id, (x, y) in enumerate(points)]
        session.send(
            "Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": touches}
        )
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def _sent(page: Page) -> list[str]:
    """The names of the calls that the page makes from here on."""
    names: list[str] = []

    def take(request: Any) -> None:
        if request.url.endswith("/studio/call"):
            names.append(request.post_data_json["name"])

    page.on("request", take)
    return names


def test_double_clicks_held_keys_and_dragged_sliders_ask_once_and_two_tabs_are_told(
    browser: Browser, fake_site: str, photo: Path
) -> None:
    with visitor(browser, fake_site, 1366, 768) as context:
        studio, page = open_page(context.new_page(), fake_site), context.pages[0]
        studio.choose_photo(photo)
        studio.open_tab("canny")
        studio.shorten()
        calls = _sent(page)
        studio.pictures_of(lambda: studio.at("generate").dblclick())
        assert calls.count("generate") == 1
        held = "(repeat) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, repeat, bubbles: true }))"
        studio.pictures_of(lambda: page.evaluate(f"[false, true, true, true].forEach({held})"))
        assert calls.count("generate") == 2

        calls.clear()
        page.evaluate(
            f"""async () => {{
              for (let low = 20; low < 120; low += 1) {{
                {APP}.drafts.editLayer({APP}.drafts.now.open, {{ parameters: {{ low_threshold: low, high_threshold: 200 }} }}, "low");
                await new Promise((done) => setTimeout(done, 2));
              }}
            }}"""
        )
        studio.wait_map()
        assert 1 <= calls.count("map") <= 40
        assert '"low_threshold":119' in studio.state("maps")[studio.state("draft.open")]["order"]

        other = open_page(context.new_page(), fake_site)
        other.at("prompt").fill("written in the other tab")
        page.bring_to_front()
        expect(page.locator(".notes")).to_contain_text(OTHER_TAB)
        page.evaluate("window.dispatchEvent(new Event('pagehide'))")  # saves nothing: nothing was changed here
        again = open_page(context.new_page(), fake_site)
        expect(again.at("prompt")).to_have_value("written in the other tab")
