"""Interface between the denoising loop and a base model of any family.

A backbone is one loaded base. It hides how prompts are encoded, how latents are packed, how hints are prepared, where
residuals are placed, how guidance runs, and what a prediction means. Latents outside of it are always (1, C, h, w).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from annotators.base import Image
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import Steering
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.family_facts import FamilyFacts
from models.ip_adapter import IpAdapter
from models.layouts.union import UnionInput

if TYPE_CHECKING:
    from models.loader import Base

Network = nn.Module | UnionInput
"""A loaded ControlNet or adapter; see models.loader.load_controlnet. NoNetwork where the base itself reads a unit's map."""

Residuals = Mapping[int, Tensor]
"""By the number of the place in the base, from 0 for the shallowest: (B, C, h, w), or (B, tokens, C) with image tokens first."""

Weigh = Callable[[int, Tensor], Tensor]
"""Number of a place and its residual at strength 1 to the residual with factor, strength and mask of the unit applied."""

Features = list[Tensor]
"""One (B, C, h, w) tensor a level, from the shallowest to the deepest: what adapters add."""


@dataclass(frozen=True)
class Text:
    """Encoded prompts of one step: a row for each part of the prompt, after one of the negative prompt where guidance is on."""

    states: Tensor
    """(B, tokens, channels)."""
    added: dict[str, Tensor] | None = None
    """Further conditions of the family, B rows each: `text_embeds` and `time_ids`, for example."""
    weights: tuple[float, ...] = (1.0,)
    """Of each part of the prompt, in guidance; parts are joined by AND, and most prompts have one."""

    @property
    def guided(self) -> bool:
        return len(self.states) > len(self.weights)

    def conditional(self) -> Text:
        """Return the prompt alone, without the negative one."""
        rows = len(self.weights)
        added = {name: tensor[-rows:] for name, tensor in self.added.items()} if self.added else None
        return Text(self.states[-rows:], added, self.weights)


class HintedNetwork(Protocol):
    """A ControlNet that already knows its hint."""

    @property
    def linear(self) -> bool:
        """Whether residuals are proportional to the strength, so that kept ones can be rescaled."""
        ...

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        """Return the weighted residuals for a packed batch; `weigh` is applied once to each place."""
        ...

    def joined(self, other: HintedNetwork) -> HintedNetwork | None:
        """Return one network that reads both hints in one pass; None where the two are no such network."""
        ...


@dataclass(frozen=True)
class Control:
    """A unit with a ControlNet, made ready for a job: it runs at every step of its range."""

    steering: Steering
    """Without factors for guidance's unconditional side, the network does not run for that side."""
    network: HintedNetwork
    places: tuple[int, ...]
    """Number in the base of each place that the network has; factors and masks are in this order."""
    masks: tuple[Tensor, ...]
    """In [-1, 1] a place, (1, 1, h, w) or (1, image tokens, 1); empty leaves the whole picture to the unit."""
    note: str = ""
    """Settings of the unit that have no effect, as a sentence."""
    texts: tuple[Text, ...] = ()
    """Text of its own at each step, as many rows as the base's; empty reads the base's."""


@dataclass(frozen=True)
class StaticControl:
    """A unit with an adapter, made ready for a job: its features are the same at every step."""

    steering: Steering
    features: tuple[Tensor, ...]
    """(1, C, h, w) a level at strength 1; zero where the mask is black."""
    note: str = ""
    """See Control."""


@dataclass(frozen=True)
class ReferenceControl:
    """A unit whose map the base itself reads, made ready for a job."""

    steering: Steering
    """Of one place."""
    latents: Tensor
    """(1, C, h, w) of the map."""
    note: str = ""
    """See Control."""


PreparedControl = Control | StaticControl | ReferenceControl
"""A unit made ready for a job, by what stands behind it: a ControlNet, an adapter, or the base itself."""


@dataclass(frozen=True)
class ActiveReference:
    """A map that the base reads at a step."""

    number: int
    """Of its unit among those whose maps the base reads, from 0; the same at every step."""
    latents: Tensor
    """(1, C, h, w)."""
    strength: float
    """Above 0; 1 is as trained."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Inputs of the base model's network besides latents, time and text."""

    residuals: Residuals | None = None
    features: Features | None = None
    references: Sequence[ActiveReference] = ()
    known: Tensor | None = None
    """(1, 1 + C, h, w) for an inpainting base: the mask, and the latents of what is known."""
    image_prompt: Tensor | None = None
    """(2, 1, …): the encoded image prompt, the unconditional side first."""


class Backbone(Protocol):
    """One loaded base model."""

    @property
    def facts(self) -> FamilyFacts: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def denoiser(self) -> nn.Module:
        """The network that runs at every step."""
        ...

    @property
    def inpaints(self) -> bool:
        """Whether `Extras.known` is read."""
        ...

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> PreparedControl:
        """Encode the unit's map and set the factors of its places, once for the whole job."""
        ...

    def encode_texts(
        self,
        request: GenerationRequest,
        controls: Sequence[PreparedControl],
        cache: EncodingCache,
        steps: int,
        prompt: str | None = None,
    ) -> tuple[Text, ...]:
        """Encode the prompts of every step: both where guidance changes anything, else the prompt alone.

        `prompt` stands in the place of the request's, for a unit that has its own.
        """
        ...

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        """Return a sentence for each prompt that is read in several parts, not as it may seem, or not at all."""
        ...

    def encode_image_prompt(self, adapter: IpAdapter, image: Image) -> Tensor:
        """Return `Extras.image_prompt`."""
        ...

    def use_image_prompt(self, adapter: IpAdapter | None, scale: float) -> AbstractContextManager[None]:
        """Let the network read an image prompt at this strength inside the block."""
        ...

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        """Return (1, C, h, w) normal noise in float32 for a picture of this size, padded."""
        ...

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        """(1, 3, H, W) in [-1, 1] to (1, C, h, w) latents, float32."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """(1, C, h, w) latents to (1, 3, H, W) in [-1, 1], float32."""
        ...

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) latents to a batch of the network's input, in its number format: a row for each row of `text`."""
        ...

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        """Return the prediction with guidance applied, (1, C, h, w) in float32, of the scheduler's prediction type."""
        ...

    def predict_original(self, scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        """Return the noise-free latents that the prediction of one step points at; `model_input` is as scaled for it."""
        ...


CreateBackbone = Callable[["Base"], Backbone]
"""Type of `create`, by which the file of a backbone is used."""
