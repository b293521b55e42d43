"""Facts on a model's file that its tensors do not show: from a yaml or config next to it, its metadata, or its known name.

The first source that has a fact decides; where only a name has it, or sources leave it open, a note says what was taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.catalogue.catalog import CATALOG, Weights
from models.catalogue.local import SUFFIXES

MAX_TEXT = 1_000_000
"""Bytes of a yaml or config from which on it is not read."""
POOLING, CONFIG_POOLING = "global_average_pooling", "global_pool_conditions"
"""The same setting in the original's yaml and in diffusers' config."""
ONLY_MIDDLE = "only_mid_control"
CHANNEL_ORDER = "controlnet_conditioning_channel_order"
PREDICTION = "parameterization"
"""In the yaml of a base model: "eps" or "v"."""
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class ControlFacts:
    """Facts on a ControlNet of one file."""

    pools: bool = False
    """Its residuals are averaged over the whole picture."""
    only_middle: bool = False
    """Only its middle block acts."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """Where facts stand, and how one is looked up; None where it is not there."""

    title: str
    get: Callable[[str], str | None]


def control_facts(path: Path, metadata: Mapping[str, str]) -> ControlFacts:
    """Return the facts on a ControlNet in a file; `metadata` is the file's own."""
    sources = [_Source("its metadata", metadata.get), *_sources(path)]
    pools = _flag(sources, POOLING, CONFIG_POOLING)
    only_middle = _flag(sources, ONLY_MIDDLE)
    order = next((found for source in sources if (found := source.get(CHANNEL_ORDER)) in ("rgb", "bgr")), None)
    row = _named_like(path)
    notes: list[str] = []
    if pools is None and row is not None and row.pools:
        pools = True
        notes.append(
            f"{path.name} is taken for {row.title} by its name, so its residuals are averaged over the whole picture; "
            f"put a yaml with {POOLING}: False next to it if they should not be."
        )
    elif pools is None and "shuffle" in path.stem.lower():
        notes.append(
            f"{path.name} may be a shuffle ControlNet, whose residuals are averaged over the whole picture, but nothing in "
            f"or next to the file says so, and they are not; put its yaml with {POOLING}: True next to it if they should be."
        )
    if order is None and row is not None and row.bgr:
        order = "bgr"
        notes.append(
            f"{path.name} is taken for {row.title} by its name, so red and blue of its map are exchanged, as in its training."
        )
    if only_middle:
        notes.append(f"Only the middle block of {path.name} acts: {ONLY_MIDDLE} is set next to it.")
    return ControlFacts(bool(pools), bool(only_middle), "bgr" if order == "bgr" else "rgb", tuple(notes))


def base_prediction(path: Path) -> str | None:
    """Return the target that a base model predicts by the yaml next to its file: "eps", "v", or None where it is not there."""
    found = next((found for source in _sources(path) if (found := source.get(PREDICTION))), None)
    return found if found in ("eps", "v") else None


def _flag(sources: list[_Source], *names: str) -> bool | None:
    """Return a setting by the first source that has it, under one of its names."""
    for source in sources:
        for name in names:
            found = (source.get(name) or "").lower()
            if found in _TRUE or found in _FALSE:
                return found in _TRUE
    return None


def _sources(path: Path) -> Iterator[_Source]:
    """Yield what stands next to a file, named like it; a `config.json` counts where there is no other model it could mean."""
    for suffix in (".yaml", ".yml"):
        text = _read(path.with_suffix(suffix))
        if text is not None:
            yield _Source(path.with_suffix(suffix).name, _yaml_reader(text))
    configs = [path.with_suffix(".json")] + [path.parent / "config.json"] * _is_alone(path)
    for config in configs:
        text = _read(config)
        if text is not None:
            yield _Source(config.name, _json_reader(text))


def _is_alone(path: Path) -> bool:
    try:
        models = [file for file in path.parent.iterdir() if file.suffix in SUFFIXES]
    except OSError:
        return False
    return models == [path]


def _read(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_TEXT:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _yaml_reader(text: str) -> Callable[[str], str | None]:
    """Settings of the original's yamls are on lines of their own, at whatever depth; nothing else of a yaml is read."""

    def get(name: str) -> str | None:
        found = re.search(rf"^[ \t]*{name}[ \t]*:[ \t]*[\"']?([\w.-]+)[\"']?[ \t]*(?:#.*)?$", text, re.MULTILINE)
        return found[1] if found else None

    return get


def _json_reader(text: str) -> Callable[[str], str | None]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    found: Mapping[str, Any] = content if isinstance(content, dict) else {}
    return lambda name: str(found[name]) if name in found else None


def _named_like(path: Path) -> Weights | None:
    """Return the row of the catalogue whose weights have this file's name, whatever stands behind it."""
    stem = path.stem.lower().replace("-", "_")
    for row in CATALOG:
        names = (row.id, row.repo.rpartition("/")[2].replace("-", "_"), *row.aliases)
        known = "|".join(re.escape(name.lower()) for name in names if name)
        if row.kind == "controlnet" and re.match(rf"({known})(?![a-z0-9])", stem):
            return row
    return None
