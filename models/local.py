"""ControlNets that users drop into models/controlnets, one file each: found anew whenever asked. Loads no torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.catalog import Family
from models.weights import HERE, DamagedError, check_file, read_shapes

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
FAMILY_BY_WIDTH: Mapping[int, Family] = MappingProxyType({768: "sd15", 1024: "sd21", 2048: "sdxl"})
"""Numbers per word of the text encoders that a network was trained with."""


@dataclass(frozen=True)
class LocalFile:
    """One file; it is named by its name."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def family(self) -> Family | None:
        """From the shapes in a .safetensors file's header; None where they do not tell, and of a pickle."""
        if self.path.suffix != ".safetensors":
            return None
        try:
            check_file(self.path)
        except DamagedError:
            return None
        shapes = read_shapes(self.path)
        widths = (shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) > 1)
        return FAMILY_BY_WIDTH.get(next(widths, 0))

    @property
    def sha256(self) -> str:
        """Of the content: some seconds for a large file."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def local_controlnets() -> list[LocalFile]:
    """In models/controlnets and `$CNET_MODELS_DIR/controlnets`, by name; of two with one name the first."""
    given = os.environ.get("CNET_MODELS_DIR")
    folders = [*([Path(given) / "controlnets"] if given else []), HERE / "controlnets"]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    found = {path.name: path for path in reversed(files) if path.suffix in SUFFIXES and path.is_file()}
    return [LocalFile(found[name]) for name in sorted(found)]


def find_local(name: str) -> Path | None:
    """The dropped file of a name."""
    return next((file.path for file in local_controlnets() if file.name == name), None)
