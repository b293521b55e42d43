"""The denoising loop: noise to latents in a few dozen steps, the same for every family, scheduler and prediction type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import (
    Backbone,
    Control,
    Extras,
    PreparedControl,
    ReferenceControl,
    Residuals,
    StaticControl,
    Text,
)
from cnet_app.diffusion.control import ActiveControls, active_references, sum_features, sum_residuals
from cnet_app.diffusion.reuse import StepReuse
from cnet_app.diffusion.schedulers import late_start_note, scale_model_input
from cnet_app.diffusion.start import Start
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import GenerationRequest
from models.errors import CancelledError


@dataclass(frozen=True)
class FinishedStep:
    """One finished step of one picture."""

    step: int
    """1 … steps."""
    steps: int
    model_input: Tensor
    """(1, C, h, w): the latents as scaled for the network."""
    prediction: Tensor
    """(1, C, h, w): the network's prediction, guidance applied."""
    timestep: Tensor
    units: Sequence[Residuals]
    """Residuals of each ControlNet that ran, at this step or the last computed one; units that share a pass count as one."""
    is_reused: bool = False
    """The prediction is that of an earlier step; see reuse.py."""


def denoise(
    backbone: Backbone,
    scheduler: Any,
    start: Start,
    texts: Sequence[Text],
    controls: Sequence[PreparedControl],
    request: GenerationRequest,
    *,
    generator: torch.Generator,
    image_prompt: Tensor | None = None,
    on_step: Callable[[FinishedStep], None],
    cancelled: Callable[[], bool],
) -> Tensor:
    """Return finished latents, (1, C, h, w) in float32, from a start.

    The scheduler has its timesteps set, and there is a text for each. Latents stay in float32 while the networks may be in half precision. Guidance
    scale, eta, the interval between runs of ControlNets and the way their residuals are summed are the request's.
    `image_prompt` is encoded, for a backbone that reads it. Raises CancelledError before the next network runs.
    """
    latents = start.latents
    options = step_options(scheduler, generator, request.eta)
    steps = len(start.timesteps)
    active = ActiveControls(
        [control for control in controls if isinstance(control, Control)], request.residual_interval
    )
    static = [control for control in controls if isinstance(control, StaticControl)]
    references = [control for control in controls if isinstance(control, ReferenceControl)]
    reuse, units = StepReuse(request.reuse_threshold, steps), list[Residuals]()
    for step, (timestep, text) in enumerate(zip(start.timesteps, texts, strict=True)):
        _stop_if(cancelled)
        model_input = scale_model_input(scheduler, latents, timestep)
        circumstances = _circumstances(text, controls, step, steps)
        reused = reuse.prediction(step, model_input, circumstances)
        if reused is None:
            batch = backbone.pack(model_input, text)
            units = active.residuals(step, steps, batch, timestep, text)
            extras = Extras(
                residuals=sum_residuals(units, request.norm_preserving),
                features=sum_features(static, step, steps, len(batch)),
                references=active_references(references, step, steps),
                known=start.known,
                image_prompt=image_prompt,
            )
            _stop_if(cancelled)
            prediction = backbone.predict(batch, timestep, text, request.guidance_scale, extras)
            reuse.keep(model_input, prediction, circumstances)
        else:
            prediction = reused
        latents = scheduler.step(prediction, timestep, latents, **options, return_dict=False)[0]
        latents = start.restore(latents, step)
        on_step(FinishedStep(step + 1, steps, model_input, prediction, timestep, units, reused is not None))
    _stop_if(cancelled)
    return latents


def _circumstances(text: Text, controls: Sequence[PreparedControl], step: int, steps: int) -> Hashable:
    """Return what acts on a step besides its input and time: texts, which are equal where they are the same, and strengths."""
    own = (control.texts for control in controls if isinstance(control, Control) and control.texts)
    read = [id(one) for one in (text, *(texts[step] for texts in own))]
    return (*read, *(control.steering.strength_at(step, steps) for control in controls))


def step_options(scheduler: Any, generator: torch.Generator, eta: float) -> Mapping[str, Any]:
    """Return the options that this scheduler's steps have: a generator where they draw noise, eta where they scale it."""
    known = inspect.signature(scheduler.step).parameters
    return {name: value for name, value in (("generator", generator), ("eta", eta)) if name in known}


def sampler_notes(scheduler: Any, timesteps: Tensor, request: GenerationRequest) -> Iterator[str]:
    """A sentence for each setting of the request that its sampler does not have, and for steps that begin too late."""
    note = late_start_note(scheduler, timesteps) if request.initial_image is None else ""
    if note:
        yield note
    if request.eta and "eta" not in inspect.signature(scheduler.step).parameters:
        *others, last = (row.title.partition(",")[0] for row in SAMPLERS if row.has_eta)
        able = f"{', '.join(others)} or {last}"
        yield f"Eta is {request.eta:g}, which has no effect with this sampler; choose {able} to use it."


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError("Cancelled.")
