"""What is painted on the stage: strokes, masks, weights and classes, with mouse, pen and keyboard."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from tests.browser.conftest import visitor

pytestmark = pytest.mark.browser

SIDE = 256
"""Of the frame where there is no photo, with the embedded model."""
APP = "document.querySelector('.studio').app"
READ = f"""async (path) => {{
  const app = {APP};
  const held = path.split(".").reduce((value, name) => value?.[name], {{ ...app.drafts.now, layer: app.drafts.now.layers[0] }});
  if (!held) return null;
  const bytes = new Uint8Array(await (await app.blobs.get(held.key)).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}}"""
SLOW_SAVES = """() => {
  const toBlob = HTMLCanvasElement.prototype.toBlob;
  let wait = 800;
  HTMLCanvasElement.prototype.toBlob = function (take, ...rest) {
    wait -= 200;
    toBlob.call(this, (blob) => setTimeout(() => take(blob), wait), ...rest);
  };
}"""
"""The first save ends last."""
RECORD_NOTES = f"""() => {{
  window.notes = [];
  const {{ store }} = {APP};
  store.on(({{ messages }}) => messages, (messages) => window.notes.push(...messages.map(({{ text }}) => text)));
}}"""
TIME_MOVES = f"""() => {{
  const tool = {APP}.stage.tool;
  const event = {{ pressure: 1, kind: "mouse", shift: false, alt: false, ctrl: false }};
  tool.pointer({{ ...event, type: "down", x: 100, y: 100 }});
  const times = Array.from({{ length: 200 }}, (_, index) => {{
    const begun = performance.now();
    tool.pointer({{ ...event, type: "move", x: 128 + 90 * Math.cos(index), y: 128 + 90 * Math.sin(index * 0.7) }});
    return performance.now() - begun;
  }});
  tool.pointer({{ ...event, type: "up", x: 128, y: 128 }});
  return times.sort((one, other) => one - other)[100];
}}"""


class Easel:
    """The page with a tool of the stage in the hand; places are in pixels of the frame."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.evaluate(RECORD_NOTES)

    def notes(self) -> list[str]:
        """Every note since the page was opened; a shown note goes after some seconds."""
        notes: list[str] = self.page.evaluate("window.notes")
        return notes

    def take(self, condition: str, tool: str) -> None:
        self.page.locator(f"#tab-{condition}").click()
        self.page.locator(f"#tool-{tool}").click()
        self.page.wait_for_selector(".paint-panel")
        self.settle()

    def settle(self) -> None:
        """Wait until the stage has its size: a panel that opens changes it, and moves every place."""
        moved = f"""async () => {{
            const place = () => JSON.stringify([{APP}.stage.place, document.querySelector(".studio").getBoundingClientRect()]);
            const before = place();
            for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
            return before === place();
        }}"""
        self.page.wait_for_function(moved)

    def mode(self, name: str) -> None:
        self.page.locator(f'.paint-modes [data-mode="{name}"]').click()

    def option(self, label: str, value: float) -> None:
        self.page.locator(".paint-panel").get_by_label(label).first.fill(str(value))

    def press(self, label: str) -> None:
        self.page.locator(".paint-panel").get_by_role("button", name=label, exact=True).click()

    def click(self, x: float, y: float, **more: Any) -> None:
        self.page.mouse.click(*self.screen(x, y), **more)

    def drag(self, *places: tuple[float, float], steps: int = 1) -> None:
        first, *rest = (self.screen(*place) for place in places)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for x, y in rest:
            self.page.mouse.move(x, y, steps=steps)
        self.page.mouse.up()

    def pen(self, *places: tuple[float, float, float]) -> None:
        """Draw with a pen: x, y and pressure from 0 to 1."""
        client = self.page.context.new_cdp_session(self.page)
        for index, (x, y, force) in enumerate(places):
            kind = "mousePressed" if index == 0 else "mouseMoved"
            self.send_pen(client, kind, x, y, force)
        self.send_pen(client, "mouseReleased", *places[-1][:2], 0.0)

    def send_pen(self, client: Any, kind: str, x: float, y: float, force: float) -> None:
        left, top = self.screen(x, y)
        values = {"type": kind, "x": left, "y": top, "force": force, "pointerType": "pen"}
        client.send("Input.dispatchMouseEvent", values | {"button": "left", "buttons": 1, "clickCount": 1})

    def screen(self, x: float, y: float) -> tuple[float, float]:
        place = f"""([x, y]) => {{
          const {{ canvas, place }} = {APP}.stage;
          const box = canvas.getBoundingClientRect();
          return [box.left + place.x + x * place.zoom, box.top + place.y + y * place.zoom];
        }}"""
        left, top = self.page.evaluate(place, [x, y])
        return left, top

    def read(self, path: str) -> NDArray[np.uint8] | None:
        """The picture that the draft keeps, such as "layer.drawing"; (H, W, 3). None where there is none."""
        data = self.page.evaluate(READ, path)
        return None if data is None else np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def drawn(self, path: str = "layer.drawing") -> NDArray[np.uint8]:
        """One channel of it, with all that was painted so far."""
        self.wait_loaded()
        pixels = self.read(path)
        assert pixels is not None
        assert (pixels == pixels[..., :1]).all()
        return pixels[..., 0]

    def wait_loaded(self) -> None:
        self.page.wait_for_function(f"!{APP}.stage.tool.sheet.isLoading")

    def shown(self, height: int = SIDE) -> NDArray[np.uint8]:
        """The levels of the raster that the tool shows."""
        self.wait_loaded()
        levels = self.page.evaluate(f"Array.from({APP}.stage.tool.sheet.raster.levels)")
        return np.array(levels, np.uint8).reshape(height, -1)


@pytest.fixture
def easel(browser: Browser, fake_site: str) -> Iterator[Easel]:
    with visitor(browser, fake_site, 1366, 768) as context:
        page = context.new_page()
        open_studio(page, fake_site)
        yield Easel(page)


def open_studio(page: Page, fake_site: str) -> None:
    page.goto(fake_site)
    page.wait_for_selector(".studio:not([aria-busy])")


def parts(levels: NDArray[np.uint8]) -> int:
    """How many parts are drawn that do not touch."""
    return cv2.connectedComponents((levels > 127).astype(np.uint8))[0] - 1


def test_strokes_are_smooth_whole_undone_and_there_after_a_reload(easel: Easel, fake_site: str) -> None:
    easel.take("scribble", "draw")
    easel.drag((20, 20), (230, 60), (40, 110))
    fast = easel.drawn()
    assert fast.shape == (SIDE, SIDE)
    assert parts(fast) == 1
    assert fast.max() == 255
    assert ((fast > 0) & (fast < 255)).sum() > 100, "borders are not smooth"
    assert fast[0, 0] == 0

    easel.option("Size", 40)
    easel.pen((30, 180, 0.1), *((30 + 4 * step, 180, 0.1 + 0.018 * step) for step in range(51)))
    both = easel.drawn()
    widths = (both[130:] > 127).sum(axis=0)
    assert 4 <= widths[40] < widths[120] < widths[220] <= 41
    assert widths[220] > 3 * widths[40]

    sizes: list[float] = []
    for key in ("e", "]", "b", "["):
        easel.page.keyboard.press(key)
        sizes.append(easel.page.evaluate(f"{APP}.stage.tool.options.state.size"))
        mode = "erase" if key in "e]" else "brush"
        assert easel.page.evaluate(f"{APP}.stage.tool.options.state.mode") == mode
    assert sizes == [40, 50, 50, 40]

    easel.page.keyboard.press("Control+z")
    assert np.array_equal(easel.shown(), fast)
    easel.page.keyboard.press("Control+y")
    assert np.array_equal(easel.shown(), both)
    easel.press("Clear")
    assert easel.read("layer.drawing") is None
    assert not easel.shown().any()
    easel.press("Undo (Ctrl+Z)")
    assert np.array_equal(easel.shown(), both)

    easel.page.wait_for_timeout(600)  # the draft is written with a delay
    open_studio(easel.page, fake_site)
    easel.page.locator("#tool-draw").click()
    easel.page.wait_for_selector(".paint-panel")
    assert np.array_equal(easel.shown(), both)
    assert easel.page.evaluate(TIME_MOVES) <= 16


def test_a_detected_map_is_drawn_further_and_kept_in_another_frame(easel: Easel, photo: Path) -> None:
    with easel.page.expect_file_chooser() as chooser:
        easel.page.locator("#choose-photo").click()
    chooser.value.set_files(photo)
    easel.page.wait_for_function(f"{APP}.drafts.now.photo")
    easel.take("scribble", "draw")
    easel.page.wait_for_function(f"{APP}.stage.map")
    easel.press("Start from the map")
    easel.page.wait_for_function(f"{APP}.drafts.now.layers[0].drawing")
    detected = easel.drawn()
    assert 0.01 < (detected > 127).mean() < 0.5

    easel.mode("erase")
    easel.option("Size", 60)
    easel.drag((20, 128), (236, 128))
    erased = easel.drawn()
    assert not erased[110:146, 30:226].any()
    assert np.array_equal(erased[:90], detected[:90])

    easel.page.evaluate(f"{APP}.drafts.edit({{ size: {{ mode: 'custom', width: 384, height: 384, fit: 'crop' }} }})")
    easel.page.wait_for_function(f"{APP}.stage.tool.sheet.raster?.width === 384")
    larger = easel.shown(384)
    assert not larger[170:214, 60:320].any()
    assert abs(float((larger > 127).mean()) - float((erased > 127).mean())) < 0.02
    assert "The drawing was made at 256 × 256; it is fitted into 384 × 384." in easel.notes()


def test_strokes_during_slow_saves_keep_their_order(easel: Easel) -> None:
    easel.take("scribble", "draw")
    easel.page.evaluate(SLOW_SAVES)
    for row in (40, 100, 160):
        easel.drag((30, row), (220, row))
    assert parts(easel.drawn()) == 3
    easel.page.keyboard.press("Control+z")
    easel.drag((30, 220), (220, 220))
    assert easel.drawn()[[40, 100, 160, 220], 120].tolist() == [255, 255, 0, 255]
    for left in (2, 1):
        easel.page.keyboard.press("Control+z")
        assert parts(easel.shown()) == left


def test_a_mask_by_keyboard_and_weights_by_mouse(easel: Easel) -> None:
    easel.take("canny", "mask")
    easel.page.locator(".stage-canvas").focus()
    for key in ("Shift+ArrowLeft", "Space", *["Shift+ArrowRight"] * 5):
        easel.page.keyboard.press(key)
    easel.page.mouse.move(*easel.screen(20, 20))  # does not lift the keyboard's pen
    easel.page.keyboard.press("Space")
    line = easel.drawn("layer.mask")
    assert (line[128, 110:175] == 255).all()
    assert parts(line) == 1
    easel.press("Grow")
    assert (easel.drawn("layer.mask") > 127).sum() > (line > 127).sum()
    easel.press("Invert")
    assert easel.drawn("layer.mask")[128, 130] == 0
    easel.page.locator(".stage-canvas").focus()
    easel.page.keyboard.press("ArrowUp")
    easel.page.keyboard.press("Enter")
    assert (easel.drawn("layer.mask") == 255).all(), "the fill left a seam"

    easel.page.locator("#tool-weights").click()
    easel.page.get_by_label("Soft brush").uncheck()
    for value, row in ((-1, 30), (0, 100), (0.5, 170)):
        easel.page.locator(f'.paint-values [data-value="{value}"]').click()
        easel.drag((40, row), (200, row))
    assert easel.drawn("layer.weight_map")[[30, 100, 170, 240], 120].tolist() == [1, 128, 192, 255]
    assert easel.read("layer.mask") is None, "a layer takes one of the two"
    easel.press("Invert")
    assert easel.drawn("layer.weight_map")[[30, 100, 170, 240], 120].tolist() == [255, 128, 64, 1]


def test_painted_classes_are_exact(easel: Easel, tmp_path: Path) -> None:
    sky, tree, sea = (ADE20K_PALETTE[ADE20K_CLASSES.index(name)] for name in ("sky", "tree", "sea"))
    easel.take("segmentation", "classes")
    search = easel.page.locator(".paint-search")
    search.fill("sk")
    assert easel.page.locator(".paint-class").first.text_content() == "sky"
    search.press("Enter")
    easel.drag((30, 40), (90, 200), (220, 90), steps=4)
    search.fill("tre")
    search.press("Enter")
    easel.mode("polygon")
    for corner in ((150, 150), (240, 160), (200, 240)):
        easel.click(*corner)
    easel.page.keyboard.press("Enter")
    easel.page.get_by_label("sea", exact=True).check()
    easel.mode("fill")
    easel.click(5, 5)
    easel.mode("erase")
    easel.drag((200, 200), (200, 201))
    pixels = easel.read("layer.classes")
    assert pixels is not None
    used = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    assert used == {(0, 0, 0), *(tuple(colour.tolist()) for colour in (sky, tree, sea))}
    assert [tuple(pixels[y, x]) for y, x in ((40, 30), (5, 5), (160, 200), (200, 200))] == [
        tuple(sky), tuple(sea), tuple(tree), (0, 0, 0),
    ]  # fmt: skip
    easel.mode("brush")
    easel.page.keyboard.down("Alt")
    easel.click(30, 40)
    easel.page.keyboard.up("Alt")
    assert easel.page.locator(".paint-panel").get_by_label("sky").first.is_checked()

    Image.fromarray(pixels[::-1]).save(tmp_path / "upside_down.png")
    with easel.page.expect_file_chooser() as chooser:
        easel.press("Load…")
    chooser.value.set_files(tmp_path / "upside_down.png")
    easel.page.wait_for_function(f"{APP}.drafts.now.layers[0].classes")
    easel.page.wait_for_function(f"{APP}.stage.tool.sheet.raster.labelAt(30, {SIDE - 41}) > 0")
    loaded = easel.read("layer.classes")
    assert loaded is not None
    assert np.array_equal(loaded, pixels[::-1])
