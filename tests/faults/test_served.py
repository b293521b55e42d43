"""Uploads over HTTP to a disk that is full, closed, or whose folder is removed."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.pictures import encode_png
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app
from tests.faults.conftest import Disk, is_sentence
from tests.jobs.fake_engine import FakeEngine

pytestmark = pytest.mark.slow
PHOTO = encode_png(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
HEAD = b'--line\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


@pytest.fixture
def address(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an app whose uploads, and the system's temporary files, are on the disk."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(disk.folder / "uploads"))
    (disk.folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder / "temporary"))
    settings = Settings(output_dir=tmp_path / "pictures", cache_dir=str(tmp_path / "cache"))
    runner, maps = Runner(settings, FakeEngine()), Maps(run_here(Runtime()))
    app = build_app(settings, runner, maps, Sweeps(settings.output_dir, runner, open_work(maps)))
    yield app.launch(server_name="127.0.0.1", quiet=True).rstrip("/")
    app.blocks.close(verbose=False)
    runner.close()


def upload(address: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(f"{address}/gradio_api/upload", files={"files": ("photo.png", PHOTO, "image/png")})


def test_an_upload_that_finds_no_room_is_a_sentence_and_the_next_one_works(address: str, disk: Disk) -> None:
    assert upload(address).status_code == 200
    before = disk.files()
    disk.fill(leave=4096)
    refused = upload(address)
    assert refused.status_code == 507
    assert is_sentence(refused.json()["error"]) and "disk is full" in refused.json()["error"]
    assert disk.files() == before
    disk.make_room()
    shutil.rmtree(disk.folder / "uploads")  # as programs that tidy temporary folders do
    path = upload(address).json()[0]
    assert Path(path).read_bytes() == PHOTO


def test_an_upload_whose_sender_goes_leaves_nothing(address: str, disk: Disk) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as sender:
        sender.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(HEAD) + len(PHOTO)}\r\n"
            "Content-Type: multipart/form-data; boundary=line\r\n\r\n".encode()
            + HEAD
            + PHOTO[:100_000]
        )
        wait_until(lambda: bool(disk.files()))
    wait_until(lambda: not disk.files())
    assert upload(address).status_code == 200


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)
