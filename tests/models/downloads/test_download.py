"""Progress of a download, and how it is stopped, whichever way the bytes come."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from models.catalogue.catalog import Weights
from models.catalogue.weights import fetch_row, find_row
from models.downloads.download import DownloadProgress, SpeedMeter
from models.errors import MissingError
from tests.models.catalogue.test_weights import CONFIG, WHOLE
from tests.models.downloads.hub import Hub


class StopError(Exception):
    """Raised by a caller to stop."""


def test_speed_is_that_of_the_last_seconds_and_unknown_before() -> None:
    clock = iter([0.0, 0.0, 1.0, 2.0, 10.0, 11.0])
    meter = SpeedMeter("net", clock=lambda: next(clock))
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


def test_the_speed_of_a_file_that_is_continued_counts_what_comes_now() -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0])
    meter = SpeedMeter("net", 600, lambda: next(clock))
    assert [meter.report(done, 1000).speed for done in (700, 800, 100)] == [100.0, 100.0, None]


@pytest.fixture
def filled(row: Weights, hub: Hub) -> Hub:
    """A hub with all files of the row."""
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    return hub


def test_the_caller_stops_a_download_before_its_name_is_there(row: Weights, filled: Hub, tmp_path: Path) -> None:
    reports: list[DownloadProgress] = []

    def stop(progress: DownloadProgress) -> None:
        reports.append(progress)
        if progress.name == "net.fp16.safetensors":
            raise StopError

    with pytest.raises(StopError):
        fetch_row(row, stop)
    assert (reports[-1].done, reports[-1].size) == (0, len(WHOLE))
    assert find_row(row) is None
    assert not list(tmp_path.rglob("*.safetensors"))
    assert list(tmp_path.rglob("config.json"))
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
    hours = {"abc.1": 2, "abc.2": 0, "abc": 2, "def": 31 * 24}
    for name, age in hours.items():
        path = blobs / f"{name}.incomplete"
        path.write_bytes(b"half")
        then = time.time() - 3600 * age
        os.utime(path, (then, then))
    fetch_row(row)
    left = {path.name.removesuffix(".incomplete") for path in blobs.glob("*.incomplete")}
    assert left == {"abc.2", "abc"}  # another process may be writing the one; the other can be continued
