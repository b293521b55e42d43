"""Base models of the hub that are no rows of the catalogue: their files, as far as what is here of them tells. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.catalogue.catalog import hub_entry
from models.catalogue.row import ALL_COMPONENTS, File, Weights, shard_index
from models.configs import INDEX, class_name, read_json


def base_row(id: str, folder: Path) -> Weights:
    """Return the row of a repository by the index of its parts in a folder.

    The files of a network that is cut into several are among them once that network's own index is in the folder too. Raises
    DamagedError for an index that cannot be read.
    """
    index = read_json(folder / INDEX)
    row = hub_entry(id, "base", [part for part in ALL_COMPONENTS if class_name(index, part)])
    if not class_name(index, "transformer"):
        return row
    return replace(row, files=tuple(_with_shards(row, folder)))


def _with_shards(row: Weights, folder: Path) -> Iterator[File]:
    """Yield the files of a row. Transformers and their text encoders may be cut into several."""
    for file in row.files:
        index = shard_index(file)
        if not file.name.startswith(("transformer/", "text_encoder")) or not file.name.endswith(".safetensors"):
            yield file
            continue
        yield index
        if (folder / index.name).is_file():
            yield from _shards(read_json(folder / index.name), index.name.rpartition("/")[0])


def _shards(index: Mapping[str, Any], part: str) -> Iterator[File]:
    """Yield the files that an index names, each as large as its share; names that lead elsewhere are left out."""
    places, metadata = index.get("weight_map"), index.get("metadata")
    names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    names = [name for name in names if "/" not in name and "\\" not in name and name.endswith(".safetensors")]
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    size = total // len(names) if isinstance(total, int) and names else None
    yield from (File(f"{part}/{name}", size) for name in names)
