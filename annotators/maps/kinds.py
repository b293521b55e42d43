"""Kinds of control maps: polarity, channels, palette, resizing and texts of each, one row a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KindId = Literal["lines", "soft_lines", "depth", "normal", "labels", "pose", "picture"]


@dataclass(frozen=True, kw_only=True)
class MapKind:
    """Properties of every map of one kind."""

    id: KindId
    looks: str
    """Its appearance, as the end of 'a map, which is …'."""
    nothing: str
    """Message for a map without effect, with what to do."""
    polarity: Literal["white on black", "near is white", ""] = ""
    channels: Literal["grey", "RGB", "red left, green top, blue front"] = "grey"
    palette: Literal["ADE20K", "OpenPose", ""] = ""
    background: tuple[int, int, int] | None = (0, 0, 0)
    """Colour around a padded map, which controls nothing; None repeats the map's border pixels."""
    nearest: bool = False
    """Whether its colours have a meaning and must not be mixed: resized to the nearest pixel, stored without loss."""


_NO_EDGES = "No edges were found: the map is empty and steers nothing; lower the thresholds, or choose a photo with more contrast."
KINDS: Mapping[KindId, MapKind] = MappingProxyType(
    {
        row.id: row
        for row in (
            MapKind(id="lines", looks="white lines on black", nothing=_NO_EDGES, polarity="white on black"),
            MapKind(id="soft_lines", looks="white lines on black", nothing=_NO_EDGES, polarity="white on black"),
            MapKind(
                id="depth",
                looks="grey, near is white",
                nothing="The depth is the same everywhere: the map steers nothing; choose a photo with near and far objects.",
                polarity="near is white",
            ),
            MapKind(
                id="normal",
                looks="red left, green top, blue front",
                nothing="The surface is flat everywhere: the map steers nothing; choose a photo with more relief.",
                channels="red left, green top, blue front",
                background=(128, 128, 255),
            ),
            MapKind(
                id="labels",
                looks="in the colours of ADE20K, unmixed (PNG)",
                nothing="Everything is of one class: the map steers no shape; choose a photo with several objects.",
                channels="RGB",
                palette="ADE20K",
                nearest=True,
            ),
            MapKind(
                id="pose",
                looks="coloured sticks on black",
                nothing="Nobody was found: the map is empty and steers nothing; choose a photo of a whole person.",
                channels="RGB",
                palette="OpenPose",
                nearest=True,
            ),
            MapKind(
                id="picture",
                looks="a picture",
                nothing="The picture has one colour only and steers nothing; choose another.",
                channels="RGB",
                background=None,
            ),
        )
    }
)
