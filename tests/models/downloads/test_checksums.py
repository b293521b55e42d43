"""Files against their checksums: the catalogue's, and those noted at the first download."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from models.catalogue.catalog import File, Weights, entry
from models.catalogue.weights import fetch_row, find_row
from models.downloads import checksums
from models.downloads.checksums import distinct, recorded_sha256, verify
from models.downloads.ledger import read_ledger, write_ledger
from models.errors import DownloadError, WeightsError
from tests.models.downloads.hub import Hub

CONFIG = b'{"_class_name": "ControlNetModel"}'
WHOLE = save({"weight": np.arange(12, dtype=np.float16)})
OTHER = save({"weight": np.ones(12, dtype=np.float16)})


def put(folder: Path, content: bytes = WHOLE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "net.safetensors").write_bytes(content)
    return folder


def states(row: Weights) -> list[tuple[str, str]]:
    return [(one.name, one.state) for one in verify(row)]


def test_what_is_not_here_is_missing(row: Weights) -> None:
    assert states(row) == [("config.json", "missing"), ("net.fp16.safetensors", "missing")]
    assert read_ledger(checksums.LEDGER) == {}


def test_an_unknown_checksum_is_recorded_and_then_compared(row: Weights, own_folders: Path) -> None:
    folder = put(own_folders / row.id)
    assert states(row) == [("config.json", "recorded now"), ("net.safetensors", "recorded now")]
    assert recorded_sha256(row, row.files[1]) == hashlib.sha256(WHOLE).hexdigest()
    assert states(row) == [("config.json", "right"), ("net.safetensors", "right")]
    put(folder, OTHER)
    (one,) = [one for one in verify(row) if one.state != "right"]
    assert (one.name, one.state) == ("net.safetensors", "damaged")
    assert "was replaced: its checksum has changed" in one.fault
    assert "checksums.json" in one.fault
    (folder / "config.json").unlink()
    assert states(row)[0] == ("config.json", "missing")


def test_half_a_file_is_damaged_and_not_recorded(row: Weights, own_folders: Path) -> None:
    put(own_folders / row.id, WHOLE[:-3])
    assert states(row)[1] == ("net.safetensors", "damaged")
    assert recorded_sha256(row, row.files[1]) is None


def test_the_catalogues_checksum_goes_before_and_is_not_recorded(row: Weights, own_folders: Path) -> None:
    pinned = replace(row, files=(File("net.safetensors", 1, hashlib.sha256(WHOLE).hexdigest()),))
    put(own_folders / row.id)
    assert states(pinned) == [("net.safetensors", "right")]
    put(own_folders / row.id, OTHER)
    assert states(pinned) == [("net.safetensors", "damaged")]
    assert read_ledger(checksums.LEDGER) == {}


def test_the_first_download_records_and_the_second_compares(
    row: Weights, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.safetensors": WHOLE}
    fetch_row(row)
    assert recorded_sha256(row, row.files[1]) == hashlib.sha256(WHOLE).hexdigest()
    assert [state for _, state in states(row)] == ["right", "right"]

    hub.files[f"{row.repo}/net.safetensors"] = OTHER
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "second"))
    with pytest.raises(
        DownloadError, match=r"net\.safetensors .* another checksum than it had .*; remove its line from .*\.json"
    ) as told:
        fetch_row(row)
    assert "\n" not in str(told.value)
    assert find_row(row) is None


def test_a_download_needs_no_notes(row: Weights, hub: Hub, own_folders: Path) -> None:
    own_folders.write_text("no folder can be made here")
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.safetensors": WHOLE}
    assert (fetch_row(row) / "net.safetensors").read_bytes() == WHOLE
    with pytest.raises(WeightsError, match=r"checksums\.json .* point CNET_MODELS_DIR to a folder"):
        verify(row)


@pytest.mark.parametrize("content", ["{", "[]", "\udcff", "[" * 50_000])
def test_notes_that_cannot_be_read_are_told(row: Weights, own_folders: Path, content: str) -> None:
    put(own_folders / row.id)
    (own_folders / "checksums.json").write_text(content, errors="surrogateescape")
    with pytest.raises(WeightsError, match=r"checksums\.json in .* cannot be read; repair it, or delete it"):
        verify(row)


def test_notes_are_replaced_whole(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ledger("some.json", {"first": 1})

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(WeightsError, match="No space left on device"):
        write_ledger("some.json", {"second": 2})
    assert read_ledger("some.json") == {"first": 1}
    assert [path.name for path in own_folders.iterdir()] == ["some.json"]
    assert json.loads((own_folders / "some.json").read_text()) == {"first": 1}


def test_rows_with_the_same_files_are_read_once() -> None:
    rows = [entry(id) for id in ("controlnet_union_sdxl", "controlnet_union_depth_sdxl", "hed", "openpose_hand")]
    assert distinct(rows) == [rows[0], *rows[2:]]
