"""Inpainting at full size: the part of a large picture around its mask is repainted alone and put back. Loads no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.people.poses import Pose
from annotators.sources.images import load_image, resize
from annotators.sources.picture_files import MAX_PIXELS, MIN_SIDE
from annotators.sources.roles import MASK
from cnet_app.request.generation import PICTURE_AREA, REQUEST_LIMITS, GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.sizes import TOLERANCE, size_of
from models.errors import InputError

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in px; right and bottom are not inside."""


def inpaint_box(mask_pixels: NDArray[np.uint8], width: int, height: int, padding: int) -> Box:
    """Return the part of a picture that is repainted at width x height: everything not black in its mask, and `padding` px.

    `mask_pixels` is (H, W) or (H, W, 3), of the picture's size. The box is widened to the aspect of width and height
    around its middle, and moved to lie inside the picture. Where the picture is too narrow for that, the box sticks out
    on both sides alike, and `cut_out` repeats the picture's border there: nothing is distorted, except by at most
    TOLERANCE where the picture is narrower by so little. Raises InputError for an empty mask.
    """
    covered = _levels(mask_pixels) > 0
    if not covered.any():
        raise InputError("inpaint_mask covers nothing: paint the part to change white, or leave inpaint_mask out.")
    across = _padded(np.flatnonzero(covered.any(axis=0)), padding, covered.shape[1])
    down = _padded(np.flatnonzero(covered.any(axis=1)), padding, covered.shape[0])
    wide, high = (max(end - start, MIN_SIDE) for start, end in (across, down))
    if wide * height < high * width:
        wide = round(high * width / height)
    else:
        high = round(wide * height / width)
    left, right = _widened(across, wide, covered.shape[1])
    top, bottom = _widened(down, high, covered.shape[0])
    if (right - left) * (bottom - top) > MAX_PIXELS:
        raise InputError(
            f"The mask needs {right - left}x{bottom - top} pixels to be repainted at {width}x{height}, but at most "
            f"{MAX_PIXELS // 1_000_000} megapixels are possible; mask a smaller part, or choose a size of its shape."
        )
    return left, top, right, bottom


