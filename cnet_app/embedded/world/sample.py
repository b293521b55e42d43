"""A procedural picture: pixels, caption, and the exact ground truth of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object of a scene, in the words of its caption."""

    shape: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One square picture of side S. Geometry fields are None for posters."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    caption: str
    style: str
    sky: str | None = None
    palette: str | None = None
    things: tuple[Thing, ...] = ()
    instances: NDArray[np.uint8] | None = None
    """(S, S): 0 is background, i is things[i - 1]."""
    depth: NDArray[np.float32] | None = None
    """(S, S) inverse depth in [0, 1]: near is 1, sky is 0."""
    normal: NDArray[np.float32] | None = None
    """(S, S, 3) unit vectors: x right, y up, z towards the viewer; zero where there is no surface."""
    segmentation: NDArray[np.uint8] | None = None
    """(S, S) ADE20K class index, 0 to 149."""
    people: tuple[NDArray[np.float32], ...] = ()
    """Each (18, 3): x and y in pixels and 0 or 1 for visible, in OpenPose's COCO-18 order."""
