"""Pictures of any size as tensors: edges are repeated to the next multiple that networks work in, and cut off again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotators.base import Image


def padded_side(side: int, multiple: int) -> int:
    """Return the next multiple."""
    return -(-side // multiple) * multiple


def pad(pixels: NDArray[Any], multiple: int) -> NDArray[Any]:
    """(H, W, …) with its last row and column repeated until both sides are multiples."""
    height, width = pixels.shape[:2]
    others = [(0, 0)] * (pixels.ndim - 2)
    missing = [(0, padded_side(side, multiple) - side) for side in (height, width)]
    return np.pad(pixels, [*missing, *others], mode="edge")


def to_image(pixels: Image, multiple: int) -> Tensor:
    """(H, W, 3) RGB uint8 to (1, 3, H, W) in [-1, 1], padded."""
    return torch.tensor(np.moveaxis(pad(pixels, multiple), 2, 0)[None], dtype=torch.float32) / 127.5 - 1


def to_pixels(image: Tensor) -> Image:
    """(1, 3, H, W) in [-1, 1] to (H, W, 3) uint8 RGB."""
    unit = (image[0] / 2 + 0.5).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
