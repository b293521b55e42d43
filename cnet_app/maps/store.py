"""Maps that were made, kept on the disk for the next time: a file each, and the least recently used goes first."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import annotators
from annotators.base import Annotator, parameters
from annotators.maps.control_map import ControlMap, DataAnnotator, describe_map
from models.catalogue.catalog import entry
from models.catalogue.weights import find
from models.downloads.whole import sweep_unfinished, write_whole
from models.errors import InputError

LENGTH = struct.Struct("<Q")
SUM = hashlib.sha256().digest_size
"""Bytes at a file's end. It is a PNG, then JSON deflated, the JSON's length, and the SHA-256 of it all: viewers see the PNG."""
LIBRARIES = (
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "torch",
    "transformers",
    "controlnet_aux",
    "onnxruntime",
)
LOOK_AFTER = 0.05
"""Share of the limit that is written before the folder is looked through again."""


def map_key(annotator: Annotator, source_sha256: str, *how: object) -> str | None:
    """Names a map: the picture, the annotator with its parameters, its code and weights, and how the picture is resized.

    None where weights are missing, for then nobody knows yet which they will be.
    """
    weights = weights_identity(annotator)
    if not all(weights):
        return None
    values = {name: getattr(annotator, name) for name in parameters(type(annotator))}
    named = (source_sha256, annotator.id, values, how, weights, _code())
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def weights_identity(annotator: Annotator) -> tuple[tuple[Any, ...], ...]:
    """Stamps of the files of its weights, by catalogue row; none where the files are not here."""
    return tuple(_identity(id) for id in annotator.needs())


def _identity(id: str) -> tuple[Any, ...]:
    """Names, sizes and dates of the files of a catalogue row."""
    folder = find(id)
    paths = [folder / name for file in entry(id).files for name in file.names] if folder else []
    stats = [(path.name, path.stat()) for path in paths if path.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@cache
def _code() -> str:
    """Of everything that makes maps: another version of it makes other maps, perhaps."""
    digest = hashlib.sha256()
    for path in sorted(Path(annotators.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()


class MapStore:
    """Maps by `map_key`, about `max_bytes` of them at most.

    Safe with several processes: files come whole and go whole. A damaged one is dropped; a folder that cannot be written
    to keeps nothing.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._unseen = max_bytes  # bytes written since the folder was looked through: the first time it is

    def read(self, key: str, annotator: Annotator) -> ControlMap | None:
        """Return the map stored under the annotator's key."""
        path = self._path(key)
        try:
            made = _unpack(path.read_bytes(), annotator)
        except OSError:
            return None
        if made is None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)  # used just now
        return made

    def write(self, key: str, made: ControlMap) -> None:
        """Keeps the map, and lets older ones go where there are too many."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            data = _pack(made)
            write_whole(self._path(key), data, lasting=False)
            self._unseen += len(data)
            if self._unseen > LOOK_AFTER * self._max_bytes:
                self._tidy()
        except OSError:
            return  # no room or no right to write: it is made again the next time

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.png"

    def _tidy(self) -> None:
        """Takes the oldest away until what stays fits."""
        self._unseen = 0
        sweep_unfinished(self._folder)
        found: list[tuple[int, int, Path]] = []
        for path in self._folder.iterdir():
            with suppress(OSError):  # another process was quicker
                stat = path.stat()
                if path.suffix == ".png":
                    found.append((stat.st_mtime_ns, stat.st_size, path))
        room = sum(size for _, size, _ in found) - self._max_bytes
        for _, size, path in sorted(found):
            if room <= 0:
                break
            with suppress(OSError):
                path.unlink()
            room -= size


def _pack(made: ControlMap) -> bytes:
    said = {
        "annotator": made.annotator,
        "source_sha256": made.source_sha256,
        "warnings": made.warnings,
        "data": made.data.to_json() if made.data else None,
    }
    text = zlib.compress(json.dumps(said).encode())
    content = cv2.imencode(".png", made.pixels[..., ::-1])[1].tobytes() + text + LENGTH.pack(len(text))
    return content + hashlib.sha256(content).digest()


def _unpack(packed: bytes, annotator: Annotator) -> ControlMap | None:
    """None where it is not what was packed for this annotator."""
    content = packed[:-SUM]
    if hashlib.sha256(content).digest() != packed[-SUM:]:
        return None
    end = len(content) - LENGTH.size
    said = json.loads(zlib.decompress(content[end - LENGTH.unpack(content[end:])[0] : end]))
    if said["annotator"] != annotator.id:
        return None
    try:
        data = annotator.read(said["data"]) if isinstance(annotator, DataAnnotator) else None
    except InputError:
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None, "a PNG with the right checksum"
    return describe_map(annotator, np.asarray(pixels, np.uint8), said["source_sha256"], data, tuple(said["warnings"]))
