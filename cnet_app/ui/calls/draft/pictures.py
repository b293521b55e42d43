"""Pictures that the page sends: kept by their content, and read as what they stand for."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from annotators.base import Image
from annotators.sources.images import load_noted
from annotators.sources.roles import PHOTO, Role
from cnet_app.ui.calls.context import Context, Object, Visitor

FRESH = 8
"""Decoded pictures that stay in memory."""


def put(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Keep an uploaded picture: {path} → {sha256, width, height, notes}. The page refers to it by its sha256."""
    path = context.uploaded(values.get("path"))
    image, notes = load_noted(path)
    height, width = image.shape[:2]
    return {"sha256": context.assets.put(path.read_bytes()), "width": width, "height": height, "notes": list(notes)}


def picture(context: Context, sha256: object, role: Role = PHOTO) -> Image:
    """Return a picture that was put, as its role reads it, (H, W, 3) RGB. Raises InputError where it is no longer here."""
    return noted_picture(context, sha256, role)[0]


def noted_picture(context: Context, sha256: object, role: Role) -> tuple[Image, tuple[str, ...]]:
    """Return `picture`, and a sentence for each part of its file that is not used as it is."""
    return _decoded(context.assets.get(str(sha256)), role)


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Return a file as a URL that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=FRESH)
def _decoded(data: bytes, role: Role) -> tuple[Image, tuple[str, ...]]:
    image, notes = load_noted(data, role=role)
    image.flags.writeable = False
    return image, notes
