"""One picture to be made larger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotators.base import Parameter
from annotators.sources.images import load_image
from cnet_app.request.generation import REQUEST_LIMITS, SharedFields
from cnet_app.request.limits import MAX_PIXELS, check_numbers, check_picture, check_total
from cnet_app.request.pictures import picture_size
from models.errors import InputError

UPSCALE_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "factor": Parameter(default=2.0, minimum=1.0, maximum=4.0, step=0.25, help="How many times larger each side becomes."),
        # Enough to paint detail, too little to move a line.
        "strength": Parameter(default=0.4, minimum=0.0, maximum=1.0, step=0.05, help="How much of the picture is painted again; 1 keeps next to nothing."),
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class UpscaleRequest(SharedFields):
    """A picture, how much larger it becomes, and what it is painted with: for a picture of ours its recipe's `shared`."""

    kind: ClassVar[str] = "upscale"
    picture: bytes = field(repr=False)
    """PNG."""
    factor: float = 2.0
    strength: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, UPSCALE_LIMITS)
        pictures = (self.picture, self.ip_adapter.image if self.ip_adapter else b"")
        check_total([len(data) for data in pictures if isinstance(data, bytes)])  # pyright: ignore[reportUnnecessaryIsInstance]
        check_picture("picture", self.picture, optional=False)
        larger_size(*picture_size(self.picture), self.factor)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture as it is, (H, W, 3) RGB."""
        return load_image(self.picture)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that the picture gets."""
        return larger_size(*picture_size(self.picture), self.factor)


def larger_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Width and height times the factor; InputError where no picture can be that large."""
    factor = float(UPSCALE_LIMITS["factor"].check("factor", factor))
    wide, high = round(width * factor), round(height * factor)
    largest = REQUEST_LIMITS["width"].maximum or math.inf
    if wide * high > MAX_PIXELS or max(wide, high) > largest:
        most = min(largest / max(width, height), math.sqrt(MAX_PIXELS / (width * height)))
        raise InputError(
            f"factor is {factor:g}, which makes {wide}x{high} pixels of this picture, but it may be at most {math.floor(most * 100) / 100:g}."
        )
    return wide, high
