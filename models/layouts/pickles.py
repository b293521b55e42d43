"""Pickles of tensors, opened so that nothing in them runs, and none takes much more memory than its file."""

from __future__ import annotations

import pickletools
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from models.errors import DamagedError, InputError
from models.files import short

FAULTS = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)
"""Raised by torch and zipfile for bytes that are no pickle."""
BUFFER = "bytearray"
"""A type that torch lets a pickle make, of any size by a few bytes; tensors need none."""
OLD_PARTS = 5
"""Pickles one after another in a file from before torch 1.6."""
MOST_UNPACKED = 4
"""Bytes that the parts of a file may unpack to, and its tensors hold, for each byte of the file; tied weights count twice."""
SPARE = 1_000_000


def read_pickle(path: Path) -> Any:
    """Return the tensors and plain values of a pickle that `check_file` has passed.

    Raises InputError where it holds anything else, and DamagedError.
    """
    refusal = InputError(
        f"{path.name} holds more than tensors and might run code, so it is not opened; get it as .safetensors."
    )
    in_zip = zipfile.is_zipfile(path)
    if not in_zip and tarfile.is_tarfile(path):  # torch's first format, which cannot be read without running it
        raise refusal
    room = MOST_UNPACKED * path.stat().st_size + SPARE
    try:
        if BUFFER in _globals(path, in_zip, room):
            raise refusal
        # Older embeddings keep their vectors in this container of torch's own.
        with torch.serialization.safe_globals([nn.ParameterDict]):
            # Files from before torch 1.6 are no zip and cannot be mapped.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=in_zip)
        if sum(map(_bytes_of, _tensors(content))) > room:
            raise unreadable(path)
    except UnpicklingError as error:
        raise refusal from error
    except FAULTS as error:
        if error is refusal:
            raise
        raise unreadable(path) from error
    return content


def unreadable(path: Path) -> DamagedError:
    """Return the error of a file whose bytes are not those of its format."""
    return DamagedError(f"{path.name} in {short(path.parent)} cannot be read; delete it and download it again.")


def _globals(path: Path, in_zip: bool, room: int) -> set[str]:
    """Return the names of the functions and types in a file's pickles, up to the first byte that is none of a pickle."""
    if not in_zip:
        with path.open("rb") as stream:
            return {name for _ in range(OLD_PARTS) for name in _named(stream)}
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if sum(part.file_size for part in parts) > room:
            raise ValueError(f"The parts of {path.name} unpack to far more than the file.")
        found: set[str] = set()
        for part in parts:
            if part.filename.lower().endswith(".pkl"):
                with archive.open(part) as stream:
                    found.update(_named(stream))
    return found


def _named(stream: IO[bytes]) -> Iterator[str]:
    try:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                yield str(argument).rpartition(" ")[2]
    except (ValueError, LookupError):
        return  # torch's own reader stops here too


def _tensors(content: object) -> Iterator[Tensor]:
    """Yield every tensor in dicts, lists and containers of parameters, each once; they may hold themselves."""
    waiting, known = [content], set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in known:
            continue
        known.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, nn.Module):
            waiting += list(value.parameters())
        elif isinstance(value, dict):
            waiting += list(cast("dict[object, object]", value).values())
        elif isinstance(value, list | tuple):
            waiting += list(cast("list[object]", value))


def _bytes_of(tensor: Tensor) -> int:
    """Return the bytes of a plain tensor's numbers. Raises ValueError for one that is sparse, quantised, or has no numbers."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
        raise ValueError("A tensor is not plain.")
    return tensor.numel() * tensor.element_size()
