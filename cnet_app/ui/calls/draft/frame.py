"""The frame of a picture: its size in px, and how a photo is brought to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args

from annotators.base import Image, shown
from annotators.sources.images import ResizeMode, resize
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.pictures import encode_png
from cnet_app.request.sizes import fit_budget
from cnet_app.ui.bases import defaults_of, side_multiple_of
from cnet_app.ui.calls.context import Context, Object, Visitor
from models.errors import InputError

INVERSE: Mapping[ResizeMode, ResizeMode] = MappingProxyType({"crop": "pad", "pad": "crop", "stretch": "stretch"})
"""What brings a picture of the frame back to the source."""


@dataclass(frozen=True)
class Frame:
    """Size of the picture in px, and how a source image is brought to it."""

    width: int
    height: int
    resize: ResizeMode = "crop"

    def fit_png(self, image: Image, around: int = 0) -> bytes:
        """Return the PNG of an image that belongs to the source: start picture or mask.

        The pipeline crops by itself, so that for crop the image stays as it is. The bars of pad are black, or where
        `around` is 255 white.
        """
        if self.resize == "crop":
            return encode_png(image)
        if self.resize == "pad" and around:
            return encode_png(255 - resize(255 - image, self.width, self.height, "pad"))
        return encode_png(resize(image, self.width, self.height, self.resize))

    def to_source(self, image: Image, width: int, height: int, nearest: bool = False, around: int = 0) -> Image:
        """Return an image of the frame, brought back to a source of width x height px: the inverse of the fit.

        Where the source is beyond the frame, the result has the level `around`.
        """
        return resize(image, width, height, INVERSE[self.resize], nearest, (around, around, around))


def read_frame(values: object) -> Frame:
    """Return the frame of {width, height, fit}. Raises InputError for a size or fit that cannot be."""
    given: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    width, height = (int(REQUEST_LIMITS[name].check(name, given.get(name))) for name in ("width", "height"))
    fit = given.get("fit", "crop")
    if fit not in get_args(ResizeMode):
        raise InputError(f"The fit is {shown(fit)}, but it must be one of: {', '.join(get_args(ResizeMode))}.")
    return Frame(width, height, fit)


def frame_of(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the frame of a draft: {size: {mode, width, height, fit}, photo: {width, height} or null, base}.

    In mode "photo" it has the photo's aspect and as many pixels as the base is made for.
    """
    size: Mapping[str, Any] = values.get("size") or {}
    photo: Mapping[str, Any] | None = values.get("photo")
    base = str(values.get("base") or "")
    side, multiple = defaults_of(base).size, side_multiple_of(base)
    if size.get("mode") == "custom":
        width, height = size.get("width"), size.get("height")
    else:
        width, height = fit_budget(photo["width"], photo["height"], side, multiple) if photo else (side, side)
    frame = read_frame({"width": width, "height": height, "fit": size.get("fit", "crop")})
    return {"width": frame.width, "height": frame.height, "fit": frame.resize}
