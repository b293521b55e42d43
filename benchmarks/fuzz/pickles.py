"""Pickles of weights: as torch writes them now or wrote them once, and by hand and evil."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Sequence
from random import Random

import torch

from benchmarks.fuzz.changes import EXTREMES, Files, Json, changed_bytes, few, plain_text
from benchmarks.fuzz.weights import KINDS, NAMES, mixed_tensors


def make_pickle(random: Random) -> Files:
    """Return a pickle, as torch writes it now or wrote it once, or by hand and evil.

    In the old layout torch writes addresses in memory, so that its bytes differ a little from run to run.
    """
    name = f"{random.choice(KINDS)}{random.choice(('.pt', '.pth', '.ckpt', '.bin'))}"
    if random.random() < 0.35:
        return {name: _evil(random)}
    kind = random.choice(KINDS)
    content: Json = mixed_tensors(random, kind)
    content = random.choice(
        (
            content,
            {"state_dict": content},
            content | {7: torch.ones(1)},
            {"string_to_param": {"*": torch.ones(1, 8)}},
            [content],
            torch.ones(3),
        )
    )
    if random.random() < 0.1:
        content = {
            "a.lora_up.weight": torch.ones(1).expand(random.choice((2**20, 2**30, 2**40)), 1),
            "a.lora_down.weight": torch.ones(1, 3),
        }
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=random.random() < 0.6)
    data = buffer.getvalue()
    if random.random() < 0.4:
        data = _changed_zip(random, data) if data.startswith(b"PK") else changed_bytes(random, data)
    return {name: changed_bytes(random, data) if random.random() < 0.4 else data}


def _changed_zip(random: Random, data: bytes) -> bytes:
    """Return a zip with one of its parts changed, renamed, packed or gone."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        chosen = random.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            packing = (
                random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)) if name == chosen else zipfile.ZIP_STORED
            )
            way = random.randrange(5) if name == chosen else 9
            if way == 0:
                continue
            content = changed_bytes(random, content) if way in (1, 2) else content
            others = (f"../{name}", name.upper(), plain_text(random)[:50].strip("\0/") or "a")
            renamed = zipfile.ZipInfo(random.choice(others) if way == 3 else name)  # with one date, whenever it is made
            new.writestr(renamed, content, packing)
    return made.getvalue()


class _Runs:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def _evil(random: Random) -> bytes:
    """Return a pickle that calls, nests, grows or is of another kind; bare, in torch's old layout, or in a zip."""
    ways: Sequence[Callable[[], bytes]] = (
        lambda: pickle.dumps(_Runs(print, "it ran")),
        lambda: pickle.dumps({"state_dict": _Runs(eval, "1")}),
        lambda: b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".",
        lambda: b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".",
        lambda: b"\x80\x02](K\x01" + b"2" * 60_000 + b"e.",
        lambda: b"\x80\x02\x8b" + struct.pack("<I", random.choice(EXTREMES)) + b"1.",
        lambda: b"\x80\x02\x8d" + struct.pack("<Q", 2**60) + b"a.",
        lambda: b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + bytes(few(random, 20)) + b"tR.",
        lambda: b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.",
        lambda: b"\x80\x02ccollections\nOrderedDict\n)R}(K\x01K\x02ub.",
        lambda: b"\x80\x02ctorch\nSize\nJ\xff\xff\xff\x7f\x85R.",
        lambda: b"\x80\x02N\x94r\xff\xff\xff\x7fj\xff\xff\xff\x7f.",
        lambda: pickle.dumps(dict.fromkeys(NAMES, 1), protocol=random.randrange(6)),
        lambda: random.randbytes(few(random, 300)),
        lambda: b"",
    )  # fmt: skip
    data = random.choice(ways)()
    place = random.randrange(3)
    if place == 0:
        return data
    if place == 1:
        return (
            b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
            + data
        )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        parts = {"data.pkl": data, "version": random.choice((b"3\n", b"x", b"9" * 5_000)), "data/0": bytes(16)}
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return made.getvalue()
