"""WebDataset: members of a tar with one name and several endings are one pair; nothing is unpacked. Loads no torch."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from cnet_app.training.data.naming import (
    CAPTION_SUFFIXES,
    CONTROL_MEMBERS,
    IMAGE_FOLDERS,
    SUFFIXES,
    TEXT_KEYS,
    missing,
    parse_json,
    value_of,
)
from cnet_app.training.data.pairs import Pair, Problem, Source


def read_shards(folder: Path) -> tuple[list[Pair], list[Problem]]:
    """Return the pairs of all shards in a folder, and what is wrong with them."""
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for shard in sorted(folder.glob("*.tar")):
        groups: dict[str, dict[str, Source]] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                _group(tar, shard, groups)
        except (tarfile.TarError, OSError, EOFError) as error:
            text = f"{shard.name} cannot be read to its end ({error}); get the shard again."
            problems.append(Problem("unreadable", shard.name, text))
        if not groups and not problems:
            text = f"{shard.name} holds no members NAME.jpg; write pictures, maps and texts by their endings."
            problems.append(Problem("unreadable", shard.name, text))
        for name, parts in groups.items():
            image = parts.get("image")
            where = f"{shard.name}, {name}"
            if image is None:
                problems.append(missing(where, name, f"{name}.jpg to the shard", "picture"))
                continue
            if "control" not in parts:
                problems.append(missing(where, name, f"{name}.control.png to the shard"))
            pairs.append(
                Pair(f"{shard.stem}/{name}", image, parts.get("control"), _words(parts), where, parts.get("data"))
            )
    return pairs, problems


def _group(tar: tarfile.TarFile, shard: Path, groups: dict[str, dict[str, Source]]) -> None:
    """Add the members by name and part: image, control, text, json, data."""
    for member in tar:
        if not member.isfile() or member.issparse():
            continue
        path = PurePosixPath(member.name)
        stem, _, ending = path.name.partition(".")
        part = _part(ending.lower())
        if part:
            source = Source(shard, member.offset_data, member.size, member.name)
            groups.setdefault((path.parent / stem).as_posix(), {}).setdefault(part, source)


def _part(ending: str) -> str | None:
    """Return which part of a pair a member of a shard is, by its ending: 'control.png', 'jpg', 'txt'."""
    kind, _, suffix = ending.rpartition(".")
    if f".{suffix}" in SUFFIXES:
        return "control" if kind in CONTROL_MEMBERS else "image" if kind in ("", *IMAGE_FOLDERS) else None
    if suffix == "json":
        return "data" if kind in CONTROL_MEMBERS else "json"
    return "text" if f".{suffix}" in CAPTION_SUFFIXES else None


def _words(parts: Mapping[str, Source]) -> str:
    if text := parts.get("text"):
        return text.read().decode("utf-8", "replace").strip()
    values = parse_json(parts["json"].read().decode("utf-8", "replace")) if "json" in parts else None
    return value_of(cast("dict[str, Any]", values), TEXT_KEYS) if isinstance(values, dict) else ""
