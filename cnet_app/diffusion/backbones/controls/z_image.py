"""ControlNets of Z-Image: places, hints and residuals of the authors' versions 1, 2.0, 2.1 and lite.

Version 1 adds residuals to some of the base's layers. The others also have a hint for each of the base's refiner layers,
which prepare the picture's tokens. In the form of the authors these hints change the base's own tokens; in that of
diffusers only a private copy, which the control layers read. Either way residuals are not proportional to the strength.
A unit reads tokens with its own hints alone; the base gets the sum of all units'.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cnet_app.diffusion.backbones.base import Control, HintedNetwork, Network, Residuals, Text, Weigh
from cnet_app.diffusion.backbones.z_image_tokens import LAYOUT, PATCH, Tokens, embed, join, joint_length, network_time
from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.known import with_known
from cnet_app.diffusion.steering import check_form, create_steering, place_masks
from cnet_app.registry.modes import Mode, Place
from cnet_app.request.units import ControlForm, ControlUnit
from models.errors import InputError
from models.family_facts import FamilyFacts


@dataclass(frozen=True, eq=False)
class HintedZImage:
    """A HintedNetwork. It shares every weight with the loaded network, and reads the base's."""

    network: Any
    transformer: Any
    hint: Tensor
    """(1, tokens, C): the embedded map, filled up."""
    form: ControlForm

    @property
    def linear(self) -> bool:
        return not has_refiner(self.network)

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        base, network = self.transformer, self.network
        time = base.t_embedder(network_time(timestep, len(model_input)) * base.t_scale).type_as(model_input)
        picture, words = embed(base, model_input, text)
        control, hints = self._refined(picture, time, weigh)
        states = picture.states
        for number, layer in enumerate(base.noise_refiner):
            states = layer(states, picture.mask, picture.places, time)
            states = states + hints[number] if number in hints else states
        for layer in base.context_refiner:
            words = replace(words, states=layer(words.states, words.mask, words.places))
        joint = join(base, replace(picture, states=states), words)
        carried = join(base, replace(picture, states=control), words).states
        missing = joint_length(picture, text) - joint.states.shape[1]
        found = dict(hints) if self.form == "authors" else {}
        for layer, place in zip(network.control_layers, network.config["control_layers_places"], strict=True):
            residual, carried = _run(layer, carried, joint, time)
            number = len(base.noise_refiner) + place
            found[number] = weigh(number, F.pad(residual, (0, 0, 0, missing)))
        return found

    def _refined(self, picture: Tokens, time: Tensor, weigh: Weigh) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the control tokens that the main control layers read, and the weighted hints of the base's refiner."""
        network = self.network
        control = self.hint.expand(len(picture.states), -1, -1)
        hints: dict[int, Tensor] = {}
        if not has_refiner(network):
            for layer in network.control_noise_refiner:
                control = layer(control, picture.mask, picture.places, time)
            return control, hints
        places = network.config["control_refiner_layers_places"]
        for order, layer in enumerate(_refiner_layers(network)):
            hint, control = _run(layer, control, picture, time)
            if order < len(places):
                hints[places[order]] = weigh(places[order], hint)
        return control, hints

    def joined(self, other: HintedNetwork) -> None:
        return None


def has_refiner(network: Any) -> bool:
    """Return whether a ControlNet has hints for the base's refiner: version 1 alone has none."""
    return network.config["add_control_noise_refiner"] is not None


def _refiner_layers(network: Any) -> Any:
    """Version 2.0 runs its main layers for the refiner too."""
    shared = network.config["add_control_noise_refiner"] == "control_layers"
    return network.control_layers if shared else network.control_noise_refiner


def _run(layer: Any, control: Tensor, picture: Tokens, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return the residual of a control layer, and its tokens for the next.

    Layers hand on all residuals so far, stacked; here each gets the tokens alone.
    """
    first = layer.block_id == 0
    residual, carried = layer(control if first else control[None], picture.states, picture.mask, picture.places, time)
    return residual, carried


def prepare_controlnet(
    unit: ControlUnit,
    network: Network,
    transformer: Any,
    latents: Tensor,
    known: Tensor | None,
    row: Mode,
    size: tuple[int, int],
    facts: FamilyFacts,
    cache: EncodingCache,
) -> Control:
    """Embed a map's (1, C, h, w) latents, once for the whole job, and set the factors of the places.

    `known` is (1, 1 + C, h, w): a mask that is 1 where the picture stays, and the latents of that part.
    """
    controlnet: Any = network
    check_form(unit, has_two=has_refiner(controlnet))
    numbers, places = control_places(controlnet, transformer)
    steering = create_steering(unit, row, places, unit.conditioning_scale, "ControlNet")
    read = with_known(latents, known, controlnet.config["control_in_dim"])
    key = image_key(read.float().cpu()), weakref.ref(transformer)  # a token of the base's fills the hint up
    hint = cache.get(controlnet, key, lambda: embed_hint(controlnet, read, transformer.x_pad_token))
    masks = place_masks(steering, size, places[:1], facts, latents.device, controlnet.dtype)
    tokens = tuple(mask.flatten(2).transpose(1, 2) for mask in masks) * len(places)
    return Control(steering, HintedZImage(controlnet, transformer, hint, unit.control_form), numbers, tokens)


def control_places(network: Any, transformer: Any) -> tuple[tuple[int, ...], tuple[Place, ...]]:
    """Return the numbers in the base of a ControlNet's places, and the places: refiner layers, then main layers."""
    refiners, last = len(transformer.noise_refiner), len(transformer.layers) - 1
    own: Sequence[int] = network.config["control_layers_places"]
    hinted: Sequence[int] = network.config["control_refiner_layers_places"] or () if has_refiner(network) else ()
    if own[-1] > last or network.config["dim"] != transformer.config["dim"]:
        raise InputError(
            f"The ControlNet was made for a base of {network.config['dim']} channels and more than {own[-1]} layers, but "
            f"this one has {transformer.config['dim']} channels and {last + 1} layers; choose a ControlNet made for it."
        )
    numbers = (*hinted, *(refiners + layer for layer in own))
    depths = (*(0.0 for _ in hinted), *(layer / max(1, last) for layer in own))
    return numbers, tuple(Place(depth, PATCH) for depth in depths)


def embed_hint(network: Any, latents: Tensor, filling: Tensor) -> Tensor:
    """(1, C, h, w) latents to (1, tokens, C) as the network reads them, filled up with a token."""
    latents = latents.to(network.dtype)
    count = latents.shape[2] * latents.shape[3] // PATCH**2
    embedded = network.control_all_x_embedder[LAYOUT](network.patchify([latents[0][:, None]], PATCH, 1)[0])
    return torch.cat([embedded[:count], filling.to(embedded).expand(len(embedded) - count, -1)])[None]


@contextmanager
def adding_hints(transformer: Any, hints: Mapping[int, Tensor]) -> Generator[None]:
    """Add hints to what the base's refiner layers of these numbers return while the block runs."""
    hooks: list[Any] = []
    try:
        for number, hint in hints.items():
            hooks.append(
                transformer.noise_refiner[number].register_forward_hook(
                    lambda module, inputs, output, hint=hint: output + hint
                )
            )
        yield
    finally:
        for hook in hooks:
            hook.remove()
