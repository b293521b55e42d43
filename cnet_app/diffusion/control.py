"""What a ControlNet adds: at which steps, how strongly each block counts, where, and on which side of guidance.

A `Control` is one ControlUnit made ready for a job. Its residuals are added to the U-Net's skip connections and middle
block; those of several units are simply summed (ControlNet paper, section 3.4).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from annotators.images import load_image, resize
from cnet_app.diffusion.prompts import Text
from cnet_app.diffusion.sizes import STEP, pad
from cnet_app.errors import InputError
from cnet_app.modes import CUSTOM, Weights, mode
from cnet_app.requests import ControlUnit

if TYPE_CHECKING:
    from diffusers import ControlNetModel

COLOUR_CODED = ("segmentation", "openpose")
"""Conditions whose colours are labels: a blend of two would be a third label."""

Residuals = list[Tensor]
"""One (B, C, h, w) tensor per skip connection from the shallowest on, the middle block's last."""


@dataclass(frozen=True)
class Control:
    """One unit made ready: its hint is encoded, and only the step decides whether it runs."""

    controlnet: ControlNetModel
    """Shares every weight with the loaded network, but already knows its hint."""
    conditional: Weights
    """One factor per block, in the order of `Residuals`, strength included."""
    unconditional: Weights | None
    """The same for guidance's other side; None leaves it uncontrolled, so the network does not run for it."""
    start: float
    end: float
    curve: tuple[tuple[float, float], ...]
    masks: tuple[Tensor, ...]
    """(1, 1, h, w) in [0, 1] per block; empty steers everywhere."""

    def strength_at(self, step: int, steps: int) -> float:
        """Factor on both sides' weights at step 0 … steps - 1; 0 where the network need not run."""
        if not runs_at(step, steps, self.start, self.end):
            return 0.0
        return curve_at(self.curve, step / steps)


def runs_at(step: int, steps: int, start: float, end: float) -> bool:
    """Whether the step covers no time before `start` and none after `end`, both fractions of all steps; as diffusers."""
    return step / steps >= start and (step + 1) / steps <= end


def curve_at(curve: Sequence[tuple[float, float]], place: float) -> float:
    """The factor at a fraction of the steps: straight between the points, level before the first and after the last."""
    places, factors = [place for place, _ in curve], [factor for _, factor in curve]
    return float(np.interp(place, places, factors)) if curve else 1.0


def has_effect(unit: ControlUnit) -> bool:
    """False at strength 0, for an empty range or a curve of zeros: then nothing is encoded and nothing runs."""
    heard = not unit.strength_curve or any(factor > 0 for _, factor in unit.strength_curve)
    return heard and unit.conditioning_scale > 0 and unit.control_guidance_start < unit.control_guidance_end


def reductions(controlnet: ControlNetModel) -> tuple[int, ...]:
    """How many times smaller than the latents each block's features are: 1, 1, 1, 2, 2, 2, 4, … and the middle's."""
    found, reduction = [1], 1
    for block in controlnet.down_blocks:
        layers: Any = block
        found += [reduction] * len(layers.resnets)
        if layers.downsamplers:
            reduction *= 2
            found.append(reduction)
    return (*found, reduction)


def side_weights(unit: ControlUnit, mode_id: str, sizes: Sequence[int]) -> tuple[Weights, Weights | None]:
    """Factors of the conditional and the unconditional side for blocks of these reductions; None: not run there."""
    if mode_id == CUSTOM:
        for name in ("block_weights", "unconditional_block_weights"):
            given = getattr(unit, name)
            if given and len(given) != len(sizes):
                raise InputError(f"{name} has {len(given)} numbers, but this ControlNet has {len(sizes)} blocks.")
        conditional, other = unit.block_weights, unit.unconditional_block_weights
    else:
        row = mode(mode_id)
        conditional = row.weights(sizes)
        other = conditional if row.both_sides else ()
    scale = unit.conditioning_scale
    return tuple(scale * w for w in conditional), tuple(scale * w for w in other) if any(other) else None


