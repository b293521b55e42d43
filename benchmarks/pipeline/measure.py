"""From a row of arms.py to its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import Machine, this_machine
from benchmarks.pipeline.arms import Arm
from benchmarks.pipeline.counters import counting
from benchmarks.pipeline.jobs import Job, Pictures, prepare
from benchmarks.pipeline.models import Models, in_format
from benchmarks.wall import Wall, time_pairs

TOLERANCE = 1e-4
"""Equal latents: that share of the largest. The hint is encoded in another batch, so sums are rounded in another order."""


@dataclass(frozen=True)
class Verdict:
    """A gate and what came of it."""

    counter: str
    at_most: float
    ratio: float

    @property
    def holds(self) -> bool:
        """Of whole numbers, so exactly."""
        return self.ratio <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Result:
    """All figures of one arm."""

    id: str
    title: str
    note: str
    against: str
    ours: Mapping[str, int]
    """Counters; see counters.Counted."""
    reference: Mapping[str, int]
    gates: tuple[Verdict, ...]
    latent_difference: float | None
    """The greatest, over the largest latent; None where other latents are meant."""
    psnr: float | None
    """Of the pictures against the reference's, in dB."""
    wall: Wall | None
    machine: Machine

    @property
    def is_equal(self) -> bool:
        """Where equality is due."""
        return (self.latent_difference or 0.0) <= TOLERANCE

    @property
    def holds(self) -> bool:
        """Every gate, and equality."""
        return all(gate.holds for gate in self.gates) and self.is_equal


@dataclass(frozen=True)
class _Made:
    counts: Mapping[str, int]
    latents: Tensor
    pictures: Pictures


class Bench:
    """Runs each job once under the counters, however many arms ask for it, and the timed ones again against the clock."""

    def __init__(self, models: Models) -> None:
        self._models = {torch.float32: models}
        self._made: list[tuple[Job, _Made]] = []

    def measure(self, arm: Arm, pairs: int) -> Result:
        """`pairs` of runs against the clock, where the arm is timed; 0 leaves wall times out."""
        ours, reference = self._once(arm.ours), self._once(arm.reference)
        wall = None
        if arm.timed and pairs:
            wall = time_pairs(self._run(arm.ours), self._run(arm.reference), pairs)
        return Result(
            id=arm.id,
            title=arm.title,
            note=arm.note,
            against="diffusers" if arm.reference.side == "diffusers" else "our first row",
            ours=ours.counts,
            reference=reference.counts,
            gates=tuple(
                Verdict(gate.counter, gate.at_most, ours.counts[gate.counter] / reference.counts[gate.counter])
                for gate in arm.gates
            ),
            latent_difference=_difference(ours.latents, reference.latents) if arm.compare == "latents" else None,
            psnr=psnr(ours.pictures, reference.pictures) if arm.compare == "pictures" else None,
            wall=wall,
            machine=this_machine(),
        )

    def _run(self, job: Job) -> Callable[[], Pictures]:
        if job.dtype not in self._models:
            self._models[job.dtype] = in_format(self._models[torch.float32], job.dtype)
        return prepare(job, self._models[job.dtype])

    def _once(self, job: Job) -> _Made:
        for known, made in self._made:
            if known == job:
                return made
        run = self._run(job)
        with counting(self._models[job.dtype]) as counted:
            pictures = run()
        made = _Made(dict(counted.counts), torch.cat(counted.latents), pictures)
        self._made.append((job, made))
        return made


def _difference(ours: Tensor, reference: Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


def psnr(ours: Pictures, reference: Pictures) -> float:
    """In dB, over all pixels of all pictures; infinite where they are the same."""
    error = np.mean((np.stack(ours).astype(float) - np.stack(reference)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
