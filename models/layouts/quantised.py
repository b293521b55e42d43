"""Networks with weights that a package has quantised: bitsandbytes (NF4, FP4, 8 bits), torchao or quanto, read by diffusers' quantisers.

GGUF is a format of its own: see gguf_files.py.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from models.catalogue.sizes import FOUR_BITS
from models.configs import CONFIG, read_json
from models.errors import InputError

PACKAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
        "torchao": ("torchao", "torchao"),
        "quanto": ("optimum", "optimum-quanto"),
    }
)
"""Module and package by the `quant_method` of a network's config."""
ON_GPU = frozenset({"bitsandbytes"})
"""Methods that diffusers runs on a GPU alone."""
DOUBLE = ".nested_absmax"
"""End of such names where the scales are quantised too."""


def check_quantised(config: Mapping[str, Any], name: str) -> None:
    """Raise InputError where the network of a config is quantised in a way that cannot be read here."""
    quantised = config.get("quantization_config")
    if quantised is not None:
        check_method(str(quantised.get("quant_method")), name)


def check_method(method: str, name: str) -> None:
    """Raise InputError where weights that are quantised by `method` cannot be read here; `name` begins the sentence."""
    if method not in PACKAGES:
        raise InputError(
            f"{name} is quantised by {method}, but it must be one of: {', '.join(PACKAGES)}; choose another."
        )
    module, package = PACKAGES[method]
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"{name} has quantised weights, which need the package {package}; run pip install {package}, or choose a base in "
            "16 bits."
        )
    if method in ON_GPU and not torch.cuda.is_available():
        raise InputError(
            f"{name} is quantised by {method}, which runs on a GPU alone; choose a base in 16 bits, in float8 or as GGUF."
        )


def load_four_bits(kind: Any, path: Path, names: Iterable[str], config: Path, dtype: torch.dtype) -> Any:
    """Load a network of a class of diffusers from a file in 4 bits under diffusers' names, with the config in a folder.

    Raises InputError for names of its authors: weights that they fuse cannot be cut while they are packed.
    """
    check_method("bitsandbytes", path.name)
    if any(name.startswith(("double_blocks.", "model.diffusion_model.")) for name in names):
        raise InputError(
            f"{path.name} is stored in 4 bits under the names of its authors, which cannot be cut into diffusers' layers; get it "
            "under diffusers' names, in 8 bits or as GGUF."
        )
    kinds = {name.partition(FOUR_BITS)[2] for name in names if FOUR_BITS in name}
    quantised = {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "bnb_4bit_quant_type": kinds.pop(),
        "bnb_4bit_use_double_quant": any(name.endswith(DOUBLE) for name in names),
        "bnb_4bit_compute_dtype": str(dtype).removeprefix("torch."),
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / CONFIG).write_text(
            json.dumps({**read_json(config / CONFIG), "quantization_config": quantised}), encoding="utf-8"
        )
        _put(path.resolve(), folder / "diffusion_pytorch_model.safetensors")
        return kind.from_pretrained(folder, dtype=dtype, local_files_only=True)


def _put(path: Path, place: Path) -> None:
    """Link a file into a place, or copy it where the system forbids links."""
    try:
        place.symlink_to(path)
    except OSError:
        shutil.copy(path, place)
