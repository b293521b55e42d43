"""Checks of a file that read no more than its header, and the key under which its content may be cached. Loads no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Mapping
from math import prod
from pathlib import Path
from stat import S_ISREG
from types import MappingProxyType
from typing import Any, TypeGuard

from models.errors import DamagedError

HERE = Path(__file__).resolve().parent
MAX_HEADER = 10_000_000
"""Bytes of a safetensors header. The format allows ten times as many, but a large model's has not one million, and to read
one takes many times its memory."""
MAX_NAME = 500
"""Characters of a tensor's name; the longest of any model have some 150, and names are searched by patterns."""
MAX_SIDES, MAX_SIDE = 64, 2**63
"""Limits of a tensor, as in torch; they also keep the product of a header's numbers small."""
BITS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("F64", "I64", "U64", "C64"), 64)
    | dict.fromkeys(("F32", "I32", "U32"), 32)
    | dict.fromkeys(("F16", "BF16", "I16", "U16"), 16)
    | dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8)
    | dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6)
    | {"F4": 4}
)
"""Bits of one number, in each format of safetensors."""


class _HeaderError(Exception):
    """A fault of a header, as a clause."""


def short(folder: Path) -> str:
    """Return a folder as users read it: relative inside the project, else whole."""
    root = HERE.parent
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def check_file(path: Path) -> None:
    """Raise DamagedError where the file is empty, or a safetensors file is not exactly what its header says."""
    if fault := file_fault(path, path.suffix):
        raise damaged(path, fault)


def file_fault(path: Path, suffix: str) -> str:
    """Return why a file that ends in `suffix`, whatever its name is now, is not whole, as a clause; empty where it is."""
    if path.stat().st_size == 0:
        return "it is empty"
    if suffix == ".safetensors":
        try:
            header, start = _read_header(path)
            _check_spans(header, path.stat().st_size, start)
        except _HeaderError as fault:
            return str(fault)
    return ""


def stamp(path: Path) -> Hashable:
    """Return the key under which what was loaded from a file or folder may be cached: path, size, time of change.

    It changes as soon as a file is replaced under its name, or any file below a folder is. A missing path has a key too.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return str(path), tuple(
        (file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns) for file in files if (stat := _stat(file))
    )


def _stat(path: Path) -> os.stat_result | None:
    """Of a file, through links; None of a folder, and where nothing is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if S_ISREG(found.st_mode) else None


def sha256_of(path: Path) -> str:
    """Return the checksum of the whole content: some seconds for a large file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_tensors(path: Path) -> str:
    """Return the checksum of a safetensors file without its header, which keeps when a file's notes are edited."""
    with path.open("rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        stream.seek(min(start, path.stat().st_size))
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shape of every tensor in a safetensors file that `check_file` has found whole."""
    return {name: tensor["shape"] for name, tensor in _read_header(path)[0].items()}


def read_formats(path: Path) -> dict[str, str]:
    """Return the number format of every tensor in a safetensors file that `check_file` has found whole, such as "BF16"."""
    return {name: str(tensor["dtype"]) for name, tensor in _read_header(path)[0].items()}


def read_sizes(path: Path) -> dict[str, int]:
    """Return the bytes of every tensor in a safetensors file that `check_file` has found whole."""
    spans = {name: tensor["data_offsets"] for name, tensor in _read_header(path)[0].items()}
    return {name: end - start for name, (start, end) in spans.items()}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file that `check_file` has found whole; empty for another kind of file."""
    if path.suffix != ".safetensors":
        return {}
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        found = json.loads(stream.read(length)).get("__metadata__") or {}
    return {str(name): str(value) for name, value in found.items()}


def damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path.name} in {short(path.parent)} is damaged: {why}; delete it and download it again.")


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file, by tensor, and the byte at which the tensors begin."""
    with path.open("rb") as stream:
        first = stream.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or length > path.stat().st_size - 8:
            raise _HeaderError("its header is cut off")
        if length > MAX_HEADER:
            raise _HeaderError(f"its header would have {length} bytes, more than any model's")
        text = stream.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_named_once)
    except (ValueError, RecursionError) as error:
        raise _HeaderError("its header cannot be read") from error
    if not (isinstance(header, dict) and all(isinstance(said, dict) for said in header.values())):
        raise _HeaderError("its header cannot be read")
    header.pop("__metadata__", None)
    return header, 8 + length


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object; a second value for a name is a fault, for readers would differ in which they take."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if len(name) > MAX_NAME:
            raise _HeaderError(f"its header has a name of {len(name):,} characters")
        if name in found:
            raise _HeaderError(f"its header names {quoted(name)} twice")
        found[name] = value
    return found


def _check_spans(header: Mapping[str, Any], size: int, start: int) -> None:
    """Raise where the tensors do not fill the file, one after another, from the header's end on."""
    end = 0
    for begin, stop, name in sorted((*_span(name, said), name) for name, said in header.items()):
        if begin != end:
            raise _HeaderError(f"its tensor {quoted(name)} begins at byte {begin}, and not at {end}")
        end = stop
    if start + end != size:
        raise _HeaderError(f"it has {size} bytes instead of {start + end}")


def _span(name: str, said: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first byte of a tensor and the one after its last, checked against shape and number format."""
    shape, span, bits = said.get("shape"), said.get("data_offsets"), BITS.get(str(said.get("dtype")))
    if not (_are_sizes(shape) and _are_sizes(span) and len(span) == 2 and span[0] <= span[1] and bits):
        raise _HeaderError(f"its header has no valid entry for the tensor {quoted(name)}")
    if 8 * (span[1] - span[0]) != bits * prod(shape):
        raise _HeaderError(f"its tensor {quoted(name)} has {span[1] - span[0]} bytes, which its shape does not fill")
    return span[0], span[1]


def _are_sizes(numbers: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(numbers, list)
        and len(numbers) <= MAX_SIDES
        and all(type(number) is int and 0 <= number < MAX_SIDE for number in numbers)
    )


def quoted(name: str) -> str:
    """Return a name from a file that may be hostile: short, on one line."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")
