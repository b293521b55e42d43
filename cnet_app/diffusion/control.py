"""Residuals of the ControlNets of a job: which networks run at a step, how strongly they count, and their sum.

Residuals of several units are simply summed (ControlNet paper, section 3.4). What a network is, and where its residuals
enter, is in backbones/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import Control, Features, Residuals, StaticControl, Text
from cnet_app.request.factors import active_steps, curve_at, runs_at
from cnet_app.request.units import ControlUnit


def has_effect(unit: ControlUnit) -> bool:
    """Return False at strength 0, for an empty range or a curve of zeros: then nothing is encoded and nothing runs."""
    return not _idle_reason(unit)


def _idle_reason(unit: ControlUnit) -> str:
    """The setting that leaves a unit without effect at any number of steps, as a clause; empty where there is none."""
    if unit.conditioning_scale == 0:
        return "conditioning_scale is 0"
    if unit.control_guidance_start >= unit.control_guidance_end:
        return f"its range begins and ends at {unit.control_guidance_start:g}"
    curves = {"strength_curve": unit.strength_curve, "depth_curve": unit.depth_curve}
    idle = [name for name, curve in curves.items() if curve and not any(factor > 0 for _, factor in curve)]
    return f"{idle[0]} is 0 everywhere" if idle else ""


def effect_notes(units: Sequence[ControlUnit], steps: int) -> Iterator[str]:
    """A sentence for each unit that acts at none of the steps that run, or at one outside of its range."""
    for number, unit in enumerate(units, 1):
        start, end = unit.control_guidance_start, unit.control_guidance_end
        active = active_steps(steps, start, end)
        if reason := _idle_reason(unit):
            yield f"Unit {number} has no effect: {reason}."
        elif not any(curve_at(unit.strength_curve, step / steps) for step in active):
            yield f"Unit {number} has no effect: strength_curve is 0 at each of its {len(active)} steps."
        elif not any(runs_at(step, steps, start, end) for step in active):
            yield (
                f"The range of unit {number}, {start:g} to {end:g}, holds none of {steps} steps whole; the unit runs at the "
                f"nearest one, step {active[0] + 1}."
            )


def with_own_texts(
    controls: Sequence[Control | StaticControl], encode: Callable[[str], tuple[Text, ...]]
) -> list[Control | StaticControl]:
    """Return the controls, each ControlNet that has a prompt of its own with that text at every step."""
    return [
        replace(control, texts=encode(control.steering.prompt))
        if isinstance(control, Control) and control.steering.prompt is not None
        else control
        for control in controls
    ]


class ActiveControls:
    """The ControlNets of one picture, each with the residuals of its last run."""

    def __init__(self, controls: Sequence[Control], interval: int) -> None:
        self._controls = join_controls(controls)
        self._interval = interval
        self._last: dict[int, tuple[Residuals, float]] = {}

    def residuals(self, step: int, steps: int, batch: Tensor, timestep: Tensor, text: Text) -> list[Residuals]:
        """Return those of every unit in its range at this step.

        Networks run at every `interval`-th step; between these, residuals of the last run count at the strength of this step.
        """
        found: list[Residuals] = []
        for number, control in enumerate(self._controls):
            strength = control.steering.strength_at(step, steps)
            if not strength:
                continue
            if step % self._interval == 0 or not self._fits(number, batch):
                read = control.texts[step] if control.texts else text
                self._last[number] = unit_residuals(control, strength, batch, timestep, read), strength
            last, then = self._last[number]
            found.append(last if strength == then else [residual * (strength / then) for residual in last])
        return found

    def _fits(self, number: int, batch: Tensor) -> bool:
        """Return whether a unit has run, and for as many rows: a prompt that changes may have another number of parts."""
        return number in self._last and len(self._last[number][0][0]) == len(batch)


def join_controls(controls: Sequence[Control]) -> list[Control]:
    """Join units whose networks read several hints in one pass, where they differ in their maps alone."""
    joined: list[Control] = []
    for control in controls:
        for place, other in enumerate(joined):
            network = other.network.joined(control.network) if other.steering == control.steering else None
            if network is not None:
                joined[place] = replace(other, network=network)
                break
        else:
            joined.append(control)
    return joined


def unit_residuals(control: Control, strength: float, batch: Tensor, timestep: Tensor, text: Text) -> Residuals:
    """Return the residuals of one unit at its strength at this step, for a packed batch and the text that it reads."""
    guided = text.guided
    one_side = control.steering.unconditional is None
    if one_side:
        batch, text = batch[-len(text.weights) :], text.conditional()
    found = control.network.residuals(batch, timestep, text)
    factors = _factors(control, strength, guided, found)
    residuals = [residual * factor for residual, factor in zip(found, factors, strict=True)]
    if control.masks:
        residuals = [residual * mask for residual, mask in zip(residuals, control.masks, strict=True)]
    if one_side and guided:
        return [torch.cat([torch.zeros_like(residual[:1]), residual]) for residual in residuals]
    return residuals


def _factors(control: Control, strength: float, guided: bool, residuals: Residuals) -> list[Any]:
    """A number a place, or a tensor with one a row where the sides of guidance differ."""
    one, other = control.steering.conditional, control.steering.unconditional
    if not guided or other is None or one == other:
        return [weight * strength for weight in one]
    like = residuals[-1]
    sides = [(free, *[given] * (len(like) - 1)) for free, given in zip(other, one, strict=True)]
    rows = torch.tensor(sides, dtype=like.dtype, device=like.device) * strength
    return [_by_row(row, residual) for row, residual in zip(rows, residuals, strict=True)]


def sum_residuals(units: Sequence[Residuals], norm_preserving: bool) -> Residuals | None:
    """Return the sum of all units; None where there is none. `norm_preserving` gives it the norm of the strongest unit."""
    if not units:
        return None
    places = list(zip(*units, strict=True))
    total = [reduce(torch.add, parts) for parts in places]
    if norm_preserving and len(units) > 1:
        strongest = [torch.stack([_norm(part) for part in parts]).amax(dim=0) for parts in places]
        return [_with_norm(whole, norm) for whole, norm in zip(total, strongest, strict=True)]
    return total


def place_norms(units: Sequence[Residuals]) -> list[list[float]]:
    """Return the norm of every unit's residual at every place, on the prompt's side: it shows which unit dominates."""
    return [[_norm(residual[-1:]).item() for residual in unit] for unit in units]


def _norm(residual: Tensor) -> Tensor:
    """(B, 1, …)."""
    return _by_row(residual.float().flatten(1).norm(dim=1), residual)


def _with_norm(residual: Tensor, norm: Tensor) -> Tensor:
    return (residual * (norm / _norm(residual).clamp(min=1e-6))).to(residual.dtype)


def _by_row(numbers: Tensor, like: Tensor) -> Tensor:
    """(B,) to (B, 1, …) with as many dimensions as `like`."""
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def sum_features(controls: Sequence[StaticControl], step: int, steps: int, rows: int) -> Features | None:
    """Return what all adapters add to a batch of so many rows at this step; None where they add nothing."""
    strengths = [(control, control.steering.strength_at(step, steps)) for control in controls]
    parts = [weighted_features(control, strength, rows) for control, strength in strengths if strength]
    return [reduce(torch.add, level) for level in zip(*parts, strict=True)] if parts else None


def weighted_features(control: StaticControl, strength: float, rows: int) -> Features:
    """Return one adapter's features at its strength, a row for each row of the batch.

    diffusers drops what is added to SDXL's middle block where the numbers of rows differ.
    """
    one = control.steering.conditional
    other = control.steering.unconditional or (0.0,) * len(one)
    like = control.features[0]
    sides = [other, *[one] * max(1, rows - 1)][-rows:]
    weights = torch.tensor(sides, dtype=like.dtype, device=like.device) * strength
    return [feature * weights[:, level, None, None, None] for level, feature in enumerate(control.features)]
