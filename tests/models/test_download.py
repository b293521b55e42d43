"""Progress of a download, and how it is stopped, whichever way the bytes come."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _xet

from models.catalog import Weights
from models.download import DownloadProgress, SpeedMeter
from models.errors import DownloadError, MissingError
from models.weights import fetch_row, find_row
from tests.models.hub import Hub
from tests.models.test_weights import CONFIG, WHOLE

CHUNK = 64


class StopError(Exception):
    """Raised by a caller to stop."""


def test_speed_is_that_of_the_last_seconds_and_unknown_before() -> None:
    clock = iter([0.0, 0.0, 1.0, 2.0, 10.0, 11.0])
    meter = SpeedMeter("net", lambda: next(clock))
    reports = [meter.report(done, size) for done, size in ((10, 400), (100, 400), (200, 400), (210, None), (220, 400))]
    assert [report.speed for report in reports] == [None, 100.0, 100.0, pytest.approx(10 / 8), pytest.approx(20 / 9)]
    assert [report.seconds_left for report in reports] == [None, 3.0, 2.0, None, pytest.approx(81.0)]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (DownloadProgress("net", 512_000_000, 1_719_000_000, 24e6, 50.4), "net: 512 MB of 1.72 GB, 24 MB/s, 50 s left"),
        (DownloadProgress("net", 5_000_000, None, 1.5e6, None), "net: 5 MB, 1.5 MB/s"),
        (DownloadProgress("net", 0, 5_000_000, None, None), "net: 0 MB of 5 MB"),
        (DownloadProgress("net", 0, 5_000_000, 1e3, 5000.0), "net: 0 MB of 5 MB, 0.001 MB/s, 1 h 23 min left"),
        (DownloadProgress("net", 0, 5_000_000, 3e4, 166.0), "net: 0 MB of 5 MB, 0.03 MB/s, 3 min left"),
    ],
)
def test_progress_as_text(progress: DownloadProgress, text: str) -> None:
    assert progress.text == text


@pytest.fixture
def filled(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with all files of the row, sent in small chunks."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    return hub


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "safetensors" in path.name or "incomplete" in path.name]


def test_the_caller_stops_a_download_within_a_chunk(row: Weights, filled: Hub, tmp_path: Path) -> None:
    reports: list[DownloadProgress] = []

    def stop(progress: DownloadProgress) -> None:
        reports.append(progress)
        if progress.name == "net.fp16.safetensors":
            raise StopError

    assert len(WHOLE) > CHUNK
    with pytest.raises(StopError):
        fetch_row(row, stop)
    assert reports[-1].done == CHUNK
    assert find_row(row) is None
    assert not unfinished(tmp_path)
    assert list(tmp_path.rglob("config.json"))
    fetch_row(row)


class Transfer:
    """Stands for hf_xet, which needs its own storage: reports in a thread of its own, and only prints what that raises."""

    def __init__(self) -> None:
        self.aborted = threading.Event()
        self.counted = 0
        self.broken = False

    def get(self, *, incomplete_path: Path, expected_size: int, tqdm_class: Any, **_: object) -> None:
        bar = tqdm_class(total=expected_size)

        def move() -> None:
            for _ in range(20):
                if self.aborted.is_set():
                    return
                self.counted += 1
                try:
                    bar.update(CHUNK)
                except StopError as error:
                    print(error)

        thread = threading.Thread(target=move)
        thread.start()
        thread.join()
        if self.aborted.is_set() or self.broken:
            raise RuntimeError("Operation cancelled")
        incomplete_path.write_bytes(WHOLE)


@pytest.fixture
def transfer(monkeypatch: pytest.MonkeyPatch, filled: Hub) -> Transfer:
    made = Transfer()

    def data(response: Any, **_: object) -> file_download.XetFileData:
        name = hashlib.sha256(str(response.url).encode()).hexdigest()
        return file_download.XetFileData(file_hash=name, refresh_route="/")

    monkeypatch.setattr(file_download, "parse_xet_file_data_from_response", data)
    monkeypatch.setattr(file_download, "is_xet_available", lambda: True)
    monkeypatch.setattr(file_download, "xet_get", made.get)
    monkeypatch.setattr(_xet, "abort_xet_session", made.aborted.set)
    return made


def test_the_caller_stops_a_transfer_that_swallows_what_its_callbacks_raise(
    row: Weights, transfer: Transfer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(progress: DownloadProgress) -> None:
        raise StopError("enough")

    with pytest.raises(StopError, match="enough"):
        fetch_row(row, stop)
    assert transfer.counted == 1
    assert not unfinished(tmp_path)
    assert capsys.readouterr().out == ""


def test_such_a_transfer_reports_progress_too(row: Weights, transfer: Transfer) -> None:
    reports: list[DownloadProgress] = []
    folder = fetch_row(row, reports.append)
    assert (folder / "net.fp16.safetensors").read_bytes() == WHOLE
    assert [report.done for report in reports if report.name != "config.json"][:2] == [CHUNK, 2 * CHUNK]


def test_a_transfer_that_breaks_off_is_one_sentence(row: Weights, transfer: Transfer) -> None:
    transfer.broken = True
    with pytest.raises(DownloadError, match=r"^Nice edges needs .* broke off \(RuntimeError\); try again"):
        fetch_row(row)


@pytest.mark.parametrize("error", [MissingError("stopped"), OSError("stopped"), KeyboardInterrupt()])
def test_what_the_callback_raises_comes_out_as_it_is(row: Weights, filled: Hub, error: BaseException) -> None:
    def stop(progress: DownloadProgress) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        fetch_row(row, stop)
    assert raised.value is error


def test_what_a_killed_process_left_is_removed(row: Weights, filled: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--someone--nice-edges" / "blobs"
    blobs.mkdir(parents=True)
    old, new = blobs / "abc.1.incomplete", blobs / "abc.2.incomplete"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    fetch_row(row)
    assert not old.exists()
    assert new.exists()  # another process may be writing it
