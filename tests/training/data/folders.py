"""Tiny data sets in every form."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16


def picture_bytes(seed: int = 0, side: int = SIDE, form: str = "PNG") -> bytes:
    """Return a picture of random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks.repeat(side // 4, axis=0).repeat(side // 4, axis=1)).save(file, form)
    return file.getvalue()


def write(folder: Path, files: Mapping[str, str | int | bytes]) -> Path:
    """Write files below a folder: a text, bytes, or a picture by its seed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        form = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
        data = picture_bytes(content, form=form) if isinstance(content, int) else content
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def write_shard(path: Path, members: Mapping[str, str | bytes]) -> None:
    """Write a tar of members."""
    with tarfile.open(path, "w:") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
