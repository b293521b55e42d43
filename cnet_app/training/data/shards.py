"""WebDataset: members of a tar with one name and several endings are one pair; nothing is unpacked. Loads no torch."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from annotators.sources.picture_files import SUFFIXES, readable_name
from cnet_app.training.data.naming import (
    CAPTION_SUFFIXES,
    CONTROL_MEMBERS,
    IMAGE_FOLDERS,
    TEXT_KEYS,
    missing,
    parse_json,
    value_of,
)
from cnet_app.training.data.pairs import Pair, Problem, Source

NAME_BYTES = 100
"""At the start of a member's header."""
MARK = slice(257, 262)
"""Of a member's header."""


def read_shards(folder: Path) -> tuple[list[Pair], list[Problem]]:
    """Return the pairs of all shards in a folder, and what is wrong with them."""
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for shard in sorted(folder.glob("*.tar")):
        groups: dict[str, dict[str, Source]] = {}
        faults = list(_group(shard, groups))
        if not groups and not faults:
            text = f"{shard.name} holds no members NAME.jpg; write pictures, maps and texts by their endings."
            faults.append(Problem("unreadable", shard.name, text))
        problems += faults
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


def _group(shard: Path, groups: dict[str, dict[str, Source]]) -> Iterator[Problem]:
    """Add the members by name and part (image, control, text, json, data), and yield what of the shard cannot be read."""
    try:
        with tarfile.open(shard, "r:", ignore_zeros=True) as tar:
            end = 0
            for member, offset in _members(tar, shard.stat().st_size):
                yield from _damaged_headers(shard, end, offset)
                end = tar.offset
                if member is not None:
                    _add(member, shard, groups)
    except (tarfile.TarError, OSError, EOFError) as error:
        text = f"{shard.name} cannot be read to its end ({error}); get the shard again."
        yield Problem("unreadable", shard.name, text)


def _members(tar: tarfile.TarFile, size: int) -> Iterator[tuple[tarfile.TarInfo | None, int]]:
    """Yield each member and the byte at which it begins; at last None and the size of the file.

    `ignore_zeros` makes tarfile go on behind a damaged header, and behind the end of a first archive in a file of several:
    by itself it would end at both without an error.
    """
    while True:
        try:
            member = tar.next()
        except tarfile.ReadError:
            if tar.offset >= size:
                raise
            tar.offset += tarfile.BLOCKSIZE  # a header is damaged that a header of its own announced, as of long names
            continue
        if member is None:
            break
        yield member, member.offset
    yield None, size


def _damaged_headers(shard: Path, start: int, end: int) -> Iterator[Problem]:
    """Yield the damaged headers between two members, and a missing end of the archive.

    The blocks there are empty, or a member whose header is damaged: the first block, and each further one with a header's
    mark, is such a header.
    """
    with shard.open("rb") as file:
        file.seek(start)
        is_first, offset, has_end = True, start, False
        while offset < end:
            block = file.read(min(tarfile.BLOCKSIZE, end - offset))
            if not block:
                break
            if not any(block):
                has_end = True
            elif is_first or block[MARK] == b"ustar":
                is_first = False
                yield _damaged_header(shard, block, offset)
            offset += len(block)
        if end == shard.stat().st_size and not has_end and is_first:
            text = f"{shard.name} has no end blocks, so that it may be cut off; get the shard again."
            yield Problem("unreadable", shard.name, text)


def _damaged_header(shard: Path, block: bytes, offset: int) -> Problem:
    if block[MARK] != b"ustar":
        where = f"{shard.name}, byte {offset}" if offset else shard.name
        text = f"{where} cannot be read, as no member of a tar begins there; get the shard again."
        return Problem("unreadable", where, text)
    name = readable_name(block[:NAME_BYTES].partition(b"\0")[0].decode("utf-8", "replace").replace("\ufffd", ""))
    where = f"{shard.name}, {name or f'byte {offset}'}"
    stem = _stem_of(PurePosixPath(name)) if name else ""
    text = f"{where} cannot be read, as its header at byte {offset} is damaged; get the shard again."
    return Problem("unreadable", where, text, f"{shard.stem}/{stem}" if stem else "")


def _add(member: tarfile.TarInfo, shard: Path, groups: dict[str, dict[str, Source]]) -> None:
    if not member.isfile() or member.issparse():
        return
    path = PurePosixPath(member.name)
    part = _part(path.name.partition(".")[2].lower())
    if part:
        source = Source(shard, member.offset_data, member.size, member.name)
        groups.setdefault(_stem_of(path), {}).setdefault(part, source)


def _stem_of(path: PurePosixPath) -> str:
    """Return the name of a member's pair: all before the first dot."""
    return (path.parent / path.name.partition(".")[0]).as_posix()


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