def cut_out(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Return a box of a picture, (H, W, …); where it sticks out, the picture's border is repeated."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = inner = _inside(box, width, height)
    missing = [(inner[1] - box[1], box[3] - inner[3]), (inner[0] - box[0], box[2] - inner[2])]
    others = [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels[top:bottom, left:right], [*missing, *others], mode="edge")


@dataclass(frozen=True, eq=False)
class Part:
    """The part of its initial picture that a request repaints, with inpaint_area "mask"."""

    whole: GenerationRequest
    initial: Image
    """(H, W, 3)."""
    mask: NDArray[np.uint8]
    """(H, W), of the initial picture's size."""
    box: Box
    notes: tuple[str, ...]
    """A sentence where the mask acts otherwise than it may seem."""

    def request(self) -> GenerationRequest:
        """Return the request for this part alone, at width x height."""
        return dataclasses.replace(
            self.whole,
            initial_image=encode_png(self.of(self.initial)),
            inpaint_mask=self.own_mask(),
            inpaint_area=PICTURE_AREA,
            inpaint_padding=int(REQUEST_LIMITS["inpaint_padding"].default),
        )

    def of(self, picture: Image) -> Image:
        """Return this part of a picture of the initial one's size, at width x height."""
        return resize(cut_out(picture, self.box), self.whole.width, self.whole.height, mode="stretch")

    def own_mask(self) -> bytes:
        """Return the mask of this part, a PNG: white where the whole one is not black.

        Soft parts are new, and blended when they are put back.
        """
        size = self.whole.width, self.whole.height
        covered = (cut_out(self.mask, self.box) > 0).astype(np.uint8) * np.uint8(255)
        enlarged = covered.size <= size[0] * size[1]
        # Smaller, by area: whatever is touched is new.
        mask = resize(np.dstack([covered] * 3), *size, mode="stretch", nearest=enlarged) > 0
        return encode_png(mask.astype(np.uint8) * np.uint8(255))

    def put_back(self, made: Image) -> Image:
        """Return the whole initial picture with this part, (height, width, 3), made anew.

        Where the mask is black it is the initial one, bit for bit; where it is white, the part; grey blends them.
        """
        box, whole = self.box, self.initial.copy()
        left, top, right, bottom = _inside(box, whole.shape[1], whole.shape[0])
        fitted = resize(made, box[2] - box[0], box[3] - box[1], mode="stretch")
        new = fitted[top - box[1] : bottom - box[1], left - box[0] : right - box[0]].astype(np.uint16)
        share = self.mask[top:bottom, left:right, None].astype(np.uint16)
        old = whole[top:bottom, left:right].astype(np.uint16)
        whole[top:bottom, left:right] = (old * (255 - share) + new * share + 127) // 255
        return whole

    def cut(self, source: Image | Pose) -> Image | Pose:
        """Return this part of a photo, map or pose of the initial picture's size; any other one as it is."""
        if size_of(source) != size_of(self.initial):
            return source
        return source.cropped(*self.box) if isinstance(source, Pose) else cut_out(source, self.box)


def open_part(request: GenerationRequest) -> Part | None:
    """Return the part that a request repaints; None where that is all of its picture. Raises InputError as inpaint_box."""
    if request.inpaint_area == PICTURE_AREA or request.initial_image is None or request.inpaint_mask is None:
        return None
    initial, given = load_image(request.initial_image), load_image(request.inpaint_mask, role=MASK)
    mask = _levels(resize(given, *size_of(initial), mode="crop"))
    box = inpaint_box(mask, request.width, request.height, request.inpaint_padding)
    return Part(request, initial, mask, box, tuple(mask_fit_notes(given, initial, covers_all=bool(mask.all()))))


def request_box(request: GenerationRequest) -> Box | None:
    """Return the part of its initial picture that a request repaints; None where that is all of it. Raises InputError."""
    part = open_part(request)
    return part.box if part else None


def crop_sources(request: GenerationRequest, sources: Sequence[Image | Pose]) -> list[Image | Pose]:
    """Return the sources of control maps as the repainted part has them.

    A source of the initial picture's size shows the whole picture and is cut; any other one shows the part already.
    """
    part = open_part(request) if sources else None
    return [part.cut(source) for source in sources] if part else list(sources)


def described_part(request: GenerationRequest, picture: Image) -> tuple[Image, bytes | None]:
    """Return the part of a finished picture that its control maps describe, and the inpaint mask of that part.

    That is all of it, with the request's mask, unless inpaint_area is "mask". Raises InputError where the picture no
    longer has the size of the initial one, so that the part is not where it was.
    """
    part = open_part(request)
    if part is None:
        return picture, request.inpaint_mask
    if size_of(picture) != size_of(part.initial):
        sizes = ["{}x{}".format(*size_of(image)) for image in (picture, part.initial)]
        raise InputError(
            f"The picture is {sizes[0]} px, but the one it was painted into {sizes[1]}; its maps describe a part of that "
            "one, so give the picture as it was saved."
        )
    return part.of(picture), part.own_mask()


def mask_fit_notes(mask: Image, picture: Image, *, covers_all: bool) -> Iterator[str]:
    """A sentence where a mask covers its whole picture, and where it has another size."""
    if covers_all:
        yield "The mask covers everything: nothing of the initial picture stays."
    if mask.shape != picture.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (mask, picture)]
        yield f"The mask is {sizes[0]} and the initial picture {sizes[1]}: it is resized to the picture."


def _levels(mask_pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W): the brightest channel."""
    if mask_pixels.ndim == 2:
        return mask_pixels
    return np.maximum(np.maximum(mask_pixels[..., 0], mask_pixels[..., 1]), mask_pixels[..., 2])


def _padded(covered: NDArray[np.intp], padding: int, limit: int) -> tuple[int, int]:
    return max(0, int(covered[0]) - padding), min(limit, int(covered[-1]) + 1 + padding)


def _widened(span: tuple[int, int], size: int, limit: int) -> tuple[int, int]:
    """Return a span of this size around the middle of another, inside 0 … limit, or around it where it is too large."""
    if limit < size <= limit * (1 + TOLERANCE):
        size = limit
    if size > limit:
        first = (limit - size) // 2
    else:
        first = min(max(span[0] - (size - span[1] + span[0]) // 2, 0), limit - size)
    return first, first + size


def _inside(box: Box, width: int, height: int) -> Box:
    return max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
