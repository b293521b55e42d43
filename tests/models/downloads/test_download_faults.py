"""Whatever a hub, a network or a disk does to a download: one sentence, nothing half taken for whole, and the next try works."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from huggingface_hub import constants
from safetensors.numpy import save

from models.catalogue.catalog import File, Weights, entry
from models.catalogue.weights import fetch_row, find_row
from models.downloads import transfer
from models.downloads.download import DownloadProgress
from models.downloads.hub_cache import RepoCache
from models.errors import DownloadError, WeightsError
from tests.models.downloads.hub import COMMIT, FAULTS, POINTER, RESUMING, STALL, Hub, etag
from tests.source import ROOT

CONFIG = b'{"_class_name": "ControlNetModel"}'
NAME = "net.fp16.safetensors"
WHOLE = save({"weight": np.arange(100_000, dtype=np.float16)})
PART = (len(WHOLE) * 6) // 10
DEADLINE = 60.0
"""Seconds that another process may take on a busy machine."""


class StopError(Exception):
    """Raised by a caller to stop."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(transfer, "LOOK", 0.02)


@pytest.fixture
def filled(row: Weights, hub: Hub) -> Hub:
    """A hub with all files of the row."""
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/{NAME}": WHOLE}
    return hub


class Watcher:
    """Takes reports, none of which may be over 100 %; raises StopError with the first of so many bytes."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.reports: list[DownloadProgress] = []
        self.stop_at = stop_at

    def __call__(self, report: DownloadProgress) -> None:
        assert report.size is None or 0 <= report.done <= report.size, report
        self.reports.append(report)
        if self.stop_at is not None and report.name == NAME and report.done >= self.stop_at:
            raise StopError


def refused(row: Weights, sentence: str) -> str:
    """Download in vain, and return what a user reads: one sentence that names the model, what happened and what to do."""
    with pytest.raises(WeightsError, match=sentence) as told:
        fetch_row(row, Watcher())
    text = str(told.value)
    assert text.startswith(f"{row.title} needs ") and text.endswith(".") and "\n" not in text, text
    assert re.search("[;:] ", text), text
    assert find_row(row) is None
    return text


def fetched(row: Weights, name: str = NAME, content: bytes = WHOLE) -> Watcher:
    """Download, and look at what is here."""
    watcher = Watcher()
    folder = fetch_row(row, watcher)
    assert (folder / name).read_bytes() == content
    assert find_row(row) == folder
    return watcher


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob("*.incomplete"))


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_a_hub_is_overcome_or_one_sentence_and_the_next_try_works(
    row: Weights, filled: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    filled.fault = FAULTS[name]
    if filled.fault is STALL:
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.15)
    if filled.fault.sentence:
        refused(row, filled.fault.sentence)
        assert not list(tmp_path.rglob("*.safetensors"))
        filled.fault = None
        filled.gate.set()
    fetched(row)
    assert not unfinished(tmp_path)
    assert not (tmp_path.parent / "escaped").exists() and not (tmp_path / "escaped").exists()


KINDS: dict[str, tuple[str, str]] = {
    "an annotator": ("hed", "ControlNetHED.pth"),
    "a ControlNet": ("control_v11p_sd15_canny", "diffusion_pytorch_model.safetensors"),
    "a base model": ("sd15", "unet/diffusion_pytorch_model.safetensors"),
    "a LoRA": ("lcm_lora_sd15", "pytorch_lora_weights.safetensors"),
}


@pytest.mark.parametrize("fault", ["cut at 60 %", "another content", "a login page for the file", "gated"])
@pytest.mark.parametrize(("id", "name"), KINDS.values(), ids=KINDS)
def test_it_is_so_for_every_kind_of_model(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, id: str, name: str, fault: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    row = entry(id)
    pinned = replace(row, files=tuple(replace(file, sha256=None) for file in row.files))
    for file in row.files:
        is_tensors = file.name.endswith((".safetensors", ".pth"))
        hub.files[f"{row.repo}/{file.names[-1] if name == file.names[-1] else file.name}"] = (
            WHOLE if is_tensors else b"{}"
        )
    hub.fault = FAULTS[fault]
    refused(pinned, hub.fault.sentence.replace("0\\.12 MB of 0\\.2 MB", ".*").replace("someone/nice-edges", row.repo))
    hub.fault = None
    folder = fetch_row(pinned, Watcher())
    assert find_row(pinned) == folder


@pytest.mark.parametrize("times", [1, 3])
def test_a_connection_that_drops_some_times_is_continued_by_itself(row: Weights, filled: Hub, times: int) -> None:
    filled.fault, filled.times = FAULTS["cut at 60 % each time"], times
    fetched(row)
    starts = [int(span.removeprefix("bytes=").removesuffix("-") or 0) for span in filled.ranges]
    assert len(starts) == times + 1 and starts == sorted(set(starts))


def test_an_error_of_the_hub_that_passes_is_overcome(row: Weights, filled: Hub) -> None:
    filled.fault, filled.times = FAULTS["503 of the file alone"], 2
    fetched(row)
    assert len(filled.transfers()) == 3


def test_a_stall_is_bounded_by_the_setting_that_the_sentence_names(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TRIES", 1)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    filled.fault = STALL
    begun = time.monotonic()
    assert "no more data came for 0.3 s" in refused(row, "HF_HUB_DOWNLOAD_TIMEOUT")
    assert 0.3 < time.monotonic() - begun < 5


def test_what_is_slow_but_alive_is_not_cut(row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.7)
    filled.fault = FAULTS["slow but alive"]  # a second in all
    fetched(row)
    assert len(filled.transfers()) == 1


def test_a_download_that_was_cancelled_goes_on_where_it_ended(row: Weights, filled: Hub, tmp_path: Path) -> None:
    filled.fault = STALL
    with pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=PART))
    (part,) = unfinished(tmp_path)
    assert part.stat().st_size == PART and find_row(row) is None
    filled.fault = None
    watcher = fetched(row)
    assert filled.ranges == ["", f"bytes={PART}-"]
    own = [report for report in watcher.reports if report.name == NAME]
    assert (own[0].done, own[-1].done, own[-1].size) == (PART, len(WHOLE), len(WHOLE))
    assert not unfinished(tmp_path)


def test_a_download_without_any_data_is_cancelled_at_once(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 60)
    filled.fault = STALL
    seen: list[int] = []

    def stop(report: DownloadProgress) -> None:
        seen.append(report.done)
        if seen.count(PART) > 3:  # the same again and again: nothing comes
            raise StopError

    begun = time.monotonic()
    with pytest.raises(StopError):
        fetch_row(row, stop)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", RESUMING)
def test_the_rest_of_a_file_is_never_put_behind_another_begin(row: Weights, filled: Hub, name: str) -> None:
    filled.fault = STALL
    with pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=PART))
    filled.fault = RESUMING[name]
    fetched(row)
    assert filled.ranges[:2] == ["", f"bytes={PART}-"]


def test_what_was_left_and_is_wrong_is_transferred_again(row: Weights, filled: Hub) -> None:
    """As after a power failure, which leaves zeros."""
    blobs = RepoCache(row.repo).folder / "blobs"
    blobs.mkdir(parents=True)
    for size in (PART, len(WHOLE) + 7):
        (blobs / f"{etag(NAME, WHOLE)}.incomplete").write_bytes(bytes(size))
        fetched(row)
        shutil.rmtree(RepoCache(row.repo).folder / "snapshots")
        (blobs / etag(NAME, WHOLE)).unlink()


def test_a_flipped_bit_in_the_cache_is_mended_by_the_next_download(row: Weights, filled: Hub) -> None:
    path = fetch_row(row) / NAME
    path.write_bytes(WHOLE[:-1] + b"x")
    (path.parent / "config.json").unlink()
    fetched(row)


def test_a_pointer_of_git_lfs_is_not_taken_for_the_file(row: Weights, filled: Hub) -> None:
    pickle = replace(row, files=(File("net.pth", 200_000),))
    filled.files[f"{row.repo}/net.pth"] = POINTER
    refused(pickle, "someone/nice-edges has only a pointer of Git LFS in its place")
    filled.files[f"{row.repo}/net.pth"] = WHOLE
    fetched(pickle, "net.pth")


def test_a_file_that_nothing_shows_to_be_whole_is_refused(row: Weights, filled: Hub) -> None:
    pickle = replace(row, files=(File("net.pth", 200_000),))
    filled.files[f"{row.repo}/net.pth"] = WHOLE
    filled.fault = FAULTS["neither length nor checksum"]
    refused(pickle, "announced neither size nor checksum, .*; check HF_ENDPOINT")
    assert not unfinished(RepoCache(row.repo).folder)
    filled.fault = None
    fetched(pickle, "net.pth")


def test_a_damaged_file_of_the_hub_itself_is_refused(row: Weights, filled: Hub) -> None:
    filled.files[f"{row.repo}/{NAME}"] = WHOLE[:-3]
    refused(row, "what someone/nice-edges has in its place is damaged: it has .* bytes instead of")


def test_a_branch_that_moved_since_brings_its_new_files(row: Weights, filled: Hub) -> None:
    filled.fault = STALL
    with pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=PART))
    other = save({"weight": np.ones(100_000, dtype=np.float16)})
    filled.fault, filled.commit, filled.files[f"{row.repo}/{NAME}"] = None, "d" * 40, other
    fetched(row, content=other)
    assert filled.ranges == ["", ""]  # nothing of the old file goes into the new one


def test_a_token_goes_to_the_hub_and_to_no_other_host(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    filled.fault = FAULTS["another host"]
    fetched(row)
    assert {token for host, token in filled.tokens if host == "127.0.0.1"} == {"Bearer hf_secret"}
    assert {token for host, token in filled.tokens if host == "localhost"} == {""}


def test_a_packed_or_unannounced_body_shows_no_more_than_all(row: Weights, filled: Hub) -> None:
    filled.fault = FAULTS["no length"]
    assert {report.size for report in fetched(row).reports if report.name == NAME} == {None}


def _point(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_refused_connection_is_one_sentence(row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    _point(monkeypatch, "http://127.0.0.1:9")
    refused(
        row, r"127\.0\.0\.1:9 cannot be reached: the connection is refused; go online, or put the files of https://"
    )


def test_an_unknown_host_is_one_sentence(row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    _point(monkeypatch, "http://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    refused(row, r"hub\.invalid cannot be reached: its name is not known here; go online")


def test_no_answer_at_all_is_one_sentence(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.15)
        _point(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused(row, "cannot be reached: it does not answer; go online")


@pytest.fixture
def interceptor(tmp_path: Path) -> Iterator[str]:
    """The address of a server with a certificate that nobody trusts."""
    if not (program := shutil.which("openssl")):
        pytest.skip("needs openssl, which makes the certificate")
    files = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=127.0.0.1"
    subprocess.run([program, *words.split(), "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake_hands() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with suppress(OSError):
                        context.wrap_socket(connection, server_side=True)

        threading.Thread(target=shake_hands, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def test_a_proxy_that_reads_along_is_one_sentence(
    row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch, interceptor: str
) -> None:
    _point(monkeypatch, interceptor)
    refused(row, r"the certificate of 127\.0\.0\.1:\d+ is not trusted, .*; set SSL_CERT_FILE to the certificates")


def test_a_broken_encryption_is_one_sentence(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    _point(monkeypatch, hub.url.replace("http:", "https:"))
    refused(row, r"the encrypted connection to 127\.0\.0\.1:\d+ fails; check HTTPS_PROXY, HF_ENDPOINT and the network")


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "CNET_OFFLINE"])
def test_offline_a_part_of_a_model_is_not_taken_for_it(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    filled.fault = STALL
    with pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=PART))
    filled.asked.clear()
    with monkeypatch.context() as offline:
        offline.setenv(switch, "1")
        refused(row, r"net\.fp16\.safetensors .*not here, and the app is offline; go online, or put the files of")
        assert filled.asked == []
    filled.fault = None
    fetched(row)


def _fail(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full; make room in .*cache, or point HF_HOME to another disk"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EFBIG, "takes no file of this size; point HF_HOME to a disk that does"),
        (errno.EIO, r"broke off \(OSError\); try again, it goes on where it ended"),
    ],
)
def test_a_disk_that_is_full_at_60_per_cent_is_one_sentence(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, sentence: str
) -> None:
    class Disk:
        """A file on a disk with room for a part of it."""

        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __enter__(self) -> Disk:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def write(self, data: bytes) -> int:
            """As a disk does it: as much as there is room for, then the error."""
            room = PART - self._stream.tell()
            return self._stream.write(data[:room]) if room else _fail(number)()

        def fileno(self) -> int:
            return self._stream.fileno()

    opened = Path.open

    def open_there(path: Path, *given: Any, **named: Any) -> Any:
        stream = opened(path, *given, **named)
        return Disk(stream) if path.suffix == ".incomplete" and given == ("ab",) else stream

    fetch_row(replace(row, files=row.files[:1]))
    with monkeypatch.context() as full:
        full.setattr(Path, "open", open_there)
        refused(row, sentence)
    (part,) = unfinished(tmp_path)
    assert part.stat().st_size == PART
    fetched(row)
    assert filled.ranges[-1] == f"bytes={PART}-"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_cache_that_cannot_be_written_to_is_one_sentence(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(os, "mkdir", _fail(number))
        refused(row, "cache cannot be written to; point HF_HOME to a folder that can")
    fetched(row)


def test_a_cache_that_is_a_file_is_one_sentence(row: Weights, filled: Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    refused(row, "cache is not a folder; point HF_HOME to one")
    (tmp_path / "cache").unlink()
    fetched(row)


def test_too_little_room_for_the_real_size_is_told_before_the_transfer(
    row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue knows no size, but the hub does; what is here of it needs no room again."""
    unknown = replace(row, files=(File("config.json", 0), File(NAME)))
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(WHOLE) - 1))
        with pytest.raises(DownloadError, match=r"^Nice edges needs 0\.2 MB, but only .* are free in .*HF_HOME"):
            fetch_row(unknown)
        assert filled.transfers() == []
        filled.fault = STALL
        small.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
        with pytest.raises(StopError):
            fetch_row(unknown, Watcher(stop_at=PART))
        filled.fault = None
        small.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=len(WHOLE) - PART))
        fetched(unknown)


