"""ICC profiles made by the specification, for tests: primaries and gamma of wide RGB, grey of any gamma."""

from __future__ import annotations

import struct


def wide_rgb() -> bytes:
    """The primaries of Display P3, adapted to D50, with gamma 2.2."""
    primaries = {
        "rXYZ": (0.51512, 0.2412, -0.00105),
        "gXYZ": (0.29198, 0.69225, 0.04189),
        "bXYZ": (0.1571, 0.06657, 0.78407),
    }
    curves = {f"{channel}TRC": _curve(2.2) for channel in "rgb"}
    return _profile(b"RGB ", {name: _xyz(*value) for name, value in primaries.items()} | curves)


def grey(gamma: float) -> bytes:
    """Grey of this gamma."""
    return _profile(b"GRAY", {"kTRC": _curve(gamma)})


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _profile(space: bytes, own: dict[str, bytes]) -> bytes:
    name = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {"desc": description, "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(0.9642, 1, 0.8249), **own}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for sign, content in tags.items():
        table += sign.encode() + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02200000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642) + _fixed(1) + _fixed(0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
