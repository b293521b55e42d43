"""Heat maps and fields of known people, as a perfect network would give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotators.networks.loading import aux_module
from annotators.people.affinity import FIELDS, LINKS, STRIDE

Points = NDArray[np.float64]
STANDING = np.array(
    [(50, 8), (50, 20), (38, 20), (34, 36), (32, 52), (62, 20), (66, 36), (68, 52), (42, 52), (41, 74), (40, 96), (58, 52),
     (59, 74), (60, 96), (47, 5), (53, 5), (43, 7), (57, 7)], float,
)  # fmt: skip
"""(18, 2) in hundredths of a person's height."""
BELL, LIMB = 7.0, 6.0
"""Pixels of the network's input: width of a joint's bell, and half of a limb's."""


def standing(left: float, top: float, height: float, seed: int | None = None) -> Points:
    """(18, 3), a little moved about by `seed`."""
    places = STANDING * height / 100 + (left, top)
    if seed is not None:
        places = places + np.random.default_rng(seed).normal(0, 0.015 * height, places.shape)
    return np.column_stack([places, np.ones(18)])


def draw_fields(people: Sequence[Points], height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat (h, w, 19) and fields (h, w, 38) of an input of this size."""
    rows, columns = (np.arange(-(-side // STRIDE)) * STRIDE + STRIDE / 2 for side in (height, width))
    x, y = np.meshgrid(columns, rows)
    heat, fields = np.zeros((len(rows), len(columns), 19)), np.zeros((len(rows), len(columns), 38))
    for person in people:
        for joint, (at_x, at_y, seen) in enumerate(person):
            bell = seen * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * BELL**2))
            heat[..., joint] = np.maximum(heat[..., joint], bell)
        for (start, end), channel in zip(LINKS, FIELDS, strict=True):
            if person[start, 2] and person[end, 2]:
                way = person[end, :2] - person[start, :2]
                length = float(np.hypot(*way))
                way = way / length
                along = (x - person[start, 0]) * way[0] + (y - person[start, 1]) * way[1]
                across = np.abs((x - person[start, 0]) * way[1] - (y - person[start, 1]) * way[0])
                inside = (along > -LIMB) & (along < length + LIMB) & (across < LIMB)
                fields[inside, channel : channel + 2] = way
    heat[..., 18] = 1 - heat[..., :18].max(axis=2)
    return heat.astype(np.float32), fields.astype(np.float32)


def library_bodies(
    heat: NDArray[Any], fields: NDArray[Any], photo: NDArray[np.uint8]
) -> tuple[list[Points], torch.Tensor]:
    """What controlnet_aux makes of the same maps on this BGR picture: (18, 3) each, pixels from the corner; and what it
    showed its network."""
    network = Preset(lambda data: [torch.from_numpy(values).permute(2, 0, 1)[None] for values in (fields, heat)])
    body = object.__new__(aux_module("open_pose.body").Body)
    body.model = network
    found = body.format_body_result(*body(photo))
    nothing = SimpleNamespace(x=-0.5, y=-0.5, score=0.0)
    keypoints = [[point or nothing for point in person.keypoints] for person in found]
    bodies = [np.array([(p.x + 0.5, p.y + 0.5, p.score) for p in person], np.float64) for person in keypoints]
    return bodies, network.asked[0]


class Preset(torch.nn.Module):
    """Answers with maps that were drawn, and keeps what it was asked."""

    def __init__(self, answer: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answer = answer
        self.asked: list[torch.Tensor] = []

    def forward(self, data: torch.Tensor) -> Any:
        self.asked.append(data)
        return self.answer(data)
