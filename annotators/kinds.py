"""Kinds of control map: how each is to be read, resized and spoken of. One row a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KindId = Literal["lines", "soft_lines", "depth", "normal", "labels", "pose", "picture"]


@dataclass(frozen=True, kw_only=True)
class MapKind:
    """What holds for every map of this kind, whatever made it."""

    id: KindId
    looks: str
    """What it shows; ends the sentence 'a map, which is …'."""
    nothing: str
    """What to say of one that steers nothing, and what to do."""
    polarity: Literal["white on black", "near is white", ""] = ""
    channels: Literal["grey", "RGB", "red left, green top, blue front"] = "grey"
    palette: Literal["ADE20K", "OpenPose", ""] = ""
    nearest: bool = False
    """Its colours have a meaning and must not be mixed: resized to the nearest pixel, stored without loss."""


_NO_EDGES = (
    "No edges were found: the map is empty and steers nothing; lower the thresholds or take a photo with more contrast."
)
KINDS: Mapping[KindId, MapKind] = MappingProxyType(
    {
        row.id: row
        for row in (
            MapKind(id="lines", looks="white lines on black", nothing=_NO_EDGES, polarity="white on black"),
            MapKind(id="soft_lines", looks="white lines on black", nothing=_NO_EDGES, polarity="white on black"),
            MapKind(
                id="depth",
                looks="grey, near is white",
                nothing="The depth is the same everywhere: the map steers nothing; take a photo with near and far things.",
                polarity="near is white",
            ),
            MapKind(
                id="normal",
                looks="red left, green top, blue front",
                nothing="The surface is flat everywhere: the map steers nothing; take a photo with more relief.",
                channels="red left, green top, blue front",
            ),
            MapKind(
                id="labels",
                looks="in the colours of ADE20K, unmixed (PNG)",
                nothing="Everything is of one class: the map steers no shape; take a photo with several things in it.",
                channels="RGB",
                palette="ADE20K",
                nearest=True,
            ),
            MapKind(
                id="pose",
                looks="coloured sticks on black",
                nothing="Nobody was found: the map is empty and steers nothing; take a photo with a whole person in it.",
                channels="RGB",
                palette="OpenPose",
                nearest=True,
            ),
            MapKind(
                id="picture",
                looks="a picture",
                nothing="The picture has one colour only and steers nothing; take another.",
                channels="RGB",
            ),
        )
    }
)
