"""Source image → control image of a condition at the picture's size, with a word where the map will not do its work."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from annotators.base import Image, create
from annotators.base import parameters as declared_parameters
from annotators.images import ResizeMode, check_size, resize
from annotators.maps import ADE20K_PALETTE, is_blank
from annotators.registry import annotator as annotator_class
from cnet_app.conditions import CONDITIONS, condition
from cnet_app.errors import InputError
from cnet_app.requests import ControlUnit, encode_png
from models.weights import find

LINES = ("canny", "softedge", "scribble", "mlsd", "lineart", "lineart_anime")
"""Conditions whose maps are white lines on black."""
LABELS = ("segmentation", "openpose")
"""Conditions whose maps have colours with a meaning, that must not be mixed."""
CACHE_BYTES = 64_000_000

_BLANK = {
    "openpose": "Nobody was found: the map is empty and steers nothing; take a photo with a whole person in it.",
    "depth": "The depth is the same everywhere: the map steers nothing; take a photo with near and far things.",
    "normal": "The surface is flat everywhere: the map steers nothing; take a photo with more relief.",
    "segmentation": "Everything is of one class: the map steers no shape; take a photo with several things in it.",
    **dict.fromkeys(
        (row.id for row in CONDITIONS if row.pictorial),
        "The picture has one colour only and steers nothing; take another.",
    ),
}
_BLANK_LINES = (
    "No edges were found: the map is empty and steers nothing; lower the thresholds or take a photo with more contrast."
)


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """A control image, and all that a ControlUnit tells of how it was made."""

    condition: str
    control_image: Image = field(repr=False)
    """(height, width, 3) RGB, read only."""
    annotator: str | None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None
    warnings: tuple[str, ...] = ()
    """Sentences for the user; the map is made all the same."""


def annotate(
    condition_id: str,
    annotator_id: str | None,
    source_image: Image,
    parameters: Mapping[str, object] | None = None,
    width: int = 256,
    height: int = 256,
    mode: ResizeMode = "crop",
) -> Annotated:
    """The map of a picture, at exactly this size; the same picture and parameters are computed once.

    The picture is brought to the size first, so that a line keeps its width. `annotator_id` None means that the picture
    is a map already. Raises InputError, and WeightsError where the annotator's files are missing.
    """
    if annotator_id is None:
        if parameters:
            raise InputError("A map of your own has no annotator parameters; leave them out, or name an annotator.")
        return control_image_from_map(condition_id, source_image, width, height, mode)
    row = condition(condition_id)
    if annotator_id not in row.annotators:
        annotator_class(annotator_id)  # an unknown id has its own sentence
        allowed = ", ".join(row.annotators)
        raise InputError(
            f"{annotator_id} makes no map for {row.id}; choose one of: {allowed}, or none for your own map."
        )
    check_size(source_image.shape[1], source_image.shape[0])
    made_by = create(annotator_class(annotator_id), parameters)
    digest = _sha256(source_image)
    key = (made_by, digest, width, height, mode)
    control_image = _CACHE.get(key, lambda: made_by(resize(source_image, width, height, mode)))
    warnings = [_BLANK.get(row.id, _BLANK_LINES)] if is_blank(control_image) else []
    if looks_like_map(row.id, source_image):
        warnings.append(f"This picture already looks like a {row.title} map; to use it as it is, choose no annotator.")
    return Annotated(
        condition=row.id,
        control_image=control_image,
        annotator=annotator_id,
        parameters=MappingProxyType({name: getattr(made_by, name) for name in declared_parameters(type(made_by))}),
        source_sha256=digest,
        warnings=tuple(warnings),
    )


def control_image_from_map(
    condition_id: str, image: Image, width: int, height: int, mode: ResizeMode = "crop", invert: bool = False
) -> Annotated:
    """A map of the user's own at this size. Nothing in it is changed but the size, and the colours where `invert` says so."""
    row = condition(condition_id)
    check_size(image.shape[1], image.shape[0], "The map")
    control_image = resize(image, width, height, mode, nearest=row.id in LABELS)
    control_image = np.ascontiguousarray(255 - control_image if invert else control_image)
    control_image.flags.writeable = False
    warning = _doubt(row.id, control_image)
    return Annotated(
        condition=row.id, control_image=control_image, annotator=None, warnings=(warning,) if warning else ()
    )


