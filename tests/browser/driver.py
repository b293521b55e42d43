"""User actions on the page, and its readable state. Waits are for a state, never for a time."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.source import ROOT

REAL = (ROOT / "models" / "embedded" / "base" / "model_index.json").exists()
"""Whether the embedded model is there."""
SHORT = 60_000
LONG = 120_000
"""Milliseconds that the page, and a picture, may take on a busy machine."""
READY = ".studio:not([aria-busy])"
STATE = "document.querySelector('.studio').app.store.state"
DROP = """([bytes, name, type]) => {
    const file = new File([Uint8Array.from(atob(bytes), (sign) => sign.charCodeAt(0))], name, { type });
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    document.querySelector(".studio").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


class StudioPage:
    """The open page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self, id: str) -> Locator:
        return self.page.locator(f"#{id}")

    def wait_ready(self) -> None:
        self.page.wait_for_selector(READY, timeout=LONG)

    def state(self, path: str = "") -> Any:
        """A value of the page's state that can be written as JSON, such as `draft.layers`."""
        return self.page.evaluate(f"JSON.parse(JSON.stringify({STATE}{'.' + path if path else ''} ?? null))")

    def wait_state(self, condition: str, timeout: float = SHORT) -> None:
        """Wait until an expression over `state` holds."""
        self.page.wait_for_function(f"(() => {{ const state = {STATE}; return {condition}; }})()", timeout=timeout)

    def drop(self, path: Path, kind: str = "image/png") -> None:
        """Drop a file on the page."""
        self.page.evaluate(DROP, [base64.b64encode(path.read_bytes()).decode(), path.name, kind])

    def choose_photo(self, path: Path) -> None:
        """Choose a file as the photo of all tabs, and wait until it is taken."""
        self.choosing(self.at("choose-photo").click, path)
        self.wait_state("state.draft.photo && state.frame")

    def choosing(self, act: Callable[[], Any], path: Path) -> None:
        """Do what opens the browser's own choice of a file, and choose this one."""
        with self.page.expect_file_chooser() as chooser:
            act()
        chooser.value.set_files(str(path))

    def open_tab(self, id: str) -> None:
        """Open a condition, and wait for its map where there is a photo."""
        self.at(f"tab-{id}").click()
        if self.state("draft.photo"):
            self.wait_map()

    def wait_map(self) -> None:
        """Wait until the open layer's map is made."""
        self.wait_state("(({ isBusy, image }) => image && !isBusy)(state.maps[state.draft.open] ?? {})", LONG)

    def set_layer(self, **changes: Any) -> None:
        """Change the open layer's settings without the form, to keep a journey short."""
        app = "document.querySelector('.studio').app"
        self.page.evaluate(f"(changes) => {app}.drafts.editLayer({app}.store.state.draft.open, changes)", changes)

    def shorten(self, pictures: int = 1, steps: int = 4) -> None:
        """Little work, so that journeys are quick."""
        self.page.evaluate(
            """([count, num_inference_steps]) => document.querySelector(".studio").app.drafts.edit(
                (draft) => ({ count, settings: { ...draft.settings, num_inference_steps } }))""",
            [pictures, steps],
        )

    def generate(self) -> None:
        self.at("generate").click()

    def pictures_of(self, act: Callable[[], Any], count: int = 1) -> list[Path]:
        """Do what makes pictures, wait for so many new ones and the end of all jobs; their paths, the newest first.

        Older pictures of the machine may come into the filmstrip meanwhile.
        """
        known = {picture["path"] for picture in self.state("pictures")}
        began = time.time()
        act()
        new = f"state.pictures.filter(({{ path, created }}) => created >= {began} && !{json.dumps(sorted(known))}.includes(path))"
        self.wait_state(f"{new}.length >= {count} && !state.jobs.length", LONG)
        made = [picture for picture in self.state("pictures") if picture["created"] >= began]
        return [Path(picture["path"]) for picture in made if picture["path"] not in known]

    def play_example(self, id: str) -> Path:
        """Play a condition's example to its picture."""
        return self.pictures_of(
            lambda: self.page.evaluate(f"document.querySelector('.studio').app.playExample('{id}')")
        )[0]

    def make(self) -> Path:
        """Press Generate, wait for the end, and return the new picture's path."""
        return self.pictures_of(self.generate)[0]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The point of the screen for a point of the frame in px."""
        box = self.page.locator(".stage-canvas").bounding_box()
        place = self.page.evaluate("document.querySelector('.studio').app.stage.place")
        assert box
        return box["x"] + place["x"] + x * place["zoom"], box["y"] + place["y"] + y * place["zoom"]

    def drag(self, *points: tuple[float, float], steps: int = 8) -> None:
        """Drag the mouse over points of the frame."""
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=steps)
        self.page.mouse.up()

    def expect_text(self, id: str, text: str) -> None:
        expect(self.at(id)).to_contain_text(text)
