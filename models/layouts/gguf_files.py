"""Networks with quantised weights in a GGUF file, read by the package gguf and diffusers' quantiser of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import DamagedError, InputError
from models.families import FAMILIES, family_of_network
from models.family_facts import Family
from models.files import damaged, stamp

GGUF = ".gguf"
"""Ending of such a file."""


def family_in(path: Path) -> Family | None:
    """Return the family whose network the file holds; None where its names show none, or the package is not installed."""
    return family_of_network(names_in(path))


def names_in(path: Path) -> frozenset[str]:
    """Return the names of a file's tensors; none where it is damaged, or the package is not installed."""
    return _names_in(path, stamp(path))


@lru_cache(maxsize=1000)
def _names_in(path: Path, stamped: Hashable) -> frozenset[str]:
    if importlib.util.find_spec("gguf") is None:
        return frozenset()
    from gguf import GGUFReader

    try:
        return frozenset(tensor.name for tensor in GGUFReader(path).tensors)
    except (OSError, ValueError, LookupError):  # not what its ending says
        return frozenset()


def unknown_file(path: Path) -> InputError | DamagedError:
    """Return the error of a file in which `family_in` finds no family."""
    if importlib.util.find_spec("gguf") is None:
        return InputError(
            f"{path.name} has quantised weights, which need the package gguf; run pip install gguf, or choose a .safetensors file."
        )
    if not names_in(path):
        return damaged(path, "it is no whole GGUF file")
    known = ", ".join(row.title for row in FAMILIES.values() if row.network_marks)
    return InputError(f"{path.name} does not hold a network that this app knows; choose one of: {known}.")


def load_quantised(kind: Any, path: Path, config: Path, dtype: Any) -> Any:
    """Load a network of a class of diffusers, with the config in a folder, for passes in `dtype`."""
    from diffusers import GGUFQuantizationConfig

    return kind.from_single_file(
        str(path),
        config=str(config),
        quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
        torch_dtype=dtype,
        local_files_only=True,
    )
