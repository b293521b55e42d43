"""Where files are found, what counts as whole, and what is said when they cannot be had."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from models.catalog import File, Weights
from models.weights import (
    DamagedError,
    DownloadError,
    MissingError,
    WeightsError,
    available_models,
    fetch,
    fetch_row,
    find,
    find_row,
)
from tests.models.hub import Hub

WHOLE = save({"weight": np.arange(12, dtype=np.float16)})
CONFIG = b'{"_class_name": "ControlNetModel"}'


def put(folder: Path, **files: bytes) -> Path:
    """Files by name, `__` for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_a_local_folder_is_found(row: Weights, own_folders: Path) -> None:
    assert find_row(row) is None
    folder = put(own_folders / row.id, config__json=CONFIG, net__fp16__safetensors=WHOLE)
    assert find_row(row) == fetch_row(row) == folder


def test_another_name_of_the_same_file_serves(row: Weights, own_folders: Path) -> None:
    folder = put(own_folders / row.id, config__json=CONFIG, net__safetensors=WHOLE)
    assert find_row(row) == folder


def test_offline_and_missing_names_file_size_and_place(row: Weights, own_folders: Path) -> None:
    with pytest.raises(MissingError) as told:
        fetch_row(row)
    text = str(told.value)
    assert "Nice edges needs net.fp16.safetensors (2 MB)" in text
    assert "offline" in text
    assert "https://huggingface.co/someone/nice-edges" in text
    assert str(own_folders / "nice_edges") in text
    assert text.count("\n") == 0


@pytest.mark.parametrize("switch", ["CNET_OFFLINE", "HF_HUB_OFFLINE"])
def test_either_switch_keeps_the_network_out(
    row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(MissingError, match="offline"):
        fetch_row(row)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (WHOLE[: len(WHOLE) // 2 + 30], "bytes instead of"),
        (WHOLE + b"x", "bytes instead of"),
        (WHOLE[:5], "header is cut off"),
        (struct.pack("<Q", 1 << 40) + WHOLE[8:], "header is cut off"),
        (struct.pack("<Q", 9) + b"not JSON!" + bytes(9), "header cannot be read"),
        (struct.pack("<Q", 50_000) + b"[" * 50_000, "header cannot be read"),
        (struct.pack("<Q", 9) + b'{"a": []}', "header cannot be read"),
    ],
)
def test_a_damaged_file_is_never_taken_for_a_whole_one(
    row: Weights, own_folders: Path, content: bytes, why: str
) -> None:
    put(own_folders / row.id, config__json=CONFIG, net__safetensors=content)
    assert find_row(row) is None
    with pytest.raises(DamagedError, match=why) as told:
        fetch_row(row)
    assert "net.safetensors" in str(told.value)


def test_a_missing_embedded_file_says_what_to_restore(row: Weights) -> None:
    with pytest.raises(MissingError, match=r"ships with the project.* models/embedded/nowhere; restore it"):
        fetch_row(replace(row, repo="", folder="embedded/nowhere"))


def test_download_brings_every_file_and_reports_progress(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    told: list[tuple[str, int, int | None]] = []
    folder = fetch_row(row, lambda *progress: told.append(progress))
    assert (folder / "config.json").read_bytes() == CONFIG
    assert (folder / "net.fp16.safetensors").read_bytes() == WHOLE
    assert told[-1] == ("net.fp16.safetensors", len(WHOLE), len(WHOLE))
    hub.asked.clear()
    assert find_row(row) == fetch_row(row) == folder
    assert hub.asked == []


def test_download_falls_back_on_the_other_name(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.safetensors": WHOLE}
    assert (fetch_row(row) / "net.safetensors").read_bytes() == WHOLE


def test_a_stopped_download_leaves_nothing_that_looks_finished(row: Weights, hub: Hub, tmp_path: Path) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}

    def stop(name: str, done: int, total: int | None) -> None:
        if name.endswith("safetensors"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_row(row, stop)
    assert find_row(row) is None
    assert not [path for path in tmp_path.rglob("*") if "safetensors" in path.name or "incomplete" in path.name]
    assert find_row(replace(row, files=row.files[:1]))  # what was finished is kept
    fetch_row(row)


def test_a_damaged_file_in_the_cache_is_downloaded_again(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    path = fetch_row(row) / "net.fp16.safetensors"
    path.write_bytes(WHOLE[:40])
    assert find_row(row) is None
    assert (fetch_row(row) / path.name).read_bytes() == WHOLE


def test_another_content_than_the_catalogue_expects_is_refused(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/net.pth": b"something else"}
    pinned = replace(row, files=(File("net.pth", 14, hashlib.sha256(b"the right thing").hexdigest()),))
    with pytest.raises(DamagedError, match=r"net\.pth .*checksum"):
        fetch_row(pinned)
    assert find_row(pinned) is None


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ((403, "GatedRepo"), "accept their terms .*HF_TOKEN"),
        ((404, "RepoNotFound"), "no repository someone/nice-edges .*or it is private"),
        ((401, ""), r"refuses access \(error 401\)"),
        ((403, ""), r"refuses access \(error 403\)"),
        ((404, "RevisionNotFound"), "no longer has revision main"),
        ((404, "EntryNotFound"), "no such file"),
        ((429, ""), "answered with error 429"),
        ((503, ""), "answered with error 503"),
    ],
)
def test_every_refusal_has_its_own_sentence(row: Weights, hub: Hub, refusal: tuple[int, str], why: str) -> None:
    hub.refusal = refusal
    with pytest.raises(DownloadError, match=why) as told:
        fetch_row(row)
    assert str(told.value).startswith("Nice edges needs ")
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)


def test_a_login_page_is_not_taken_for_a_file(row: Weights, hub: Hub) -> None:
    hub.portal = True
    with pytest.raises(DownloadError, match="login page"):
        fetch_row(row)


def test_no_network_is_told_at_once(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    with pytest.raises(MissingError, match="cannot be reached; go online, or put the files of https://"):
        fetch_row(row)


def test_too_small_a_disk_is_told_before_the_download(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(total=9_000_000, used=8_000_000, free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"needs 2 MB, but only 1 MB are free in .*cache"):
        fetch_row(row)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("number", "why"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "cannot be written to"), (errno.EIO, "broke off")],
)
def test_a_fault_of_the_disk_is_told(
    row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int, why: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "from the system")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(DownloadError, match=why):
        fetch_row(row)


def test_the_list_of_models_says_where_each_is(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(own_folders / "hed", ControlNetHED__pth=b"tensors")
    put(own_folders / "control_v11p_sd15_canny", config__json=CONFIG, diffusion_pytorch_model__safetensors=WHOLE[:-1])
    rows = {row.weights.id: row for row in available_models()}
    assert (rows["hed"].state, rows["hed"].folder, rows["hed"].size) == ("here", own_folders / "hed", 7)
    assert rows["control_v11p_sd15_canny"].state == "damaged"
    assert rows["sdxl"].state == "missing"
    assert "(5.13 GB)" in rows["sdxl"].needs


def test_find_and_fetch_take_catalogue_ids(own_folders: Path) -> None:
    folder = put(own_folders / "hed", ControlNetHED__pth=b"tensors")
    assert find("hed") == fetch("hed") == folder
    shutil.rmtree(folder)
    with pytest.raises(WeightsError, match=r"HED soft edge needs ControlNetHED\.pth \(29\.4 MB\)"):
        fetch("hed")


def test_neither_catalogue_nor_weights_load_torch() -> None:
    code = "import json, sys, models.catalog, models.weights as w; w.available_models(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers", "gradio"} & set(json.loads(done.stdout))
