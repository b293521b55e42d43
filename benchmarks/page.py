"""The running app as its users feel it: `python -m benchmarks.page` starts it and drives its page in Chromium."""

from __future__ import annotations

import argparse
import base64
import io
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from skimage import data

from benchmarks.app.served import PATIENCE, App, running_app
from cnet_app.engine.messages import Close, Ended, Happened, Run, StatusChanged
from cnet_app.engine.process import ProcessEngine
from cnet_app.engine.protocol import EngineStatus, PictureMade
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings

SIDE = 512
PICTURE = 1024
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
)  # fmt: skip
STATE = "document.querySelector('.studio').app.store.state"
TAKE_PHOTO = """async ([bytes, side]) => {
    const { app } = document.querySelector(".studio");
    app.drafts.edit({ size: { mode: "custom", width: side, height: side, fit: "crop" } });
    await app.takeFile(new File([Uint8Array.from(atob(bytes), (sign) => sign.charCodeAt(0))], "photo.png", { type: "image/png" }));
}"""
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begun)))"
MOVE_SLIDER = f"""(value) => new Promise((resolve) => {{
    const {{ app }} = document.querySelector(".studio");
    const slider = document.querySelector(".layer.is-open [id^=high_threshold]:is([type=range])");
    const begun = performance.now();
    const end = app.store.on(({{ maps, draft }}) => maps[draft.open], (map) => {{
        if (!map || map.isBusy || !map.order.includes(`"high_threshold":${{value}}`)) return;
        queueMicrotask(() => end());
        {DRAWN};
    }});
    slider.value = value;
    slider.dispatchEvent(new Event("input", {{ bubbles: true }}));
    slider.dispatchEvent(new Event("change", {{ bubbles: true }}));
}})"""
OPEN_TAB = f"""(id) => new Promise((resolve) => {{
    const begun = performance.now();
    document.getElementById(`tab-${{id}}`).click();
    {DRAWN};
}})"""
START_JOB = """() => {
    const { app } = document.querySelector(".studio");
    app.drafts.edit(({ settings }) => ({ count: 8, settings: { ...settings, num_inference_steps: 150 } }));
    app.jobs.generate();
}"""
STROKE = """(count) => {
    const { tool } = document.querySelector(".studio").app.stage;
    const event = { pressure: 1, kind: "mouse", shift: false, alt: false, ctrl: false };
    tool.pointer({ ...event, type: "down", x: 50, y: 50 });
    const times = Array.from({ length: count }, (_, number) => {
        const begun = performance.now();
        tool.pointer({ ...event, type: "move", x: 250 + 190 * Math.cos(number), y: 250 + 190 * Math.sin(0.7 * number) });
        return performance.now() - begun;
    });
    tool.pointer({ ...event, type: "up", x: 250, y: 250 });
    return times;
}"""


