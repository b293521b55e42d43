"""Repositories of the hub that the user has added to the catalogue, noted in a small file. Loads no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.catalogue.catalog import CATALOG, Family, File, Kind, Weights, hub_entry, no_weights
from models.catalogue.local import FOLDERS, KIND_TITLES, SUFFIXES, kind_of
from models.catalogue.row import ALL_COMPONENTS
from models.catalogue.weights import check_file, fetch_row, present, read_shapes
from models.configs import class_name, named_class
from models.downloads.ledger import read_ledger, unreadable, write_ledger
from models.errors import DamagedError, InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, FAMILY_OF_TWO_ENCODERS

LEDGER = "models.json"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "T2IAdapter": "adapter",
        "StableDiffusionInpaintPipeline": "base",
        "StableDiffusionXLInpaintPipeline": "base",
        **{row.pipeline_class: "base" for row in FAMILIES.values()},
        **{row.control_class: "controlnet" for row in FAMILIES.values() if row.control_class},
        **{kind: "vae" for row in FAMILIES.values() for kind in row.vae_classes},
    }
)
"""Kind by the class that a config names."""
OWN_KINDS = tuple(dict.fromkeys(KINDS.values()))
"""Kinds that may be added."""


def own_rows() -> tuple[Weights, ...]:
    """Return the rows that the user has added, by id; WeightsError where their file cannot be read."""
    return tuple(_row(repo, said) for repo, said in sorted(read_ledger(LEDGER).items()))


def known_rows() -> tuple[Weights, ...]:
    """Return the catalogue's rows, then the user's own."""
    return CATALOG + own_rows()


def known(id: str) -> Weights:
    """Return the row of an id; raises LookupError with a sentence that names the nearest ids."""
    rows = known_rows()
    found = next((row for row in reversed(rows) if row.id == id), None)
    if found is None:
        raise no_weights(id, rows)
    return found


def add_repository(repo: str, kind: Kind | None = None) -> Weights:
    """Note a hub repository as a row of its own, with the family where its config gives it.

    The kind is read from its config, which is downloaded, unless it is given. InputError where this app cannot load it.
    """
    if not HUB_ID.fullmatch(repo):
        raise InputError(f"{repo!r} names no repository; give owner/name, as on huggingface.co.")
    twin = next((row for row in CATALOG if row.repo == repo), None)
    if twin is not None:
        raise InputError(f"{repo} is in the catalogue already, as {twin.id}.")
    said: dict[str, Any] = {"kind": kind}
    if kind is None or kind == "base":
        config = _config(repo)
        said = {"kind": kind or _kind(repo, config), "family": _family(config)}
        said["components"] = [part for part in ALL_COMPONENTS if said["kind"] == "base" and class_name(config, part)]
    row = _row(repo, said)
    write_ledger(LEDGER, read_ledger(LEDGER) | {repo: said})
    return row


def refuse_file(path: Path) -> InputError:
    """Return the error for a file of the user's own: it needs no row, only the right folder."""
    kind = None
    if path.suffix == ".safetensors":
        try:
            check_file(path)
            kind = kind_of(read_shapes(path))
        except DamagedError as fault:
            return InputError(str(fault))
    if path.is_dir():
        return InputError(f"{path} is a folder; give its path wherever a model is asked for, it needs no row.")
    if path.suffix not in SUFFIXES:
        return InputError(f"{path.name} holds no model; give owner/name, or a file that ends in {', '.join(SUFFIXES)}.")
    places = [f"models/{folder} ({KIND_TITLES[own]})" for own, folder in FOLDERS.items() if kind in (None, own)]
    return InputError(f"{path.name} is a file; put it into {' or '.join(places)}, where it is found by its name.")


def _config(repo: str) -> dict[str, Any]:
    """Return the config of a network, or the index of a base model's parts."""
    file = File("model_index.json", 0, others=("config.json",))
    path = present(fetch_row(replace(hub_entry(repo, "controlnet"), files=(file,))), file)
    assert path is not None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise InputError(f"The config of {repo} cannot be read; name its kind with `models add {repo} --kind`.")
    return config


def _kind(repo: str, config: Mapping[str, Any]) -> Kind:
    name = named_class(config)
    if name not in KINDS:
        raise InputError(f"{repo} holds {name}, but what can be added is one of: {', '.join(KINDS)}.")
    return KINDS[name]


def _family(config: Mapping[str, Any]) -> Family | None:
    """Return the family as far as this config gives it; None where only other files can."""
    named = config.get("_class_name")
    own: Family | None = next(
        (
            row.id
            for row in FAMILIES.values()
            if row.backbone != "unet" and named in (row.pipeline_class, row.control_class)
        ),
        None,
    )
    if own:
        return own
    if "XL" in str(named):
        return FAMILY_OF_TWO_ENCODERS
    width = config.get("cross_attention_dim")
    return FAMILY_BY_WIDTH.get(width) if isinstance(width, int) else None


def _row(repo: str, said: Any) -> Weights:
    """Build a row from its note, which a user may have edited."""
    noted: dict[str, Any] = said if isinstance(said, dict) else {}
    kind: Any = noted.get("kind")
    family: Any = noted.get("family")
    components: Any = noted.get("components", [])
    understood = (
        HUB_ID.fullmatch(repo)
        and kind in OWN_KINDS
        and family in (None, *FAMILIES)
        and isinstance(components, list)
        and all(part in ALL_COMPONENTS for part in components)
    )
    if not understood:
        raise unreadable(LEDGER)
    return replace(hub_entry(repo, kind, components), family=family)
