"""Inpaint: the picture itself; what a mask covers is taken out of it when the picture is made."""

from __future__ import annotations

from dataclasses import dataclass

from annotators.base import Annotator, Image


@dataclass(frozen=True)
class Inpaint(Annotator):
    """The picture as it is: its ControlNet reads -1 where the mask is white."""

    id = "inpaint"
    title = "Picture, as it is"
    kind = "picture"

    def __call__(self, source_image: Image) -> Image:
        """The same picture."""
        return source_image.copy()
