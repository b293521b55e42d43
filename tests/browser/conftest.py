"""One server and one Chromium for all journeys; every page must stay on this machine and raise no error."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from skimage import data

from tests.browser.driver import REAL, SHORT, StudioPage
from tests.browser.example_run import write_run
from tests.source import ROOT

START = 180.0
"""Seconds the server may take on a busy machine."""
APP = ("app.py",)
FAKE = ("-m", "tests.browser.fake_app")
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
)


@pytest.fixture(scope="session")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def url(output_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The running app. Without the embedded weights its engine is a fake, and what needs a model is skipped."""
    with running(APP if REAL else FAKE, output_dir, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def fake_url(tmp_path: Path) -> Iterator[str]:
    """The app over a fake engine, whose pictures are there at once, with the real request inside."""
    with running(FAKE, tmp_path / "outputs", tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pictures of `fake_site`."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def training(fake_folder: Path) -> Path:
    """The folder of a run that is done, with an invented course, in the outputs of `fake_site`."""
    return write_run(fake_folder).path


@pytest.fixture(scope="session")
def fake_site(fake_folder: Path, training: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, shared by tests that do not look at all of its folders."""
    with running(FAKE, fake_folder, tmp_path_factory.mktemp("server")) as url:
        yield url


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(entry: Sequence[str], output_dir: Path, folder: Path, port: int = 0) -> Iterator[str]:
    """The app in a process of its own, at a free port where none is given."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environ = {
        **os.environ,
        "CNET_BASE": "embedded",
        "CNET_CACHE_DIR": str(folder / "cache"),
        "CNET_OFFLINE": "1",
        "CNET_OUTPUT_DIR": str(output_dir),
        "CNET_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, *entry], cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/", server, folder / "log")
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"The app did not answer within {START:g} s: {log.read_text()}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is not installed; run make test, or install it (Debian: apt-get install chromium)."
    expect.set_options(timeout=SHORT)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture
def studio(browser: Browser, url: str) -> Iterator[StudioPage]:
    """A fresh visitor on a desktop screen."""
    yield from visit(browser, url, width=1280, height=900)


def visit(
    browser: Browser, url: str, width: int, height: int, phone: bool = False, dark: bool = False
) -> Iterator[StudioPage]:
    """The open page of a new visitor, checked at its end."""
    with visitor(browser, url, width, height, phone, dark) as context:
        yield open_page(context.new_page(), url)


@contextmanager
def visitor(
    browser: Browser, url: str, width: int, height: int, phone: bool = False, dark: bool = False
) -> Iterator[BrowserContext]:
    """A visitor's pages; at the end nothing may have been asked of another host, and no script may have failed."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        is_mobile=phone,
        has_touch=phone,
        color_scheme="dark" if dark else "light",
        accept_downloads=True,
    )
    strange: list[str] = []
    faults: list[str] = []
    context.on("request", lambda request: strange.append(request.url) if _is_strange(request.url, url) else None)
    context.on("weberror", lambda error: faults.append(str(error.error)))
    try:
        yield context
    finally:
        context.close()
    assert not strange, strange
    assert not faults, faults


def open_page(page: Page, url: str) -> StudioPage:
    """Open the page and wait until it is built."""
    page.set_default_timeout(SHORT)
    page.goto(url)
    studio = StudioPage(page)
    studio.wait_ready()
    return studio


def _is_strange(asked: str, url: str) -> bool:
    return not asked.startswith((url, "data:", "blob:"))


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut, 256 px."""
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::2, ::2])).save(path)
    return path
