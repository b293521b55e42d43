"""Scores of the pictures that were sampled: how far each follows its map, and how good it is apart from that."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotators.base import Image
from benchmarks.reference_strength.task import PALETTE, Drawn, every_shape
from cnet_app.fidelity.measures import edge_f1

TOLERANCE = 1
"""Pixels by which an outline may be moved and still be the same: half of the app's, as pictures are small."""
Numbers = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """(N,) each, of N pictures."""

    adherence: Numbers
    """Edge F1 of the outlines within TOLERANCE px, 0 to 1."""
    overlap: Numbers
    """Intersection over union of the shapes, 0 to 1."""
    colour_error: Numbers
    """Root mean square distance of the pixels from the nearer of the two prompted colours, 1 is from black to white."""
    shape: Numbers
    """Intersection over union of the shape with the nearest circle or square anywhere, 0 to 1."""


def score(pictures: Tensor, drawn: Drawn) -> Scores:
    """Return the scores of pictures, (N, 3, SIDE, SIDE), against the drawn ones whose maps and colours they were given."""
    wanted, _ = _shapes(drawn.pictures, drawn.colours)
    found, error = _shapes(pictures, drawn.colours)
    return Scores(
        adherence=np.array([edge_f1(_outline(one), _outline(other), TOLERANCE) for one, other in zip(wanted, found, strict=True)]),
        overlap=(wanted & found).sum((1, 2)) / (wanted | found).sum((1, 2)),
        colour_error=error,
        shape=_nearest(found),
    )  # fmt: skip


def _shapes(pictures: Tensor, colours: Tensor) -> tuple[Masks, Numbers]:
    """Return which pixels are nearer to the shape's colour than to the ground's, and the error of colour."""
    distances = [
        ((pictures - PALETTE[colours[:, place]][:, :, None, None]) / 2).square().mean(dim=1) for place in (0, 1)
    ]
    error = torch.minimum(*distances).mean(dim=(1, 2)).sqrt()
    return (distances[0] < distances[1]).numpy(), error.double().numpy()


def _outline(shape: Masks) -> Image:
    """Return the shape's pixels that have a neighbour outside, white on black."""
    pixels = shape.astype(np.uint8)
    inner = cv2.erode(pixels, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    lines = (pixels - inner).astype(np.uint8)
    return np.repeat(lines[:, :, None] * np.uint8(255), 3, axis=2)


def _nearest(found: Masks) -> Numbers:
    """Return the overlap of each shape with the valid one that it fits best."""
    valid, flat = every_shape().float(), torch.from_numpy(found).flatten(1).float()
    both = flat @ valid.T
    either = flat.sum(dim=1, keepdim=True) + valid.sum(dim=1) - both
    return (both / either).amax(dim=1).double().numpy()