def prepare_control(unit: ControlUnit, controlnet: ControlNetModel, width: int, height: int, mode_id: str) -> Control:
    """Encodes the unit's hint, once for the whole job, and settles its weights."""
    sizes = reductions(controlnet)
    # A network that pools its residuals (shuffle) has no detail to let go of, and was made to steer the prompt's side.
    pools = bool(controlnet.config["global_pool_conditions"])
    conditional, unconditional = side_weights(unit, "unbalanced" if pools else mode_id, sizes)
    return Control(
        controlnet=with_hint(controlnet, control_tensor(unit, width, height)),
        conditional=conditional,
        unconditional=unconditional,
        start=unit.control_guidance_start,
        end=unit.control_guidance_end,
        curve=unit.strength_curve,
        masks=block_masks(unit, width, height, sizes, controlnet.device, controlnet.dtype),
    )


def block_masks(
    unit: ControlUnit, width: int, height: int, sizes: Sequence[int], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """The unit's mask, its border softened, at the size of every block's features; empty where it has none."""
    if unit.mask is None:
        return ()
    grey = cv2.cvtColor(resize(load_image(unit.mask), width, height, mode="crop"), cv2.COLOR_RGB2GRAY)
    if unit.mask_feather:
        grey = cv2.GaussianBlur(grey, (0, 0), unit.mask_feather)
    mask = torch.tensor(pad(grey), dtype=torch.float32)[None, None] / 255
    shapes = [(-(-height // (STEP * size)), -(-width // (STEP * size))) for size in sizes]
    return tuple(F.adaptive_avg_pool2d(mask, shape).to(device, dtype) for shape in shapes)


def control_tensor(unit: ControlUnit, width: int, height: int) -> Tensor:
    """The map at the picture's padded size, (1, 3, H, W) in [0, 1]; one of another shape is cropped around its centre."""
    pixels = unit.pixels
    if pixels.shape[:2] != (height, width):
        pixels = resize(pixels, width, height, mode="crop", nearest=unit.condition in COLOUR_CODED)
    return torch.tensor(np.moveaxis(pad(pixels), 2, 0)[None], dtype=torch.float32) / 255


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


def sum_residuals(units: Sequence[Residuals], norm_preserving: bool) -> Residuals | None:
    """What all units add together; None where there is none. `norm_preserving` lends a sum the norm of its strongest part."""
    if not units:
        return None
    blocks = list(zip(*units, strict=True))
    total = [reduce(torch.add, parts) for parts in blocks]
    if norm_preserving and len(units) > 1:
        strongest = [torch.stack([_norm(part) for part in parts]).amax(dim=0) for parts in blocks]
        return [_with_norm(whole, norm) for whole, norm in zip(total, strongest, strict=True)]
    return total


def block_norms(units: Sequence[Residuals]) -> list[list[float]]:
    """Per unit the length of what it adds to each block, on the prompt's side: shows which units outshout others."""
    return [[_norm(residual[-1:]).item() for residual in unit] for unit in units]


def _norm(residual: Tensor) -> Tensor:
    """(B, 1, 1, 1)."""
    return residual.float().flatten(1).norm(dim=1)[:, None, None, None]


def _with_norm(residual: Tensor, norm: Tensor) -> Tensor:
    return (residual * (norm / _norm(residual).clamp(min=1e-6))).to(residual.dtype)


def unit_residuals(control: Control, strength: float, model_input: Tensor, timestep: Tensor, text: Text) -> Residuals:
    """What one control, at its strength at this step, adds for a (B, C, h, w) batch."""
    guided = len(model_input) == 2
    one_side = control.unconditional is None
    if one_side:
        model_input, text = model_input[-1:], text.conditional()
    down, middle = control.controlnet(
        model_input,
        timestep,
        encoder_hidden_states=text.states,
        controlnet_cond=model_input,  # never looked at: the hint is known
        added_cond_kwargs=text.added,
        return_dict=False,
    )
    factors = _factors(control, strength, guided, middle)
    residuals = [residual * factor for residual, factor in zip((*down, middle), factors, strict=True)]
    if control.masks:
        residuals = [residual * mask for residual, mask in zip(residuals, control.masks, strict=True)]
    if one_side and guided:
        return [torch.cat([torch.zeros_like(residual), residual]) for residual in residuals]
    return residuals


def _factors(control: Control, strength: float, guided: bool, like: Tensor) -> list[Any]:
    """A number per block, or one per side of guidance, (2, 1, 1, 1), where they differ."""
    one, other = control.conditional, control.unconditional
    if not guided or other is None or one == other:
        return [weight * strength for weight in one]
    pairs = torch.tensor(list(zip(other, one, strict=True)), dtype=like.dtype, device=like.device) * strength
    return list(pairs[:, :, None, None, None])
