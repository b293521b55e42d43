"""Files that are small and grow when they are read: refused, or their part left out, before the memory is taken."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotators.people.poses import parse_pose
from annotators.sources.png_bands import PNG
from cnet_app.diffusion.prompt_schedule import prompts_by_step, split_parts
from cnet_app.diffusion.prompt_syntax import parse_prompt
from cnet_app.request.foreign.a1111 import parse as parse_a1111
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.wildcards import Wildcards, parse_template
from cnet_app.request.recipe import CHUNK, Recipe, read_recipe
from cnet_app.request.sweeps.grids import parse_axis
from cnet_app.request.tasks import task_from_text
from models.catalogue.local import family_of_shapes, local_files
from models.errors import DamagedError, InputError
from models.files import check_file
from models.names import did_you_mean

MOST = 100_000_000
"""Bytes that reading any of them may take."""
SOON = 10.0
"""CPU seconds, which a busy machine does not change."""
DEEP = 200_000


@contextmanager
def bounded() -> Iterator[None]:
    """Neither memory nor time may grow with what the file unpacks to."""
    began = time.process_time()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST, f"{peak / 1e6:.0f} MB"
    assert time.process_time() - began < SOON


def picture_with(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a small PNG with these chunks before its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(buffer, "PNG")
    data, start = buffer.getvalue(), len(PNG) + 25
    added = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:start] + added + data[start:]


def zipped(keyword: str, text: bytes) -> tuple[bytes, bytes]:
    return b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(text, 9)


def nested(brackets: str) -> bytes:
    opening, closing = brackets
    return (opening * DEEP + closing * DEEP).encode()


TEXTS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "200 MB of our recipe": lambda: zipped(CHUNK, b"[" * 200_000_000),
    "200 MB of A1111's settings": lambda: zipped("parameters", b"a cat, " * 30_000_000),
    "200 MB of ComfyUI's workflow": lambda: zipped("workflow", b'{"a": ' * 35_000_000),
    "a plain text of 19 MB": lambda: (b"tEXt", b"parameters\0" + b"x" * 19_000_000),
    "our recipe, deep": lambda: (b"tEXt", CHUNK.encode() + b"\0" + nested("[]")),
    "ComfyUI's prompt, deep": lambda: (b"tEXt", b"prompt\0" + b'{"a": ' * DEEP + b"1" + b"}" * DEEP),
    "InvokeAI's metadata, deep": lambda: (b"tEXt", b"invokeai_metadata\0" + nested("[]")),
    "A1111's brackets, deep": lambda: (b"tEXt", b"parameters\0" + nested("()") + b"\nSteps: 5, Seed: 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_a_picture_with_a_huge_or_deep_text_is_read_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(picture_with(TEXTS[name]()))
    with bounded():
        with suppress(InputError):
            assert not isinstance(read_picture(path), Recipe)
        with pytest.raises(InputError):
            read_recipe(path)


@pytest.mark.parametrize(
    "text", [nested("[]"), b'{"people": ' * DEEP, b'{"recipe": ' + nested("[]") + b"}", b"9" * 100_000]
)
def test_json_that_is_deep_or_endless_is_refused(text: bytes) -> None:
    with bounded():
        for read in (lambda: parse_pose(text), lambda: task_from_text(text.decode())):
            with pytest.raises(InputError):
                read()


@pytest.mark.parametrize("text", ["{" * 5000, "{a|" * 3000 + "b" + "}" * 3000, "__a__" * 2000, "{1::" * 2500])
def test_a_prompt_that_is_deep_is_refused_or_read(tmp_path: Path, text: str) -> None:
    with bounded(), suppress(InputError):
        Wildcards(tmp_path).resolve(text, 1)


HEADERS = {
    "of 8 EB": struct.pack("<Q", 1 << 63) + b"{}",
    "longer than the file": struct.pack("<Q", 10_000_000) + b"{}",
    "deep": struct.pack("<Q", 2 * DEEP) + nested("[]"),
    "with a huge tensor": struct.pack("<Q", 62)
    + b'{"a":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,4]}}'[:62],
    "not JSON": struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_model_whose_header_lies_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HEADERS[name])
    with bounded(), pytest.raises(DamagedError):
        check_file(path)


@pytest.mark.slow
def test_ten_thousand_files_are_listed_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    folder = tmp_path / "loras"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number}.safetensors").touch()
    with bounded():
        assert len(local_files("lora")) >= 10_000


DIGITS, SPACES = "9" * 4_000, " " * 90_000
LONG: dict[str, Callable[[Path], object]] = {
    "a weight in many brackets": lambda folder: parse_prompt("(" * 2_000 + f"a:{DIGITS}x" + ")" * 2_000),
    "the step of a change": lambda folder: prompts_by_step(f"[a:{DIGITS}{DIGITS}x]", 150),
    "the weight of a part": lambda folder: split_parts(f"a AND b{' ' * 4_000}:{DIGITS}x"),
    "the weight of a choice": lambda folder: parse_template("9" * 100_000 + "{" + "9" * 100_000 + "}"),
    "a range of an axis": lambda folder: parse_axis(
        f"guidance_scale: 0-{'9' * 100_000}:1", GenerationRequest(prompt="a")
    ),
    "a model in A1111's settings": lambda folder: parse_a1111(
        f'a\nSteps: 5, Seed: 1, Size: 64x64, ControlNet: "Model: a{SPACES}b"'
    ),
    "a name that is none": lambda folder: did_you_mean("guidance_scal" * 20_000, ["guidance_scale"] * 50),
    "names of a LoRA's tensors": lambda folder: family_of_shapes("lora", {"attn2.to_k" * 300 + "x": [1, 1]}),
}


@pytest.mark.parametrize("name", LONG)
def test_a_text_that_a_pattern_is_slow_at_is_read_soon(tmp_path: Path, name: str) -> None:
    began = time.process_time()
    with suppress(InputError):
        LONG[name](tmp_path)
    assert time.process_time() - began < 3.0


def test_a_header_with_an_endless_name_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"attn2.to_k" * 100: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "lora.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(DamagedError, match="has a name of 1,000 characters"):
        check_file(path)
