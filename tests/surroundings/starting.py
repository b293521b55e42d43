"""The app in a process of its own, in whatever surroundings a test gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.conftest import free_port
from tests.source import ROOT

START = 180.0
"""Seconds the app may take on a busy machine."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""In small letters; what tests do not give is not there, whatever surrounds the tests."""
WITHOUT_RIGHTS = ("setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override")
"""Makes the rights of files hold for root too."""


def bound_by_rights() -> Sequence[str]:
    """Return the words before a command for which the rights of files hold; skip the test where root cannot be bound."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and setpriv, which takes that from it, is not installed")
    return WITHOUT_RIGHTS


@dataclass(frozen=True)
class Running:
    """The app that runs, as a program on this machine meets it."""

    address: str
    log: Path
    process: subprocess.Popen[bytes]
    headers: Mapping[str, str]

    def get(self, path: str = "/") -> httpx.Response:
        """Ask the app, past every proxy."""
        with self._client() as client:
            return client.get(path)

    def post(self, path: str, **what: Any) -> httpx.Response:
        """Send something to the app, past every proxy."""
        with self._client() as client:
            return client.post(path, **what)

    def call(self, name: str, **values: Any) -> dict[str, Any]:
        """Return the answer of one of the page's calls."""
        asked = {"name": name, "values": values, "session": "a" * 32}
        return self.post("/studio/call", json=asked).json()

    def _client(self) -> httpx.Client:
        return httpx.Client(trust_env=False, timeout=120, base_url=self.address, headers=dict(self.headers))


def environment(folder: Path, without: Sequence[str] = (), **variables: str) -> dict[str, str]:
    """Return the variables of a process: those of this one without some, and those given."""
    dropped = (*PROXIES, "cnet_host", "cnet_cache_dir", *(name.lower() for name in without))
    own = {name: value for name, value in os.environ.items() if name.lower() not in dropped}
    return own | {"GRADIO_TEMP_DIR": str(folder / "uploads"), "CNET_CACHE_DIR": str(folder / "cache")} | variables


@contextmanager
def started(
    folder: Path,
    *flags: str,
    environ: Mapping[str, str],
    before: Sequence[str] = (),
    asked: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> Generator[Running]:
    """Start `python app.py` with the embedded model, and wait until it answers at the address `asked`."""
    port, log = free_port(), folder / "log"
    command = [*before, sys.executable, "app.py", "--port", str(port), "--base", "embedded", "--offline"]
    command += ["--output-dir", str(folder / "pictures"), *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environ), stdout=out, stderr=out)
    app = Running(f"http://{asked}:{port}", log, process, headers or {})
    try:
        _wait(app)
        yield app
        assert process.poll() is None, log.read_text(errors="replace")
    finally:
        process.terminate()
        process.wait(30)


def _wait(app: Running) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert app.process.poll() is None, app.log.read_text(errors="replace")
        try:
            if app.get().status_code == 200 and b"Running on" in app.log.read_bytes():
                return  # Gradio asks its own address after it listens, and ends the process where that fails
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"The app did not answer within {START:g} s: {app.log.read_text(errors='replace')}")


def refused(
    *flags: str, environ: Mapping[str, str], before: Sequence[str] = (), first: str = "app.py"
) -> tuple[int, str]:
    """Return exit code and error text of an app that cannot start."""
    command = [*before, sys.executable, first, "--base", "embedded", "--offline", *flags]
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, timeout=START, check=False)
    return done.returncode, done.stderr.decode(errors="replace")
