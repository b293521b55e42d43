"""Bytes that LoRAs and image prompts add to a base in memory, from headers of files and from rows. Loads no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.catalogue.local import adapter_files
from models.catalogue.resolve import IMAGE_ENCODER, Resolved, resolve
from models.errors import InputError, WeightsError
from models.families import FAMILIES
from models.family_facts import Family, FamilyFacts
from models.files import file_fault, read_shapes, read_sizes

STORED = 2
"""Bytes of a number in the catalogue's files of LoRAs."""
OTHER_KINDS = re.compile(r"hada_|lokr_|oft_|dora_scale|magnitude|\.diff")
"""Parts of the names of tensors that stay in the number format of their file, since no low rank holds the update."""
DOWN = re.compile(r"[._](lora[._]?down|lora_A|down)\.")
"""The half of a LoRA that each of the layers gets whole that are one in the file."""
OF_TEXT = ("lora_te", "text_encoder")
"""Beginnings of the names of tensors for text encoders."""


@dataclass(frozen=True)
class Additions:
    """Bytes of a request's LoRAs, by the network that they lie beside, and of its image prompt."""

    network: int = 0
    text: int = 0
    picture: int = 0
    """The IP-Adapter with its image encoder, which stay on the device."""


def expected_additions(family: Family, loras: Iterable[str], ip_adapter: str, value_bytes: int) -> Additions:
    """Return the bytes of LoRAs and of an IP-Adapter by their names; "" is none. One that cannot be read counts as nothing."""
    found = [lora_bytes(name, family, value_bytes) for name in dict.fromkeys(loras)]
    picture = image_prompt_bytes(ip_adapter, family, value_bytes) if ip_adapter else 0
    return Additions(sum(network for network, _ in found), sum(text for _, text in found), picture)


def lora_bytes(name: str, family: Family, value_bytes: int) -> tuple[int, int]:
    """Return the bytes of a LoRA's layers beside the network and beside text encoders."""
    try:
        found = resolve(name, "lora", family)
    except (InputError, WeightsError):
        return 0, 0
    files = _files(found)
    if not files:
        return (found.row.size or 0) * value_bytes // STORED if found.row else 0, 0
    network = text = 0
    for part, file in files.items():
        for tensor, count in _counts(file, FAMILIES[family], value_bytes).items():
            if (part or tensor).startswith(OF_TEXT):
                text += count
            else:
                network += count
    return network, text


def image_prompt_bytes(name: str, family: Family, value_bytes: int) -> int:
    """Return the bytes of an IP-Adapter and of its image encoder."""
    try:
        found = resolve(name, "ip_adapter", family)
    except (InputError, WeightsError):
        return 0
    if found.path is None:
        return (found.row.loaded or found.row.size or 0) * value_bytes // STORED if found.row else 0
    files = [found.path, *(found.path.parent / IMAGE_ENCODER).glob("*.safetensors")]
    return value_bytes * sum(math.prod(shape) for file in files for shape in _shapes(file).values())


def _files(found: Resolved) -> dict[str, Path]:
    """Return the files of a LoRA on this disk by the network they are for, "" where their names tell it."""
    if found.path is None:
        return {}
    return adapter_files(found.path) if found.path.is_dir() else {"": found.path}


def _counts(file: Path, facts: FamilyFacts, value_bytes: int) -> dict[str, int]:
    """Return the bytes in memory of each tensor of a LoRA."""
    shapes = _shapes(file)
    numbers = {name: math.prod(shape) for name, shape in shapes.items()}
    if any(OTHER_KINDS.search(name) for name in shapes):
        stored = read_sizes(file)
        return {name: 4 * size if size == numbers[name] else size for name, size in stored.items()}  # float8 is widened
    fused = _fused_layers(facts)
    return {name: value_bytes * count * _copies(name, fused) for name, count in numbers.items()}


def _copies(name: str, fused: Mapping[re.Pattern[str], int]) -> int:
    """Return how many layers get a tensor: those that the authors fused share its half that reads."""
    if not DOWN.search(name):
        return 1
    return next((count for pattern, count in fused.items() if pattern.search(name)), 1)


def _fused_layers(facts: FamilyFacts) -> dict[re.Pattern[str], int]:
    """Return patterns of the layers that are one in the authors' code, with the number of diffusers' layers."""
    return {
        re.compile(r"(^|[._])" + re.escape(one).replace(r"\{\}", r"\d+").replace(r"\.", "[._]") + r"[._]lora"): len(own)
        for one, own in facts.original_layers
        if len(own) > 1
    }


def _shapes(file: Path) -> dict[str, list[int]]:
    """Return the shapes in a file; none of a damaged one, and of a pickle."""
    if file.suffix != ".safetensors" or not file.is_file() or file_fault(file, file.suffix):
        return {}
    return read_shapes(file)
