"""Probes: held-out maps from which the same pictures are made again and again, and scored by what they follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from annotators.base import Image
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.fidelity.score import score
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TrainingPlan
from cnet_app.request.units import ControlUnit
from cnet_app.training.data.pairs import DataSet, Pair, read_control, read_control_data
from cnet_app.training.trainable.base import Trainable

FrameControl = Callable[[Image, int, int], Image]
"""A map to the width and height of its picture, as it is framed in training."""


@dataclass(frozen=True)
class Look:
    """The probes at one step."""

    pictures: tuple[Image, ...]
    scores: tuple[float | None, ...]
    """Agreement from 0 to 1; None where the condition has no measure, or a picture could not be scored."""

    @property
    def score(self) -> float | None:
        """Return the mean of the scores that there are."""
        known = [one for one in self.scores if one is not None]
        return math.fsum(known) / len(known) if known else None


class Probes:
    """The requests of a run's probes; look at them with the network as it is."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        data: DataSet,
        plan: TrainingPlan,
        sizes: Sequence[tuple[int, int]],
        frame: FrameControl,
    ) -> None:
        """`sizes` has width and height of each pair's picture. Raises InputError where a map cannot be read."""
        row = condition(plan.condition)
        self.units: list[ControlUnit] = []
        self._requests: list[GenerationRequest] = []
        for number, (pair, (width, height)) in enumerate(zip(pairs, sizes, strict=True)):
            unit = ControlUnit(
                condition=row.id,
                control_image=encode_png(frame(read_control(pair, row.kind), width, height)),
                control_data=read_control_data(pair),
                annotator=data.annotator,
                annotator_parameters=data.annotator_parameters,
            )
            self.units.append(unit)
            self._requests.append(
                GenerationRequest(
                    prompt=pair.caption or plan.caption,
                    units=(unit,),
                    width=width,
                    height=height,
                    num_inference_steps=plan.probe_steps,
                    seed=plan.seed + number,
                )
            )

    def __len__(self) -> int:
        return len(self._requests)

    def look(self, trainable: Trainable, cancelled: Callable[[], bool] = lambda: False) -> Look:
        """Make the probes' pictures and score them. Raises CancelledError."""
        pictures: list[Image] = []
        scores: list[float | None] = []
        base: Any = trainable.base
        for request in self._requests:
            cache = EncodingCache()  # the network's own encoding of the map changes with every step
            (picture,) = pipeline.generate(base, [trainable.for_pictures()], request, cache=cache, cancelled=cancelled)
            pictures.append(picture)
            scores.append(score(request.units[0], picture).agreement)
        return Look(tuple(pictures), tuple(scores))
