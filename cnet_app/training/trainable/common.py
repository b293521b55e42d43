"""Parts of a Trainable that do not depend on the kind of its network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.request.training import TrainingPlan
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import FamilyFacts
from models.loader import Base


class CommonTrainable(ABC):
    """A base, locked, and the network that is trained on it."""

    def __init__(self, base: Base, plan: TrainingPlan) -> None:
        """Raises InputError where the plan does not fit the base, and what `load_controlnet` does for its `start`."""
        if base.inpaints:
            raise InputError(f"base is {base.id!r}, which is for inpainting; choose the plain model of its family.")
        if base.vae is None:
            raise InputError(f"base is {base.id!r}, which has no autoencoder; give one as vae.")
        self._base, self._plan, self._facts = base, plan, FAMILIES[base.family]
        self._control = self.create_control()
        self._module = self.create_module()
        self._base.network.requires_grad_(False).eval()
        self._control.train()
        nn.Module.to(self._control, self._base.device)
        if plan.gradient_checkpointing:
            for network in (self._base.network, self._control):
                network.enable_gradient_checkpointing()

    @abstractmethod
    def create_control(self) -> Any:
        """Return the network that the plan begins with, in float32."""
        ...

    @abstractmethod
    def create_module(self) -> nn.Module:
        """Return base and control as one network."""
        ...

    @property
    def base(self) -> Base:
        return self._base

    @property
    def facts(self) -> FamilyFacts:
        return self._facts

    @property
    def module(self) -> nn.Module:
        return self._module

    def groups(self) -> list[dict[str, Any]]:
        control = [value for value in self._control.parameters() if value.requires_grad]
        return [{"name": "control", "params": control, "lr": self._plan.learning_rate}]

    def trained_state(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self._module.named_parameters() if value.requires_grad}

    def load_trained(self, state: Mapping[str, Tensor]) -> None:
        own = self.trained_state()
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
            raise InputError("The checkpoint holds other weights than this plan trains; choose the plan that wrote it.")
        for name, value in own.items():
            value.copy_(state[name])

    @torch.no_grad()
    def encode_moments(self, images: Tensor) -> Tensor:
        return latents_of.encode_moments(self._base, images).float().cpu()

    def sample(self, moments: Tensor, noise: Tensor) -> Tensor:
        latents = moments
        if moments.shape[1] > self._facts.latent_channels:
            mean, log_variance = moments.chunk(2, dim=1)
            latents = mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise
        return latents_of.normalised(self._base, latents)

    def for_pictures(self) -> nn.Module:
        return self._control