@contextmanager
def opened(app: App, size: tuple[int, int] = (1366, 768)) -> Generator[Page]:
    """The studio in Chromium, with the astronaut as its photo and a picture size of SIDE px."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
        page.goto(app.url)
        page.wait_for_selector(".studio:not([aria-busy])", timeout=1000 * PATIENCE)
        yield page
        browser.close()


def take_photo(page: Page) -> None:
    """Give the page its photo, and open canny."""
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((SIDE, SIDE)).save(buffer, "PNG")
    page.evaluate(TAKE_PHOTO, [base64.b64encode(buffer.getvalue()).decode(), SIDE])
    page.wait_for_function(
        f"Object.keys({STATE}.thumbs).length === {STATE}.tables.conditions.length", timeout=1000 * PATIENCE
    )
    page.locator("#tab-canny").click()
    page.wait_for_function(f"{STATE}.maps[{STATE}.draft.open]?.image", timeout=1000 * PATIENCE)


def slider_times(page: Page, count: int) -> list[float]:
    """Milliseconds from the release of a slider of canny to the drawn map at SIDE px, each at another value."""
    return [page.evaluate(MOVE_SLIDER, 100 + number) for number in range(count)]


def tab_times(page: Page, count: int) -> list[float]:
    """Milliseconds from a click on a tab of the rail to the frame that shows it."""
    tabs = ("canny", "tile", "lineart", "recolor")
    return [page.evaluate(OPEN_TAB, tabs[number % len(tabs)]) for number in range(count)]


def stroke_times(page: Page, count: int) -> list[float]:
    """Milliseconds that one point of a stroke takes in the page."""
    page.evaluate("document.querySelector('.studio').app.startDrawing()")
    page.wait_for_function(f"{STATE}.tool === 'draw'")
    times: list[float] = page.evaluate(STROKE, count)
    return times


@contextmanager
def busy(page: Page) -> Generator[None]:
    """A job runs all the while."""
    page.evaluate(START_JOB)
    page.wait_for_function(f"{STATE}.running?.step > 0", timeout=1000 * PATIENCE)
    yield
    assert page.evaluate(f"{STATE}.running !== null"), "the job ended too early"
    page.evaluate("document.querySelector('#cancel').click()")
    page.wait_for_function(f"!{STATE}.jobs.length", timeout=1000 * PATIENCE)


def restart_time(app: App, page: Page) -> float:
    """Seconds from the engine's death to the page's sentence about it."""
    app.process.children()[-1].kill()
    begun = time.perf_counter()
    page.wait_for_function(f"{STATE}.engine.message || {STATE}.engine.starts > 1", timeout=1000 * PATIENCE)
    return time.perf_counter() - begun


def row(name: str, times: Sequence[float]) -> str:
    """As Markdown."""
    low, middle, high = min(times), statistics.median(times), sorted(times)[int(0.9 * (len(times) - 1))]
    return f"| {name} | {middle:.3g} ms | {low:.3g} | {high:.3g} |"


def hand_over_times(count: int) -> list[float]:
    """Milliseconds that a finished picture of PICTURE px takes from the engine's process to the job that waits for it."""
    engine = ProcessEngine(Settings(engine="process"), _send_pictures)
    request = GenerationRequest(prompt="", num_images=1)
    times: list[float] = []
    try:
        for _ in range(count):
            with closing(engine.run(request)) as events:
                for event in events:
                    assert isinstance(event, PictureMade)
                    times.append(1000 * (time.monotonic() - float(event.facts["sent"])))
    finally:
        engine.close()
    return times


def _send_pictures(connection: Connection, settings: Settings, parent: int) -> None:
    """A child process that answers every task with a picture and the moment at which it was sent."""
    connection.send(StatusChanged(EngineStatus(state="ready")))
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURE, PICTURE, 3), np.uint8)
    while not isinstance(message := connection.recv(), Close):
        if not isinstance(message, Run):
            continue
        sent = PictureMade(index=0, pixels=pixels, facts={"sent": str(time.monotonic())})
        connection.send(Happened(message.number, sent))
        connection.send(Ended(message.number, None))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="times of each measurement (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="starts of the app (default: %(default)s)")
    args = parser.parse_args(arguments)
    starts: list[float] = []
    for _ in range(args.starts):
        with running_app() as app:
            starts.append(app.started)
    print(f"Load {os.getloadavg()[0]:.1f} on {platform.processor() or platform.machine()}, {os.cpu_count()} cores.\n")
    over = hand_over_times(args.count + 1)[1:]  # the first one waits for the child's start
    print(
        f"A picture of {PICTURE} px from the engine: median {statistics.median(over):.1f} ms, at most {max(over):.1f}.\n"
    )
    print(f"Start to page: median {statistics.median(starts):.2f} s, {min(starts):.2f} to {max(starts):.2f} s.\n")
    with running_app() as app, opened(app) as page:
        before = app.megabytes()
        nodes = page.evaluate("document.querySelectorAll('*').length")
        print(f"Document: {app.wire_bytes() / 1000:.0f} kB on the wire, {nodes} nodes at first.\n")
        take_photo(page)
        slider_times(page, 3)
        print("| in the page | median | fastest | 90 % |\n|---|---|---|---|")
        print(row(f"slider to map at {SIDE} px, alone", slider_times(page, args.count)))
        print(row("tab to its frame", tab_times(page, args.count)))
        page.locator("#tab-canny").click()
        with busy(page):
            print(row("slider to map while a job runs", slider_times(page, args.count)))
            print(row("tab to its frame while a job runs", tab_times(page, args.count)))
        print(row("a point of a stroke", stroke_times(page, args.count)))
        print(f"\nThe page reports the engine's death after {restart_time(app, page):.2f} s.")
        page_mb, engine = app.megabytes()
        print(
            f"Memory at the start: page {before[0]:.0f} MB; at the end: page {page_mb:.0f} MB, engine {engine:.0f} MB."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
