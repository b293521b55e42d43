"""Where files are found, what counts as whole, and what is said when they cannot be had."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save

from models.catalogue.catalog import File, Weights
from models.catalogue.weights import (
    available_models,
    check_file,
    fetch,
    fetch_row,
    find,
    find_row,
    read_shapes,
    require,
    require_row,
)
from models.downloads.download import DownloadProgress
from models.errors import DamagedError, DownloadError, MissingError, WeightsError
from models.files import stamp
from tests.models.downloads.hub import Hub

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


def tensors(header: object, data: int = 8) -> bytes:
    """A safetensors file with this header, and as many bytes of tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(start: int = 0, end: int = 8, shape: object = (4,), dtype: object = "F16") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "truncated": (WHOLE[: len(WHOLE) // 2 + 30], "bytes instead of"),
    "too long": (WHOLE + b"x", "bytes instead of"),
    "five bytes": (WHOLE[:5], "header is cut off"),
    "huge header": (struct.pack("<Q", 1 << 40) + WHOLE[8:], "header is cut off"),
    "longest header": (b"\xff" * 8 + WHOLE[8:], "header is cut off"),
    "flipped brace": (flipped(WHOLE, 8, 1), "header cannot be read"),
    "flipped length": (flipped(WHOLE, 0, 1), "header"),
    "no JSON": (tensors(b"not JSON!"), "header cannot be read"),
    "no header": (tensors(b""), "header cannot be read"),
    "a list": (tensors([]), "header cannot be read"),
    "no tensors": (tensors({"a": []}), "header cannot be read"),
    "deep lists": (tensors(b"[" * 50_000), "header cannot be read"),
    "deep objects": (tensors(b'{"a":' * 50_000), "header cannot be read"),
    "endless number": (tensors(b'{"a":{"shape":[' + b"9" * 50_000 + b"]}}"), "header cannot be read"),
    "no text": (tensors(b'{"\xff":{}}'), "header cannot be read"),
    "twice": (tensors(b'{"a":{},"a":{}}'), "names 'a' twice"),
    "twice inside": (tensors(b'{"a":{"shape":[1],"shape":[4]}}'), "names 'shape' twice"),
    "long name": (tensors(b'{"' + b"n" * 400 + b'":{}}'), "for the tensor 'n{59}…'; "),
    "endless name": (tensors(b'{"' + b"n" * 5000 + b'":{}}'), "has a name of 5,000 characters"),
    "hole before": (tensors({"a": tensor(2, 10)}, 10), "'a' begins at byte 2, and not at 0"),
    "hole between": (tensors({"a": tensor(), "b": tensor(10, 18)}, 18), "'b' begins at byte 10, and not at 8"),
    "overlap": (tensors({"a": tensor(), "b": tensor(4, 12)}, 12), "'b' begins at byte 4, and not at 8"),
    "same bytes": (tensors({"a": tensor(), "b": tensor()}), "'b' begins at byte 0, and not at 8"),
    "negative offset": (tensors({"a": tensor(-8, 0)}), "no valid entry for the tensor 'a'"),
    "offsets out of order": (tensors({"a": tensor(8, 0)}), "no valid entry"),
    "one offset": (tensors({"a": tensor() | {"data_offsets": [0]}}), "no valid entry"),
    "offsets of another kind": (tensors({"a": tensor(True, 8.0)}), "no valid entry"),  # pyright: ignore[reportArgumentType]
    "unknown format": (tensors({"a": tensor(dtype="F99")}), "no valid entry"),
    "format of another kind": (tensors({"a": tensor(dtype=["F16"])}), "no valid entry"),
    "no shape": (tensors({"a": {"dtype": "F16", "data_offsets": [0, 8]}}), "no valid entry"),
    "negative side": (tensors({"a": tensor(shape=(-2, -2))}), "no valid entry"),
    "endless side": (tensors({"a": tensor(shape=(2**70, 0))}), "no valid entry"),
    "many sides": (tensors({"a": tensor(shape=[1] * 100_000)}), "no valid entry"),
    "wrong shape": (tensors({"a": tensor(shape=(5,))}), "'a' has 8 bytes, which its shape does not fill"),
    "wrong format": (tensors({"a": tensor(dtype="F32")}), "'a' has 8 bytes"),
}


@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_never_taken_for_a_whole_one(
    row: Weights, own_folders: Path, content: bytes, why: str
) -> None:
    put(own_folders / row.id, config__json=CONFIG, net__safetensors=content)
    assert find_row(row) is None
    with pytest.raises(DamagedError, match=why) as told:
        fetch_row(row)
    assert "net.safetensors" in str(told.value)
    assert len(str(told.value)) < 400 and "\n" not in str(told.value)


def test_a_header_of_200_mb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", 200_000_000))
        stream.truncate(300_000_000)
    tracemalloc.start()
    with pytest.raises(DamagedError, match="its header would have 200000000 bytes, more than any model's"):
        check_file(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_name_that_comes_again_after_many_is_found_at_once(tmp_path: Path) -> None:
    names = [str(number) for number in range(50_000)]
    text = ",".join(f'"{name}":0' for name in [*names, "49999"])
    (tmp_path / "net.safetensors").write_bytes(tensors(f"{{{text}}}".encode()))
    begin = time.process_time()
    with pytest.raises(DamagedError, match="names '49999' twice"):
        check_file(tmp_path / "net.safetensors")
    assert time.process_time() - begin < 2


def test_no_flipped_bit_of_a_header_goes_further_than_a_name(tmp_path: Path) -> None:
    """Each ends as damaged, or as another name for a tensor, which does not fit its network later."""
    path = tmp_path / "net.safetensors"
    length = struct.unpack("<Q", WHOLE[:8])[0]
    for place in range(8 + length):
        for bit in range(8):
            path.write_bytes(flipped(WHOLE, place, bit))
            with suppress(DamagedError):
                check_file(path)
                assert list(read_shapes(path).values()) == [[12]]


def test_every_number_format_and_what_is_said_beside_tensors_are_known(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    header = {"__metadata__": {"made": "here"}, "none": tensor(8, 8, shape=(0, 3)), "one": tensor(7, 8, (), "U8")}
    path.write_bytes(tensors(header | {"first": tensor(0, 7, (7,), "F8_E4M3")}))
    check_file(path)
    assert read_shapes(path) == {"none": [0, 3], "one": [], "first": [7]}


def test_a_missing_embedded_file_says_what_to_restore(row: Weights) -> None:
    with pytest.raises(MissingError, match=r"ships with the project.* models/embedded/nowhere; restore it"):
        fetch_row(replace(row, repo="", folder="embedded/nowhere"))


def test_download_brings_every_file_and_reports_progress(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    told: list[DownloadProgress] = []
    folder = fetch_row(row, told.append)
    assert (folder / "config.json").read_bytes() == CONFIG
    assert (folder / "net.fp16.safetensors").read_bytes() == WHOLE
    assert (told[-1].name, told[-1].done, told[-1].size) == ("net.fp16.safetensors", len(WHOLE), len(WHOLE))
    hub.asked.clear()
    assert find_row(row) == fetch_row(row) == folder
    assert hub.asked == []


def test_download_falls_back_on_the_other_name(row: Weights, hub: Hub) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.safetensors": WHOLE}
    assert (fetch_row(row) / "net.safetensors").read_bytes() == WHOLE


def test_a_stopped_download_leaves_nothing_that_looks_finished(row: Weights, hub: Hub, tmp_path: Path) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}

    def stop(progress: DownloadProgress) -> None:
        if progress.name.endswith("safetensors"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_row(row, stop)
    assert find_row(row) is None
    assert not list(tmp_path.rglob("*.safetensors"))
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
    with pytest.raises(DownloadError, match=r"net\.pth .*checksum .* the catalogue has"):
        fetch_row(pinned)
    assert find_row(pinned) is None


def test_too_small_a_disk_is_told_before_the_download(row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(total=9_000_000, used=8_000_000, free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"needs 2 MB, but only 1 MB are free in .*cache"):
        fetch_row(row)
    assert hub.asked == []


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


@pytest.mark.slow
def test_neither_catalogue_nor_weights_load_torch() -> None:
    code = "import json, sys, models.catalogue.catalog, models.catalogue.weights as w; w.available_models(); print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers", "gradio"} & set(json.loads(done.stdout))


def test_require_never_asks_the_hub_and_names_the_command_that_does(row: Weights, hub: Hub, own_folders: Path) -> None:
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": WHOLE}
    with pytest.raises(MissingError) as raised:
        require_row(row)
    assert str(raised.value) == (
        "Nice edges needs net.fp16.safetensors (2 MB) and 1 small file, which is not here; run `python -m cnet_app models "
        "download nice_edges`, or put the files of https://huggingface.co/someone/nice-edges/tree/main into "
        f"{own_folders / 'nice_edges'}."
    )
    assert hub.asked == []
    folder = put(own_folders / row.id, config__json=CONFIG, net__safetensors=WHOLE)
    assert require_row(row) == folder
    (folder / "net.safetensors").write_bytes(WHOLE[:-1])
    with pytest.raises(DamagedError, match=r"net\.safetensors in .*nice_edges is damaged"):
        require_row(row)
    assert hub.asked == []


def test_require_takes_catalogue_ids_and_is_offline_in_the_same_words_as_fetch(own_folders: Path) -> None:
    with pytest.raises(MissingError) as required:
        require("hed")
    with pytest.raises(MissingError) as fetched:
        fetch("hed")
    assert str(required.value) == str(fetched.value)
    assert require("embedded") == find("embedded")


@pytest.mark.parametrize("change", ["content", "time", "another file", "a file below"])
def test_a_stamp_changes_with_any_file_of_a_folder(tmp_path: Path, change: str) -> None:
    folder = put(tmp_path / "net", config__json=CONFIG, net__safetensors=WHOLE)
    path = folder / "net.safetensors"
    files = (folder, path)
    before = [stamp(file) for file in files]
    assert before == [stamp(file) for file in files]
    match change:
        case "content":
            stat = path.stat()
            path.write_bytes(WHOLE + WHOLE)
            os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        case "time":
            os.utime(path, ns=(1, 1))
        case "another file":
            put(folder, other__json=CONFIG)
        case _:
            put(folder / "unet", config__json=CONFIG)
    assert stamp(folder) != before[0]
    assert (stamp(path) == before[1]) is (change in ("another file", "a file below"))
    assert hash(stamp(folder)) != hash(stamp(tmp_path / "missing"))


def test_a_stamp_follows_the_links_of_the_hub_cache(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(WHOLE)
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "net.safetensors").symlink_to(tmp_path / "blob")
    before = stamp(folder)
    (tmp_path / "blob").write_bytes(WHOLE[:-1])
    assert stamp(folder) != before