def build_unit(annotated: Annotated, **options: Any) -> ControlUnit:
    """The unit of a request; options are those of ControlUnit: conditioning_scale, control_mode …"""
    return ControlUnit(
        condition=annotated.condition,
        control_image=encode_png(annotated.control_image),
        annotator=annotated.annotator,
        annotator_parameters=annotated.parameters,
        source_sha256=annotated.source_sha256,
        **options,
    )


def default_annotator(condition_id: str) -> str:
    """The best annotator of a condition that can run now; the last where none can."""
    ids = condition(condition_id).annotators
    return next((id for id in ids if all(find(weights) for weights in annotator_class(id).weights)), ids[-1])


def looks_like_map(condition_id: str, image: Image) -> bool:
    """True where a picture has what photos never have: bare lines on black, sticks, palette colours, unit vectors."""
    pixels = image.reshape(-1, 3).astype(np.int16)
    if is_blank(image):
        return False
    if condition_id in LINES:
        ends = (pixels.max(axis=1) < 24) | (pixels.min(axis=1) > 231)
        return bool(ends.mean() > 0.97 and 0.0 < (pixels[:, 1] > 127).mean() < 0.4)
    if condition_id == "openpose":
        black, colourful = pixels.max(axis=1) < 8, np.ptp(pixels, axis=1) > 80
        return bool(black.mean() > 0.8 and (black | colourful).mean() > 0.98)
    if condition_id == "segmentation":
        return _palette_share(image) > 0.98
    if condition_id == "normal":
        return _unit_share(image) > 0.95
    return False  # a depth map may be any grey photo


def _doubt(condition_id: str, control_image: Image) -> str | None:
    """What may be wrong with a map of the user's own, and what to do."""
    if is_blank(control_image):
        return "The map has one colour only and steers nothing; choose another, or an annotator to make one of a photo."
    if condition(condition_id).pictorial:
        return None
    coloured = float(np.ptp(control_image, axis=2).mean()) > 12
    wrong = ""
    if condition_id in LINES:
        wrong = "white lines on black" if coloured else ""
        if not coloured and control_image.mean() > 127:
            return "The map has dark lines on white, but the ControlNet reads white lines on black: invert its colours."
    elif condition_id == "depth":
        wrong = "grey, near is white" if coloured else ""
    elif condition_id == "openpose":
        wrong = "coloured sticks on black" if (control_image.max(axis=2) < 8).mean() < 0.5 else ""
    elif condition_id == "segmentation":
        wrong = "in the colours of ADE20K, unmixed (PNG)" if _palette_share(control_image) < 0.9 else ""
    elif condition_id == "normal":
        wrong = "red left, green top, blue front" if _unit_share(control_image) < 0.5 else ""
    if not wrong:
        return None
    title = condition(condition_id).title
    return f"This does not look like a {title} map, which is {wrong}; if it is a photo, choose an annotator."


def _unit_share(image: Image) -> float:
    """How many of the pixels are a vector of length 1, as in a normal map."""
    length = np.linalg.norm(image.reshape(-1, 3) / 127.5 - 1, axis=1)
    return float((np.abs(length - 1) < 0.06).mean())


def _palette_share(image: Image) -> float:
    """How many of the pixels have a colour of the ADE20K palette, or black."""
    weights = np.array([1 << 16, 1 << 8, 1])
    known = np.append(ADE20K_PALETTE.astype(np.int64) @ weights, 0)
    return float(np.isin(image.astype(np.int64) @ weights, known).mean())


def _sha256(image: Image) -> str:
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


class _MapCache:
    """The maps used last, at most so many bytes; safe from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._maps: OrderedDict[Hashable, Image] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Image]) -> Image:
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
                return self._maps[key]
        made = make()
        made.flags.writeable = False  # one array serves all who ask
        with self._lock:
            self._maps[key] = made
            while len(self._maps) > 1 and sum(map.nbytes for map in self._maps.values()) > self._max_bytes:
                self._maps.popitem(last=False)
        return made


_CACHE = _MapCache(CACHE_BYTES)