def _begin(hub: Hub, cache: Path) -> subprocess.Popen[str]:
    """Start a process that downloads the row, from a mirror."""
    program = (
        "from tests.models.downloads.hub import edges\n"
        "from models.catalogue.weights import fetch_row\n"
        "print(fetch_row(edges()))"
    )
    forbidden = ("HF_HUB_OFFLINE", "CNET_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name not in forbidden}
    environment |= {"HF_ENDPOINT": f"{hub.url}/mirror", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, **pipes)


def _wait(is_so: Callable[[], Any]) -> None:
    ends = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_two_processes_at_once_bring_one_file(row: Weights, filled: Hub, tmp_path: Path) -> None:
    filled.fault = STALL
    processes = [_begin(filled, tmp_path / "cache") for _ in range(2)]
    _wait(lambda: filled.asked.count(f"HEAD {row.repo}/resolve/{COMMIT}/{NAME}") == 2)
    filled.gate.set()
    for process in processes:
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, err
        assert (Path(out.strip()) / NAME).read_bytes() == WHOLE
    assert filled.ranges == [""]
    assert len(list(tmp_path.rglob(etag(NAME, WHOLE)))) == 1 and not unfinished(tmp_path)


def test_a_killed_process_leaves_what_the_next_one_continues(row: Weights, filled: Hub, tmp_path: Path) -> None:
    filled.fault = STALL
    process = _begin(filled, tmp_path / "cache")
    part = f"{etag(NAME, WHOLE)}.incomplete"  # which stays, while those of small files come and go
    _wait(lambda: [path for path in tmp_path.rglob(part) if path.stat().st_size == PART])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert find_row(row) is None
    filled.fault = None
    fetched(row)
    assert filled.ranges == ["", f"bytes={PART}-"]


def test_waiting_for_another_process_can_be_cancelled(row: Weights, filled: Hub, tmp_path: Path) -> None:
    lock = tmp_path / "cache" / ".locks" / "models--someone--nice-edges" / f"{etag(NAME, WHOLE)}.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=0))
    assert filled.transfers() == []
    fetched(row)


def test_without_locks_nothing_is_shared_with_other_processes(
    row: Weights, filled: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)
    filled.fault = STALL
    with pytest.raises(StopError):
        fetch_row(row, Watcher(stop_at=PART))
    assert not unfinished(tmp_path)  # nobody could continue it
    filled.fault = None
    fetched(row)
    assert filled.ranges == ["", ""]


def test_without_links_the_file_itself_has_its_name(row: Weights, filled: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "symlink_to", _fail(errno.EPERM))
    path = fetch_row(row) / NAME
    assert path.is_file() and not path.is_symlink()
    filled.asked.clear()
    (path.parent / "config.json").unlink()
    fetched(row)
    assert filled.transfers() == []  # what is here is not transferred again


def test_other_programs_find_what_was_downloaded(row: Weights, filled: Hub) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    folder = fetch_row(row)
    assert hf_hub_download(row.repo, NAME, local_files_only=True) == str(folder / NAME)
    report = scan_cache_dir(constants.HF_HUB_CACHE)
    (found,) = report.repos
    assert found.repo_id == row.repo and not report.warnings
