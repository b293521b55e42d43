"""Interface between the training loop and what it trains: a network of one family, joined to its base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from cnet_app.diffusion.backbones.base import Text
from cnet_app.training.objective import Objective
from models.family_facts import FamilyFacts
from models.loader import Base


@dataclass(frozen=True)
class Batch:
    """Pairs of one size."""

    latents: Tensor
    """(B, C, h, w), scaled as the base reads them."""
    hints: Tensor
    """(B, 3, H, W) in [0, 1], or latents of the maps, (B, C, h, w)."""
    text: Text
    """B rows."""


class Trainable(Protocol):
    """A loaded base and the network that is trained on it."""

    @property
    def base(self) -> Base: ...

    @property
    def facts(self) -> FamilyFacts: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def module(self) -> nn.Module:
        """All that is trained or runs: `forward(noisy, timesteps, hints, states, added)` returns the prediction."""
        ...

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups, each with its `lr` and a `name`."""
        ...

    def trained_state(self) -> dict[str, Tensor]:
        """Return the trained tensors by name, without copies; they are what a checkpoint holds."""
        ...

    def load_trained(self, state: Mapping[str, Tensor]) -> None:
        """Put tensors of `trained_state` back; InputError where names or shapes differ."""
        ...

    def unlock(self) -> None:
        """Train the base's decoder too, from now on; called only where the plan may unlock it."""
        ...

    def encode_moments(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to what `sample` needs, float32: mean and log variance, or the latents themselves."""
        ...

    def sample(self, moments: Tensor, noise: Tensor) -> Tensor:
        """Return scaled latents, (B, C, h, w) float32, with (B, C, h, w) noise where the autoencoder has a variance."""
        ...

    @property
    def hint_key(self) -> str:
        """What kept maps depend on besides the map and the autoencoder; "" where that is nothing."""
        ...

    def encode_hint(self, control_image: Tensor) -> Tensor:
        """(1 or 3, H, W) uint8 to what is kept of a map: itself, or (C, h, w) float32 latents where the network reads those."""
        ...

    @property
    def readers(self) -> Sequence[tuple[Any, int]]:
        """Tokenizers, each with the tokens of a prompt that its text encoder reads."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the tensors that `text` joins, B rows each, in float32."""
        ...

    def text(self, encoded: Mapping[str, Tensor], width: int, height: int) -> Text:
        """Return the text of a batch of pictures of one size."""
        ...

    def for_pictures(self) -> nn.Module:
        """Return the network as the pipeline takes it, on the same weights."""
        ...

    def save(self, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
        """Write the network's files, whole, in the layouts that others read; return their paths. Raises SaveError."""
        ...
