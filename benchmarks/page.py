"""The running app as its users feel it: `python -m benchmarks.page` starts it and posts what a browser would post."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image
from skimage import data

from cnet_app.engine.messages import Close, Ended, Happened, Run, StatusChanged
from cnet_app.engine.process import ProcessEngine
from cnet_app.engine.protocol import EngineStatus, PictureMade
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings

ROOT = Path(__file__).parent.parent
SIDE = 512
PICTURE = 1024
PATIENCE = 120.0


@dataclass
class App:
    """The app in a process of its own."""

    url: str
    process: psutil.Process
    started: float
    """Seconds from the start of the process to the whole page."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.config = httpx.get(f"{self.url}config", timeout=PATIENCE).json()

    def upload(self, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
        """A picture as the page names it."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files = {"files": (f"{secrets.token_hex(4)}.png", buffer.getvalue(), "image/png")}
        (path,) = httpx.post(f"{self.url}gradio_api/upload", files=files, timeout=PATIENCE).json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def send(self, elem_id: str, event: str, session: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Trigger an event of a component with the page's first values and these, by element id; its last output."""
        ids = {c["id"]: c for c in self.config["components"]}
        by_name = {c["props"].get("elem_id"): c["id"] for c in self.config["components"]}
        dependencies = self.config["dependencies"]
        triggered = [d["id"] for d in dependencies if [by_name[elem_id], event] in d["targets"]]
        # A listener of a picture comes after a step in the browser.
        dependency = next(
            d for d in dependencies if d["backend_fn"] and (d["id"] in triggered or d["trigger_after"] in triggered)
        )
        named = {by_name[name]: value for name, value in values.items()}
        inputs = [named.get(id, ids[id]["props"].get("value")) for id in dependency["inputs"]]
        body = {"data": inputs, "fn_index": dependency["id"], "session_hash": session}
        httpx.post(f"{self.url}gradio_api/queue/join", json=body, timeout=PATIENCE).raise_for_status()
        output: dict[str, Any] = {}
        parameters = {"session_hash": session}
        with httpx.stream("GET", f"{self.url}gradio_api/queue/data", params=parameters, timeout=PATIENCE) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:") or "{}")
                if message.get("msg") in ("process_generating", "process_completed"):
                    output |= {name: value for name, value in message["output"].items() if value}
                if message.get("msg") == "process_completed":
                    return output
        raise SystemExit("The app closed the connection.")

    def megabytes(self) -> tuple[float, float]:
        """Resident memory of the page's process, and of its children."""
        children = sum(child.memory_info().rss for child in self.process.children(recursive=True))
        return self.process.memory_info().rss / 1e6, children / 1e6


@contextmanager
def running_app() -> Generator[App]:
    """The app on the embedded model, in a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "CNET_BASE": "embedded", "CNET_OFFLINE": "1", "CNET_OUTPUT_DIR": f"{folder}/outputs",
            "CNET_CACHE_DIR": f"{folder}/cache", "GRADIO_TEMP_DIR": f"{folder}/uploads",
        }  # fmt: skip
        command = [sys.executable, "app.py", "--port", str(port)]
        started = time.perf_counter()
        app = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait(url, started)
            yield App(url, psutil.Process(app.pid), time.perf_counter() - started)
        finally:
            app.terminate()
            app.wait(30)


def _wait(url: str, started: float) -> None:
    while time.perf_counter() - started < PATIENCE:
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise SystemExit(f"The app gave no page within {PATIENCE:g} s.")


def canny_times(app: App, count: int) -> list[float]:
    """Milliseconds from a change of the photo to its map at SIDE px, each of another photo."""
    photo = np.array(Image.fromarray(data.astronaut()).resize((SIDE, SIDE)))
    session, times = secrets.token_hex(4), list[float]()
    for number in range(count):
        uploaded = app.upload(np.roll(photo, secrets.randbelow(SIDE) + number, axis=1))
        started = time.perf_counter()
        output = app.send(
            "canny-photo", "change", session, {"canny-photo": uploaded, "create-width": SIDE, "create-height": SIDE}
        )
        times.append(1000 * (time.perf_counter() - started))
        assert "error" not in output, output
    return times


@contextmanager
def busy(app: App, elem_id: str, values: Mapping[str, Any]) -> Generator[None]:
    """Another user keeps an event running."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            photo = app.upload(np.roll(data.coffee(), secrets.randbelow(300), axis=0))
            given = {name: photo if value == "photo" else value for name, value in values.items()}
            app.send(elem_id, "click", secrets.token_hex(4), given)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    time.sleep(1.0)
    yield
    stop.set()
    worker.join(PATIENCE)


def row(name: str, times: Sequence[float]) -> str:
    """As Markdown."""
    low, middle, high = min(times), statistics.median(times), sorted(times)[int(0.9 * (len(times) - 1))]
    return f"| {name} | {middle:.0f} ms | {low:.0f} | {high:.0f} |"


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
    parser.add_argument("--count", type=int, default=20, help="maps of each measurement (default: %(default)s)")
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
    with running_app() as app:
        before = app.megabytes()
        canny_times(app, 3)
        print(f"| canny at {SIDE} px | median | fastest | 90 % |\n|---|---|---|---|")
        print(row("alone", canny_times(app, args.count)))
        with busy(app, "canny-go", {"canny-photo": "photo", "create-num_images": 8}):
            print(row("while a job of another user runs", canny_times(app, args.count)))
        with busy(app, "all-make", {"all-photo": "photo", "all-every": True}):
            print(row("while another user makes all maps", canny_times(app, args.count)))
        page, engine = app.megabytes()
        print(
            f"\nMemory at the start: page {before[0]:.0f} MB; at the end: page {page:.0f} MB, engine {engine:.0f} MB."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
