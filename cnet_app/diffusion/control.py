"""Residuals of the ControlNets of a job: which networks run at a step, how strongly they count, and their sum.

Residuals of several units are simply summed (ControlNet paper, section 3.4). What a network is, and where its residuals
enter, is in backbones/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cnet_app.diffusion.backbones.base import (
    ActiveReference,
    Control,
    Features,
    PreparedControl,
    ReferenceControl,
    Residuals,
    StaticControl,
    Text,
    Weigh,
)
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
    controls: Sequence[PreparedControl], encode: Callable[[str], tuple[Text, ...]]
) -> list[PreparedControl]:
    """Return the controls, each ControlNet that has a prompt of its own with that text at every step."""
    return [
        replace(control, texts=encode(control.steering.prompt))
        if isinstance(control, Control) and control.steering.prompt is not None
        else control
        for control in controls
    ]


@dataclass(frozen=True)
class _Run:
    """The last run of a unit's network."""

    residuals: Residuals
    strength: float
    text: Text

    def serves(self, control: Control, strength: float, rows: int, text: Text) -> bool:
        """Return whether its residuals serve at another step: a prompt that changes may have more parts, or more tokens."""
        first = next(iter(self.residuals.values()))
        same_tokens = first.ndim != 3 or self.text.states.shape[1] == text.states.shape[1]
        return len(first) == rows and same_tokens and (control.network.linear or strength == self.strength)


class ActiveControls:
    """The ControlNets of one picture, each with the residuals of its last run."""

    def __init__(self, controls: Sequence[Control], interval: int) -> None:
        self._controls = join_controls(controls)
        self._interval = interval
        self._last: dict[int, _Run] = {}

    def residuals(self, step: int, steps: int, batch: Tensor, timestep: Tensor, text: Text) -> list[Residuals]:
        """Return those of every unit in its range at this step.

        Networks run at every `interval`-th step; between these, residuals of the last run count at the strength of this step.
        A network that is not linear in its strength runs where that changes.
        """
        found: list[Residuals] = []
        for number, control in enumerate(self._controls):
            strength = control.steering.strength_at(step, steps)
            if not strength:
                continue
            read = control.texts[step] if control.texts else text
            last = self._last.get(number)
            if step % self._interval == 0 or last is None or not last.serves(control, strength, len(batch), read):
                last = _Run(unit_residuals(control, strength, batch, timestep, read), strength, read)
                self._last[number] = last
            found.append(last.residuals if strength == last.strength else _scaled(last, strength))
        return found


def _scaled(run: _Run, strength: float) -> Residuals:
    return {number: residual * (strength / run.strength) for number, residual in run.residuals.items()}


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
    """Return the weighted residuals of one unit at its strength at this step, for a packed batch and the text that it reads."""
    guided = text.guided
    one_side = control.steering.unconditional is None
    if one_side:
        batch, text = batch[-len(text.weights) :], text.conditional()
    found = control.network.residuals(batch, timestep, text, _weigher(control, strength, guided, batch))
    if one_side and guided:
        return {number: torch.cat([torch.zeros_like(residual[:1]), residual]) for number, residual in found.items()}
    return found


def _weigher(control: Control, strength: float, guided: bool, batch: Tensor) -> Weigh:
    """Return the function that applies a unit's factors, at its strength at this step, and its masks."""
    factors = dict(zip(control.places, _factors(control, strength, guided, batch), strict=True))
    masks = dict(zip(control.places, control.masks, strict=True)) if control.masks else {}

    def weigh(number: int, residual: Tensor) -> Tensor:
        factor = factors[number]
        weighted = residual * (_by_row(factor, residual) if isinstance(factor, Tensor) else factor)
        return weighted * _covering(masks[number], weighted) if masks else weighted

    return weigh


def _factors(control: Control, strength: float, guided: bool, batch: Tensor) -> list[Any]:
    """A number a place, or a tensor with one a row where the sides of guidance differ."""
    one, other = control.steering.conditional, control.steering.unconditional
    if not guided or other is None or one == other:
        return [weight * strength for weight in one]
    sides = [(free, *[given] * (len(batch) - 1)) for free, given in zip(other, one, strict=True)]
    return list(torch.tensor(sides, dtype=batch.dtype, device=batch.device) * strength)


def _covering(mask: Tensor, residual: Tensor) -> Tensor:
    """Return the mask over a whole residual: it is 0 on tokens behind those of the picture."""
    return mask if mask.ndim == 4 else F.pad(mask, (0, 0, 0, residual.shape[1] - mask.shape[1]))


def sum_residuals(units: Sequence[Residuals], norm_preserving: bool) -> Residuals | None:
    """Return the sum of all units at every place; None where there is none.

    `norm_preserving` gives a sum of several the norm of the strongest.
    """
    if not units:
        return None
    total: dict[int, Tensor] = {}
    for number in _all_places(units):
        parts = [unit[number] for unit in units if number in unit]
        total[number] = reduce(torch.add, parts)
        if norm_preserving and len(parts) > 1:
            total[number] = _with_norm(total[number], torch.stack([_norm(part) for part in parts]).amax(dim=0))
    return total


def place_norms(units: Sequence[Residuals]) -> list[list[float]]:
    """Return the norm of every unit's residual at every place, on the prompt's side: it shows which unit dominates.

    Places are those of all units; where a unit has no residual the norm is 0.
    """
    places = _all_places(units)
    return [[_norm(unit[number][-1:]).item() if number in unit else 0.0 for number in places] for unit in units]


def _all_places(units: Sequence[Residuals]) -> list[int]:
    return sorted({number for unit in units for number in unit})


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


def active_references(controls: Sequence[ReferenceControl], step: int, steps: int) -> tuple[ActiveReference, ...]:
    """Return the maps that the base reads at this step; those of units at strength 0 or out of their range are left out."""
    found = (
        ActiveReference(
            number, control.latents, control.steering.conditional[0] * control.steering.strength_at(step, steps)
        )
        for number, control in enumerate(controls)
    )
    return tuple(reference for reference in found if reference.strength)
