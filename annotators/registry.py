"""All annotators, by id. Importing this module loads no network library."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from annotators.base import Annotator, create, shown
from annotators.canny import Canny
from annotators.depth import DepthAnythingV2, LeReS, Midas, Zoe
from annotators.dwpose import DWPose
from annotators.embedded import DepthEmbedded, NormalEmbedded, OpenPoseEmbedded, SegmentationEmbedded, SoftEdgeEmbedded
from annotators.lineart import Invert, LineArt, LineArtAnime, LineArtCoarse, LineArtStandard
from annotators.mediapipe import MediaPipePose
from annotators.mlsd import MLSD, MLSDTiny, OpenCVLines
from annotators.normal import NormalBAE, NormalFromDepth
from annotators.openpose import OpenPose
from annotators.pictures import AsItIs, Blur, ColorGrid, RecolorIntensity, RecolorLuminance, Shuffle, Tile
from annotators.scribble import Ink, ScribbleHED, ScribblePiDiNet, ScribbleXDoG
from annotators.segmentation import ADE20K, OneFormer, OneFormerTiny
from annotators.softedge import HED, TEED, HEDSafe, PiDiNet, PiDiNetSafe, SoftEdgeGradient
from models.catalogue.catalog import entry
from models.errors import InputError
from models.names import did_you_mean

ANNOTATORS: tuple[type[Annotator], ...] = (
    Canny, HED, HEDSafe, PiDiNet, PiDiNetSafe, TEED, SoftEdgeGradient, SoftEdgeEmbedded,
    DWPose, OpenPose, MediaPipePose, OpenPoseEmbedded, Midas, DepthAnythingV2, Zoe, LeReS, DepthEmbedded,
    NormalBAE, NormalFromDepth, NormalEmbedded, OneFormerTiny, OneFormer, ADE20K, SegmentationEmbedded,
    ScribbleHED, ScribblePiDiNet, ScribbleXDoG, Ink, LineArt, LineArtCoarse, LineArtStandard, LineArtAnime, Invert,
    MLSD, MLSDTiny, OpenCVLines, Shuffle, Tile, Blur, AsItIs, RecolorLuminance, RecolorIntensity, ColorGrid,
)  # fmt: skip


def annotator(id: str, offered: Collection[str] = ()) -> type[Annotator]:
    """Return the class of an id; an unknown one is an InputError that lists those `offered`, a condition's annotators."""
    for found in ANNOTATORS:
        if found.id == id:
            return found
    hint = did_you_mean(id, offered) or did_you_mean(id, (found.id for found in ANNOTATORS))
    choice = f"choose one of: {', '.join(offered)}" if offered else "`python -m annotators --list` shows all"
    raise InputError(f"There is no annotator {shown(id)}{hint}; {choice}.")


def licence_text(annotator: type[Annotator]) -> str:
    """Return 'Licence of its weights: MIT.' for all files it needs; '' where it needs none."""
    terms = sorted({entry(id).licence for id in create(annotator).needs()})
    return f"Licence of its weights: {', '.join(terms)}." if terms else ""


def parse_values(pairs: Iterable[str]) -> dict[str, object]:
    """`["low_threshold=80", "automatic=true"]` → values for `create`, which checks them."""
    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise InputError(f"{pair!r} is not a parameter; write NAME=VALUE, such as low_threshold=80.")
        values[name.strip()] = _value(text.strip())
    return values


def typed(value: object) -> str:
    """Return a value as it is typed for `parse_values`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
