"""The app in a process of its own, as it is started for measurements."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
APP, FAKE_APP = ("app.py",), ("-m", "tests.browser.fake_app")
"""The app on the embedded model, and the same over an engine without a model."""


@dataclass
class App:
    """The app in a process of its own."""

    url: str
    process: psutil.Process
    started: float
    """Seconds from the start of the process to the whole page."""
    folder: Path
    """Of its pictures (`outputs`) and of its caches and uploads (`cache`)."""

    def megabytes(self) -> tuple[float, float]:
        """Resident memory of the page's process, and of its children."""
        children = 0
        for child in self.process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                children += child.memory_info().rss
        return self.process.memory_info().rss / 1e6, children / 1e6

    def wire_bytes(self) -> int:
        """Bytes of the document as a browser gets them."""
        with httpx.stream("GET", self.url, headers={"Accept-Encoding": "br, gzip"}, timeout=PATIENCE) as answer:
            return len(b"".join(answer.iter_raw()))


@contextmanager
def running_app(program: Sequence[str] = APP, options: Sequence[str] = ()) -> Generator[App]:
    """The app on the embedded model, in a folder of its own; `options` are flags of app.py."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = os.environ | {
            "CNET_BASE": "embedded", "CNET_OFFLINE": "1", "CNET_OUTPUT_DIR": f"{folder}/outputs",
            "CNET_CACHE_DIR": f"{folder}/cache", "GRADIO_TEMP_DIR": f"{folder}/cache/uploads",
        }  # fmt: skip
        command = [sys.executable, *program, "--port", str(port), *options]
        started = time.perf_counter()
        app = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait(url, started)
            yield App(url, psutil.Process(app.pid), time.perf_counter() - started, Path(folder))
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
