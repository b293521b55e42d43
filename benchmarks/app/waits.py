"""The times a user waits for: the app's start to its page, and a photo to four pictures of the embedded model."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a start counts as failed."""


def seconds_to_page() -> float:
    """From starting app.py to a whole page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "app.py", "--port", str(port), "--output-dir", folder]
        app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while time.perf_counter() - started < PATIENCE:
                if _answers(f"http://127.0.0.1:{port}/"):
                    return time.perf_counter() - started
                time.sleep(0.05)
        finally:
            app.terminate()
            app.wait()
    raise SystemExit(f"The app gave no page within {PATIENCE:g} s.")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as page:
            return page.status == 200 and len(page.read()) > 0
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def generation_times(num_images: int = 4) -> dict[str, float]:
    """The astronaut's edges steer pictures of the embedded model: seconds for each part."""
    from skimage import data

    from annotators.runtime import Runtime
    from cnet_app.engine.protocol import PictureMade
    from cnet_app.engine.torch_engine import TorchEngine
    from cnet_app.maps.annotate import Maps, build_unit, run_here
    from cnet_app.request.generation import GenerationRequest
    from cnet_app.settings import Settings

    times: dict[str, float] = {}
    engine = _timed(times, "load", lambda: TorchEngine(Settings(base="embedded", device="cpu")))
    _timed(times, "load", engine.warm_up)
    maps = Maps(run_here(Runtime()))
    unit = _timed(times, "map", lambda: build_unit("canny", maps.annotate("canny", "canny", data.astronaut())))
    request = GenerationRequest(units=(unit,), prompt="a poster in ocean colours", num_images=num_images)
    started = time.perf_counter()
    made = [time.perf_counter() for event in engine.run(request) if isinstance(event, PictureMade)]
    times["pictures"] = made[-1] - started
    times["a_picture"] = times["pictures"] / num_images
    times["total"] = times["load"] + times["map"] + times["pictures"]
    return times


def _timed(times: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    times[name] = times.get(name, 0.0) + time.perf_counter() - started
    return result
