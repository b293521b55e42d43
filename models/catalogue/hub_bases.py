"""Base models in folders: their rows, files and sizes, as far as their small files tell. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.catalogue.catalog import entry, hub_entry
from models.catalogue.row import ALL_COMPONENTS, TEXT_ENCODERS, File, Weights, shard_index, text_files
from models.configs import CONFIG, INDEX, NETWORK_FOLDERS, class_name, read_json, unknown_kind
from models.families import FAMILIES, family_of


def config_row(id: str, folder: Path) -> Weights:
    """Return the row of the configs of a repository's networks, by the index of its parts in a folder.

    They show whether the rest is worth its download. Raises InputError where there is no network that runs at every step.
    """
    index = read_json(folder / INDEX)
    networks = [part for part in NETWORK_FOLDERS if class_name(index, part)]
    if not networks:
        raise unknown_kind(id)
    parts = [part for part in (*networks, "vae", *TEXT_ENCODERS) if class_name(index, part)]
    return replace(hub_entry(id, "base"), files=text_files(INDEX, *(f"{part}/{CONFIG}" for part in parts)))


def similar_row(config: Mapping[str, Any]) -> Weights | None:
    """Return the catalogue's base that has a network like that of a config; None where the config is of no known family."""
    family = family_of(config)
    if family is None:
        return None
    marks = FAMILIES[family].base_by_config
    return entry(next((id for key, value, id in marks if config.get(key) == value), family))


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
