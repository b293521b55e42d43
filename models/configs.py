"""Configs of models in diffusers folder format: what a folder holds, and of which family it is. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.catalogue.row import TEXT_ENCODERS
from models.errors import DamagedError, InputError, MissingError
from models.families import FAMILIES, TITLES, family_of, takers
from models.family_facts import Family
from models.files import check_file, short
from models.layouts.adapters import ADAPTER, adapter_family

_CONTROL_CLASSES = tuple(row.control_class.removesuffix("Model") for row in FAMILIES.values() if row.control_class)
"""Beginnings of the classes of ControlNets, unions included."""
CONFIG, INDEX = "config.json", "model_index.json"
NETWORK_FOLDERS = tuple(dict.fromkeys(row.network_folder for row in FAMILIES.values()))
"""Folders of a base in which the network of every step may be."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a config file; MissingError or DamagedError."""
    try:
        check_file(path)
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingError(f"{short(path.parent)} has no {path.name}; put the whole model folder there.") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, "it is no JSON") from error
    if not isinstance(content, dict):
        raise _unusable(path, "it is no JSON object")
    return content


def class_name(index: Mapping[str, Any], part: str) -> str:
    """Return the class of a part of a base model by its index; empty where it has no such part."""
    found = index.get(part)
    return str(found[1]) if isinstance(found, list) and len(found) == 2 and found[1] else ""


def named_class(config: Mapping[str, Any]) -> str:
    """Return the class that a config names, for a sentence; a value that is no class has no name."""
    found = config.get("_class_name")
    return found if isinstance(found, str) and re.fullmatch(r"\w{1,80}", found, re.ASCII) else "something unnamed"


def read_base_family(id: str, folder: Path) -> Family:
    """Return the family of a base model by its network's config; InputError where it is none of the known ones."""
    family = family_of(read_network_config(folder))
    if family is None:
        raise unknown_kind(id)
    return family


def unknown_kind(id: str) -> InputError:
    """Return the error for a base of none of the known families."""
    return InputError(
        f"{id} is none of the kinds of model this app knows: {', '.join(TITLES.values())}; choose one of those."
    )


def check_parts(id: str, index: Mapping[str, Any], family: Family) -> tuple[str, ...]:
    """Return the folders of a base's text encoders; InputError where its index names parts that are not the family's."""
    facts = FAMILIES[family]
    encoders = tuple(name for name in TEXT_ENCODERS if class_name(index, name))
    least = facts.text_encoders - facts.optional_text_encoders
    if encoders != TEXT_ENCODERS[: len(encoders)] or not least <= len(encoders) <= facts.text_encoders:
        raise InputError(f"{id} has {len(encoders)} text encoders, which is not how a {TITLES[family]} model is made.")
    for name in encoders:
        listed_class(index, name, facts.text_encoder_classes)
    if class_name(index, "vae"):
        listed_class(index, "vae", facts.vae_classes)
    return encoders


def listed_class(index: Mapping[str, Any], part: str, allowed: tuple[str, ...]) -> str:
    """Return the class of a part by its index, which may be one of a few only; InputError for any other."""
    name = class_name(index, part)
    if name not in allowed:
        raise InputError(
            f"The model's {part} is {name or 'missing'}, but this app knows {' and '.join(dict.fromkeys(allowed))} only."
        )
    return name


def read_network_config(folder: Path) -> dict[str, Any]:
    """Return the config of the network that runs at every step, from the first of the families' folders that is there."""
    folders = [folder / name for name in NETWORK_FOLDERS]
    return read_json(next((place for place in folders if (place / CONFIG).is_file()), folders[0]) / CONFIG)


def is_distilled(index: Mapping[str, Any]) -> bool:
    """Return whether the index of a base model names it distilled to few steps, where guidance has no effect."""
    return index.get("is_distilled") is True


def read_sample_size(folder: Path) -> int | None:
    """Return the side of the latents that a base model was trained at, where its config has it."""
    size = read_network_config(folder).get("sample_size")
    return size if isinstance(size, int) else None


def read_controlnet_config(id: str, path: Path, family: Family | None) -> Mapping[str, Any]:
    """Return the config of a ControlNet or T2I-Adapter; InputError for anything else, and for another family's."""
    config = read_json(path)
    kind = named_class(config)
    if kind != ADAPTER and not kind.startswith(_CONTROL_CLASSES):
        raise InputError(f"{id} is no ControlNet but {kind}; choose a ControlNet or a T2I-Adapter.")
    own = controlnet_family(config)
    if family is not None and (own is None or family not in takers(own)):
        raise wrong_family(id, own, family)
    return config


def controlnet_family(config: Mapping[str, Any]) -> Family | None:
    """Return the family that a ControlNet or T2I-Adapter was made for, by its config."""
    return adapter_family(config) if config.get("_class_name") == ADAPTER else family_of(config)


def wrong_family(title: str, own: Family | None, family: Family) -> InputError:
    """Return the error for a ControlNet of another family than the base's."""
    made = TITLES[own] if own else "another kind of model"
    return InputError(
        f"{title} was made for {made} and cannot steer {TITLES[family]}; choose a ControlNet for {TITLES[family]}."
    )


def _unusable(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path.name} in {short(path.parent)} cannot be used: {why}; delete it and get it again.")
