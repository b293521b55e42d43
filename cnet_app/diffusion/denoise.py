"""The loop: noise to latents in a few dozen steps, the same for every family, scheduler and prediction type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.adapters import Adapter, summed_features
from cnet_app.diffusion.control import Control, Residuals, join_unions, sum_residuals, unit_residuals
from cnet_app.diffusion.prompts import Text
from cnet_app.diffusion.start import Start
from models.errors import CancelledError


@dataclass(frozen=True)
class Progress:
    """One finished step of one picture."""

    step: int
    """1 … steps."""
    steps: int
    model_input: Tensor
    """(1, C, h, w): what the U-Net saw."""
    prediction: Tensor
    """(1, C, h, w): what it said, guidance applied."""
    timestep: Tensor
    units: Sequence[Residuals]
    """What each ControlNet that ran added; units that share a pass count as one."""


def denoise(
    unet: Any,
    scheduler: Any,
    start: Start,
    text: Text,
    controls: Sequence[Control | Adapter],
    *,
    guidance_scale: float,
    norm_preserving: bool,
    residual_interval: int,
    eta: float,
    generator: torch.Generator,
    image_embeds: Tensor | None = None,
    on_step: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Tensor:
    """From a start to finished latents, (1, C, h, w), float32.

    The scheduler has its timesteps set. Latents stay in float32 while the networks may be half precision. Guidance runs
    the U-Net on both sides in one batch where `text` holds two. `image_embeds` is an IP-Adapter's, (2, 1, …), for a
    U-Net that it is on. ControlNets run at every `residual_interval`-th step. Raises CancelledError before the next network runs.
    """
    latents = start.latents
    options = _step_options(scheduler, generator, eta)
    steps = len(start.timesteps)
    # For the U-Net alone: a ControlNet reads words only.
    added = text.added
    if image_embeds is not None:
        added = {**(added or {}), "image_embeds": [image_embeds[-len(text.states) :]]}
    networks = _Networks([control for control in controls if isinstance(control, Control)], residual_interval)
    adapters = [control for control in controls if isinstance(control, Adapter)]
    for step, timestep in enumerate(start.timesteps):
        _stop_if(cancelled)
        model_input = scheduler.scale_model_input(latents, timestep)
        batch = model_input.expand(len(text.states), -1, -1, -1).to(unet.dtype)
        units = networks.residuals(step, steps, batch, timestep, text)
        residuals = sum_residuals(units, norm_preserving)
        _stop_if(cancelled)
        prediction = unet(
            batch
            if start.beside is None
            else torch.cat([batch, start.beside.to(batch).expand(len(batch), -1, -1, -1)], 1),
            timestep,
            encoder_hidden_states=text.states,
            added_cond_kwargs=added,
            down_block_additional_residuals=tuple(residuals[:-1]) if residuals else None,
            mid_block_additional_residual=residuals[-1] if residuals else None,
            down_intrablock_additional_residuals=summed_features(
                [(adapter, adapter.steering.strength_at(step, steps)) for adapter in adapters], len(batch)
            ),
            return_dict=False,
        )[0].float()
        if len(prediction) == 2:
            unconditional, conditional = prediction.chunk(2)
            prediction = unconditional + guidance_scale * (conditional - unconditional)
        latents = scheduler.step(prediction, timestep, latents, **options, return_dict=False)[0]
        latents = start.restore(latents, step)
        on_step(Progress(step + 1, steps, model_input, prediction, timestep, units))
    _stop_if(cancelled)
    return latents


class _Networks:
    """ControlNets of a job, each with what it last added."""

    def __init__(self, controls: Sequence[Control], interval: int) -> None:
        self._controls = join_unions(controls)
        self._interval = interval
        self._last: dict[int, tuple[Residuals, float]] = {}

    def residuals(self, step: int, steps: int, batch: Tensor, timestep: Tensor, text: Text) -> list[Residuals]:
        """Of each one that has a say at this step; between its turns what it last said, at the strength of now."""
        found: list[Residuals] = []
        for number, control in enumerate(self._controls):
            strength = control.steering.strength_at(step, steps)
            if not strength:
                continue
            if number not in self._last or step % self._interval == 0:
                self._last[number] = unit_residuals(control, strength, batch, timestep, text), strength
            said, then = self._last[number]
            found.append(said if strength == then else [residual * (strength / then) for residual in said])
        return found


def _step_options(scheduler: Any, generator: torch.Generator, eta: float) -> dict[str, Any]:
    """What this scheduler's steps take: a generator where they draw noise, eta where they ask how much."""
    taken = inspect.signature(scheduler.step).parameters
    return {name: value for name, value in (("generator", generator), ("eta", eta)) if name in taken}


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError("Cancelled.")
