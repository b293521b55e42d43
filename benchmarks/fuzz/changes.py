"""Random changes of bytes, texts and JSON, as damage and malice make them. A source of numbers with a seed decides all of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, TypeAlias, cast

Json: TypeAlias = Any
Files: TypeAlias = Mapping[str, bytes]
"""One input: the content of files by their names."""
Place: TypeAlias = tuple[str | int, ...]

DEEP = "\0deep"
"""Stands in JSON for a value that is nested too deeply to be built; `json_bytes` writes it."""
DEPTHS = (40, 120, 1_000, 60_000)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at the ends of their formats."""
ODD_TEXTS = (
    "", " ", "\0", "\ud800", "a\ud83d", "\ufeff", "\u202e", "é" * 3_000, "x" * 70_000, "None", "null", "nan", "-1", "1e999", "9" * 5_000,
    "../../etc/passwd", "/dev/zero", "C:\\con", "http://127.0.0.1:9/x", "<script>alert(1)</script>", "{0}", "%s%n", "a\nb\r\n", "(((",
    "[a:b:0.5]", "{a|b", "__x__", "<lora:a:1>", "🦊👩‍🚀", "a" * 200 + "!",
)  # fmt: skip
ODD: tuple[Json, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**53, 2**63, -(2**63), 10**40, 10**400, 0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"),
    -float("inf"), [], {}, [[]], [None], {"": None}, [0] * 500, DEEP, *ODD_TEXTS,
)  # fmt: skip
LETTERS = "abcz019 ,.:;|_-/\\()[]{}<>\"'\n\t\0éß漢🦊\u0301\u200b\ud800"


def few(random: Random, most: int = 4) -> int:
    """Return a number from 1 on, mostly a small one."""
    return min(random.randint(1, most), random.randint(1, most))


def changed_bytes(random: Random, data: bytes, most: int = 4) -> bytes:
    """Return bytes after a few changes."""
    for _ in range(few(random, most)):
        data = random.choice(_CHANGES)(random, data)
    return data


def _flip(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(few(random, 8) if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _extreme(random: Random, data: bytes) -> bytes:
    """Put a number of 1, 2 or 4 bytes over others, mostly in the head."""
    size, order = random.choice((1, 2, 4)), random.choice("<>")
    number = struct.pack(f"{order}Q", random.choice(EXTREMES))
    part = number[:size] if order == "<" else number[-size:]
    place = random.randrange(max(1, min(len(data), random.choice((64, len(data) or 1)))))
    return data[:place] + part + data[place + size :]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _without(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _twice(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 50)) + data[end:]


def _swapped(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def _noise(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + random.randbytes(random.choice((end - start, few(random, 40)))) + data[end:]


_CHANGES: Sequence[Callable[[Random, bytes], bytes]] = (_flip, _extreme, _cut, _without, _twice, _swapped, _noise)


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 16, 200)))


def any_text(random: Random, words: Sequence[str] = ()) -> str:
    """Return a text of odd letters and of these words."""
    if random.random() < 0.2:
        return random.choice(ODD_TEXTS)
    if random.random() < 0.04:  # what a pattern that backtracks is slow at
        run = random.choice((*LETTERS, *words)) * random.choice((200, 4_000, 60_000))
        return f"{random.choice(LETTERS)}{run}{random.choice((*LETTERS, *words))}"
    parts = (
        random.choice(words) if words and random.random() < 0.6 else random.choice(LETTERS)
        for _ in range(few(random, 60))
    )
    return "".join(parts)


def plain_text(random: Random) -> str:
    """Return `any_text` that can be written as UTF-8."""
    return any_text(random).encode("utf-8", "replace").decode()


def text_bytes(random: Random, text: str) -> bytes:
    """Return a text as UTF-8, in a few cases with what UTF-8 may not hold."""
    return text.encode("utf-8", "surrogatepass" if random.random() < 0.05 else "replace")


def changed_text(random: Random, text: str, words: Sequence[str] = ()) -> str:
    """Return a text in which a few parts are gone, repeated or other ones."""
    for _ in range(few(random)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 1, 1, 5, 30)))
        new = random.choice((any_text(random, words), "", text[start:end] * random.choice((2, 3, 40))))
        text = text[:start] + new + text[end:]
    return text


def any_json(random: Random, depth: int = 3) -> Json:
    """Return a value of any shape."""
    if depth == 0 or random.random() < 0.5:
        return random.choice(ODD)
    if random.random() < 0.5:
        return [any_json(random, depth - 1) for _ in range(random.randrange(4))]
    return {any_text(random): any_json(random, depth - 1) for _ in range(random.randrange(4))}


def changed_json(random: Random, value: Json, most: int = 3) -> Json:
    """Return a copy of a value in which a few parts are gone, others, elsewhere or repeated."""
    for _ in range(1 if random.random() < 0.6 else few(random, most)):
        found = list(places(value))
        at = random.choice(found) if found else ()
        value = with_part(value, at, _changed_part(random, part_at(value, at), value))
    return value


def _changed_part(random: Random, part: Json, whole: Json) -> Json:
    way = random.randrange(8)
    if way == 0 and isinstance(part, dict) and part:
        gone = random.choice(list(part))
        return {name: inner for name, inner in part.items() if name != gone}
    if way == 1 and isinstance(part, dict):
        return part | {random.choice([*part, any_text(random)]): any_json(random, 1)}
    if way == 2 and isinstance(part, list):
        return part * random.choice((0, 2, 3, 30))
    if way == 3:
        return random.choice(([part], {"a": part}, str(part)[:1_000]))
    if way == 4:  # something that belongs elsewhere
        return part_at(whole, random.choice([(), *places(whole)]))
    if way == 5 and isinstance(part, int | float) and not isinstance(part, bool):
        return random.choice((-part, part * 1_000_000, part + 1, str(part)[:400]))
    if way == 6 and isinstance(part, str):
        return changed_text(random, part[:5_000])
    return any_json(random, 2) if random.random() < 0.3 else random.choice(ODD)


def places(value: Json, at: Place = ()) -> Iterator[Place]:
    """Yield where the parts of a value are."""
    pairs: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        pairs = iter(cast("dict[Any, Any]", value).items())
    elif isinstance(value, list):
        pairs = iter(list(enumerate(cast("list[Any]", value)))[:20])
    for key, part in pairs:
        yield (*at, key)
        if len(at) < 12:
            yield from places(part, (*at, key))


def part_at(value: Json, at: Place) -> Json:
    """Return the part at a place."""
    for key in at:
        value = value[key]
    return value


def with_part(value: Json, at: Place, part: Json) -> Json:
    """Return a copy of a value in which the part at a place is another."""
    if not at:
        return part
    changed = value.copy()
    changed[at[0]] = with_part(value[at[0]], at[1:], part)
    return changed


def json_bytes(random: Random, value: Json, damage: float = 0.15) -> bytes:
    """Return a value as JSON, with this chance of changes that make it none."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.7)
    if json.dumps(DEEP) in text:
        text = text.replace(json.dumps(DEEP), _nested(random))
    data = text.encode("utf-8", "surrogatepass")
    if random.random() < damage:
        data = random.choice(
            (changed_bytes(random, data), b"\xef\xbb\xbf" + data, text.encode("utf-16", "surrogatepass"))
        )
    return data


def _nested(random: Random) -> str:
    opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
    depth = random.choice(DEPTHS)
    return opening * depth + "1" + closing * depth


def picked(random: Random, table: Mapping[str, Json]) -> Json:
    """Return one of a table's values."""
    return table[random.choice(list(table))]


NO_FILES: Files = MappingProxyType({})
