"""What a ControlNet adds: at which steps it runs, how strongly each block counts, and which side of guidance it steers.

A `Control` is one ControlUnit made ready for a job. Its residuals are added to the U-Net's skip connections and middle
block; those of several units are simply summed (ControlNet paper, section 3.4).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from annotators.images import resize
from cnet_app.diffusion.prompts import Text
from cnet_app.requests import ControlMode, ControlUnit

if TYPE_CHECKING:
    from diffusers import ControlNetModel

SOFT = 0.825
"""What each block towards the shallow end keeps in mode "control": the original's guess mode, 0.825 ** (12 - i)."""
COLOUR_CODED = ("segmentation", "openpose")
"""Conditions whose colours are labels: a blend of two would be a third label."""

Residuals = list[Tensor]
"""One (B, C, h, w) tensor per skip connection from the shallowest on, the middle block's last."""


@dataclass(frozen=True)
class Control:
    """One unit made ready: its hint is encoded, and only the step decides whether it runs."""

    controlnet: ControlNetModel
    """Shares every weight with the loaded network, but already knows its hint."""
    weights: tuple[float, ...]
    """One factor per block, in the order of `Residuals`."""
    conditional_only: bool
    """The unconditional side of guidance is left uncontrolled, so the network does not run for it."""
    start: float
    end: float

    def runs_at(self, step: int, steps: int) -> bool:
        """Whether step (0 … steps - 1) lies wholly inside the range; the rule is diffusers'."""
        return runs_at(step, steps, self.start, self.end)


def runs_at(step: int, steps: int, start: float, end: float) -> bool:
    """Whether the step covers no time before `start` and none after `end`, both fractions of all steps."""
    return step / steps >= start and (step + 1) / steps <= end


def has_effect(unit: ControlUnit) -> bool:
    """False at strength 0 and for an empty range: then nothing is encoded and nothing runs."""
    return unit.conditioning_scale > 0 and unit.control_guidance_start < unit.control_guidance_end


def block_weights(mode: ControlMode, conditioning_scale: float, blocks: int) -> tuple[float, ...]:
    """A factor per block, the middle one last. Mode "control" lets go of the shallow blocks, which hold the detail."""
    if mode == "balanced":
        return (conditioning_scale,) * blocks
    return tuple(conditioning_scale * SOFT ** (blocks - 1 - i) for i in range(blocks))


def prepare_control(
    unit: ControlUnit, controlnet: ControlNetModel, width: int, height: int, mode: ControlMode
) -> Control:
    """Encodes the unit's hint, once for the whole job, and settles its weights."""
    # A network that pools its residuals (shuffle) has no detail to let go of, and was made to steer the prompt's side.
    pools = bool(controlnet.config["global_pool_conditions"])
    blocks = len(controlnet.controlnet_down_blocks) + 1
    return Control(
        controlnet=with_hint(controlnet, control_tensor(unit, width, height)),
        weights=block_weights("balanced" if pools else mode, unit.conditioning_scale, blocks),
        conditional_only=pools or mode == "control",
        start=unit.control_guidance_start,
        end=unit.control_guidance_end,
    )


def control_tensor(unit: ControlUnit, width: int, height: int) -> Tensor:
    """The map at the picture's size, (1, 3, H, W) in [0, 1]; one of another shape is cropped around its centre."""
    pixels = unit.pixels
    if pixels.shape[:2] != (height, width):
        pixels = resize(pixels, width, height, mode="crop", nearest=unit.condition in COLOUR_CODED)
    return torch.tensor(np.moveaxis(pixels, 2, 0)[None], dtype=torch.float32) / 255


class _KnownHint(nn.Module):
    """Takes the hint encoder's place and gives back what that once made."""

    def __init__(self, hint: Tensor) -> None:
        super().__init__()
        self.hint = hint

    def forward(self, _: Tensor) -> Tensor:
        return self.hint


def with_hint(controlnet: ControlNetModel, control_image: Tensor) -> ControlNetModel:
    """The same network on the same weights, which need not encode (1, 3, H, W) `control_image` at every step.

    diffusers' forward always runs the hint encoder. A shallow copy with another module in its place leaves the loaded
    network untouched, so that several units, or several jobs, may use it at once.
    """
    image = control_image.to(controlnet.device, controlnet.dtype)
    if controlnet.config["controlnet_conditioning_channel_order"] == "bgr":
        image = image.flip(1)
    return with_encoded_hint(controlnet, controlnet.controlnet_cond_embedding(image))


def with_encoded_hint(controlnet: ControlNetModel, hint: Tensor) -> ControlNetModel:
    """`with_hint` for a hint that is encoded already: (B, C, h, w), C the network's first channels."""
    knowing = copy.copy(controlnet)
    modules = vars(controlnet)["_modules"] | {"controlnet_cond_embedding": _KnownHint(hint)}
    vars(knowing)["_modules"] = modules
    return knowing


def sum_residuals(controls: Sequence[Control], model_input: Tensor, timestep: Tensor, text: Text) -> Residuals | None:
    """What all controls together add for a (B, C, h, w) batch; None where there is none."""
    total: Residuals | None = None
    for control in controls:
        own = _residuals(control, model_input, timestep, text)
        total = own if total is None else [a + b for a, b in zip(total, own, strict=True)]
    return total


def _residuals(control: Control, model_input: Tensor, timestep: Tensor, text: Text) -> Residuals:
    guided = len(model_input) == 2
    if control.conditional_only:
        model_input, text = model_input[-1:], text.conditional()
    down, middle = control.controlnet(
        model_input,
        timestep,
        encoder_hidden_states=text.states,
        controlnet_cond=model_input,  # never looked at: the hint is known
        added_cond_kwargs=text.added,
        return_dict=False,
    )
    residuals = [residual * weight for residual, weight in zip((*down, middle), control.weights, strict=True)]
    if control.conditional_only and guided:
        return [torch.cat([torch.zeros_like(residual), residual]) for residual in residuals]
    return residuals
