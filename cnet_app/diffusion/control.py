"""What a ControlNet adds: to which blocks, how much, and on which side of guidance.

A `Control` is one ControlUnit made ready for a job. Its residuals are added to the U-Net's skip connections and middle
block; those of several units are simply summed (ControlNet paper, section 3.4).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter
from torch import Tensor, nn

from cnet_app.diffusion.adapters import Adapter, prepare_adapter
from cnet_app.diffusion.kept import Kept, image_key
from cnet_app.diffusion.prompts import Text
from cnet_app.diffusion.steering import Steering, block_masks, control_tensor, steering_of
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.union import UnionInput, UnionPass

Network = ControlNetModel | UnionInput | T2IAdapter
"""What a unit may name; see models.loader.load_controlnet."""

Residuals = list[Tensor]
"""One (B, C, h, w) tensor per skip connection from the shallowest on, the middle block's last."""


@dataclass(frozen=True)
class Control:
    """One unit made ready: its hint is encoded, and only the step decides whether it runs."""

    steering: Steering
    """Weights in the order of `Residuals`; where there are none for guidance's other side, the network does not run for it."""
    controlnet: ControlNetModel | UnionPass
    """Shares every weight with the loaded network, but already knows its hint."""
    masks: tuple[Tensor, ...]
    """(1, 1, h, w) in [0, 1] per block; empty steers everywhere."""


def has_effect(unit: ControlUnit) -> bool:
    """False at strength 0, for an empty range or a curve of zeros: then nothing is encoded and nothing runs."""
    heard = not unit.strength_curve or any(factor > 0 for _, factor in unit.strength_curve)
    return heard and unit.conditioning_scale > 0 and unit.control_guidance_start < unit.control_guidance_end


def reductions(controlnet: ControlNetModel | ControlNetUnionModel) -> tuple[int, ...]:
    """How many times smaller than the latents each block's features are: 1, 1, 1, 2, 2, 2, 4, … and the middle's."""
    found, reduction = [1], 1
    for block in controlnet.down_blocks:
        layers: Any = block
        found += [reduction] * len(layers.resnets)
        if layers.downsamplers:
            reduction *= 2
            found.append(reduction)
    return (*found, reduction)


def prepare_control(
    unit: ControlUnit, network: Network, request: GenerationRequest, device: torch.device, kept: Kept
) -> Control | Adapter:
    """Encodes the unit's map, once for the whole job, and settles its weights."""
    mode_id = "control" if request.guess_mode else unit.control_mode
    size = request.width, request.height
    image = control_tensor(unit, *size, request.inpaint_mask)
    if isinstance(network, T2IAdapter):
        return prepare_adapter(unit, network, image, mode_id, size, device, kept)
    union = isinstance(network, UnionInput)
    controlnet = network.network if union else network
    sizes = reductions(controlnet)
    # A network that pools its residuals (shuffle) has no detail to let go of, and was made to steer the prompt's side.
    pools = bool(controlnet.config["global_pool_conditions"])
    scale = 1.0 if union else unit.conditioning_scale  # a union weighs its maps itself
    settings = steering_of(unit, "unbalanced" if pools else mode_id, sizes, scale, "ControlNet")
    hint = kept.get(controlnet, image_key(image), lambda: encode_hint(controlnet, image.to(device)))
    knowing = network.knowing(hint, unit.conditioning_scale) if union else with_encoded_hint(network, hint)
    return Control(settings, knowing, block_masks(settings, size, sizes, device, controlnet.dtype))


def join_unions(controls: Sequence[Control]) -> list[Control]:
    """Units of one union network that differ in nothing but their maps become one: it was trained to read them together."""
    joined: list[Control] = []
    for control in controls:
        for place, other in enumerate(joined):
            if both := _joined(other, control):
                joined[place] = both
                break
        else:
            joined.append(control)
    return joined


def _joined(one: Control, other: Control) -> Control | None:
    first, second = one.controlnet, other.controlnet
    if not (isinstance(first, UnionPass) and isinstance(second, UnionPass)):
        return None
    fits = first.may_join(second) and one.steering == other.steering
    return replace(one, controlnet=first.joined(second)) if fits else None


class _KnownHint(nn.Module):
    """Takes the hint encoder's place and gives back what that once made."""

    def __init__(self, hint: Tensor) -> None:
        super().__init__()
        self.hint = hint

    def forward(self, _: Tensor) -> Tensor:
        return self.hint


def encode_hint(controlnet: Any, image: Tensor) -> Tensor:
    """(1, C, h, w) of a (1, 3, H, W) map, C the network's first channels."""
    if controlnet.config["controlnet_conditioning_channel_order"] == "bgr":
        image = image.flip(1)
    return controlnet.controlnet_cond_embedding(image.to(controlnet.dtype))


def with_encoded_hint(controlnet: ControlNetModel, hint: Tensor) -> ControlNetModel:
    """The same network on the same weights, which need not encode its map at every step.

    diffusers' forward always runs the hint encoder. A shallow copy with another module in its place leaves the loaded
    network untouched, so that several units, or several jobs, may use it at once.
    """
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
    one_side = control.steering.unconditional is None
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
    one, other = control.steering.conditional, control.steering.unconditional
    if not guided or other is None or one == other:
        return [weight * strength for weight in one]
    pairs = torch.tensor(list(zip(other, one, strict=True)), dtype=like.dtype, device=like.device) * strength
    return list(pairs[:, :, None, None, None])
