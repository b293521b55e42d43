"""The task: one flat shape on flat ground. Its colours are in the text, its outline is in the map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.experiments.drawn import COLOURS

SIDE, PATCH = 24, 4
"""Of a picture, and of a token, in px."""
ROWS = SIDE // PATCH
"""Tokens along a side."""
CHANNELS = 3 * PATCH * PATCH
"""Numbers of a token. The pixels themselves are the latent: the autoencoder is the identity."""
WORDS = 8
"""Length of a word's vector, which is one-hot: the colours, and room for two more."""
RADII = (3.5, 7.5)
"""Of a shape in px, from its middle to its edge."""
PALETTE = torch.tensor(list(COLOURS.values())) / 127.5 - 1
"""(colours, 3) in [-1, 1]."""


@dataclass(frozen=True)
class Drawn:
    """N pictures with what is known of them."""

    pictures: Tensor
    """(N, 3, SIDE, SIDE) in [-1, 1]."""
    maps: Tensor
    """(N, 3, SIDE, SIDE) in [-1, 1]: the outline, one pixel wide, white on black."""
    colours: Tensor
    """(N, 2): indices of the shape's colour and of the ground's."""


def draw(count: int, generator: torch.Generator) -> Drawn:
    """Draw shapes: circles and squares of any size and place that fits, in two different colours."""
    low, high = RADII
    radii = low + (high - low) * torch.rand(count, generator=generator)
    middles = radii[:, None] + (SIDE - 2 * radii[:, None]) * torch.rand(count, 2, generator=generator)
    are_square = torch.rand(count, generator=generator) < 0.5
    own = torch.randint(len(PALETTE), (count,), generator=generator)
    ground = (own + torch.randint(1, len(PALETTE), (count,), generator=generator)) % len(PALETTE)
    distance = distances(radii, middles, are_square)
    inside = (0.5 - distance).clamp(0, 1)[:, None]
    pictures = inside * PALETTE[own][:, :, None, None] + (1 - inside) * PALETTE[ground][:, :, None, None]
    lines = 2 * (1.25 - distance.abs()).clamp(0, 1)[:, None] - 1
    return Drawn(pictures, lines.expand(-1, 3, -1, -1).contiguous(), torch.stack([own, ground], dim=1))


def distances(radii: Tensor, middles: Tensor, are_square: Tensor) -> Tensor:
    """Return (N, SIDE, SIDE): px from the edge of each shape, negative inside. `middles` are x and y."""
    places = torch.arange(SIDE) + 0.5
    across = (places[None, None, :] - middles[:, 0, None, None]).abs()
    down = (places[None, :, None] - middles[:, 1, None, None]).abs()
    square, circle = torch.maximum(across, down), torch.hypot(across, down)
    return torch.where(are_square[:, None, None], square, circle) - radii[:, None, None]


def every_shape() -> Tensor:
    """Return (M, SIDE * SIDE) bool: the pixels of every valid shape, radii in steps of half a pixel, middles of one."""
    shapes: list[Tensor] = []
    for radius in torch.arange(*RADII, 0.5).tolist():
        places = torch.arange(radius, SIDE - radius + 1e-6)
        middles = torch.cartesian_prod(places, places)
        for is_square in (False, True):
            count = len(middles)
            found = distances(torch.full((count,), radius), middles, torch.full((count,), is_square)) < 0
            shapes.append(found.flatten(1))
    return torch.cat(shapes)


def to_tokens(pictures: Tensor) -> Tensor:
    """Return (N, ROWS * ROWS, CHANNELS) of (N, 3, SIDE, SIDE)."""
    parts = pictures.unflatten(3, (ROWS, PATCH)).unflatten(2, (ROWS, PATCH))  # N, 3, row, y, column, x
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def to_pictures(tokens: Tensor) -> Tensor:
    """Return (N, 3, SIDE, SIDE) of (N, ROWS * ROWS, CHANNELS)."""
    parts = tokens.unflatten(2, (3, PATCH, PATCH)).unflatten(1, (ROWS, ROWS))  # N, row, column, 3, y, x
    return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def to_words(colours: Tensor) -> Tensor:
    """Return the text, (N, 2, WORDS): a word for the shape's colour and one for the ground's."""
    return torch.nn.functional.one_hot(colours, WORDS).float()
