"""What a network learns to predict of a noisy picture: the noise, the velocity, or the flow."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_snr
from torch import Tensor
from torch.nn import functional as F


class Objective(Protocol):
    """The noising of latents and the loss of a prediction."""

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count,) timesteps, drawn on the CPU."""
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return noisy latents, (B, C, h, w) in float32."""
        ...

    def losses(self, prediction: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the weighted squared error of each picture, (B,) in float32."""
        ...


class DiffusionObjective:
    """Equation 5 of the paper, for bases that predict the noise or the velocity.

    With `min_snr_gamma` the timesteps are weighed as in Hang et al. 2023 (arXiv 2303.09556); 0 weighs all alike.
    """

    def __init__(self, scheduler: Any, min_snr_gamma: float = 0.0) -> None:
        """`scheduler` is the base's own; of its settings those of the training count."""
        create: Any = DDPMScheduler
        self._scheduler: Any = create.from_config(scheduler.config)
        self._gamma = min_snr_gamma

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(0, self._scheduler.config.num_train_timesteps, (count,), generator=generator)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self._scheduler.add_noise(latents.float(), noise.float(), timesteps)

    def losses(self, prediction: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        target = noise
        if self._is_velocity:
            target = self._scheduler.get_velocity(latents.float(), noise.float(), timesteps)
        each = F.mse_loss(prediction.float(), target.float(), reduction="none").flatten(1).mean(1)
        return each * self._weights(timesteps) if self._gamma else each

    @property
    def _is_velocity(self) -> bool:
        return self._scheduler.config.prediction_type == "v_prediction"

    def _weights(self, timesteps: Tensor) -> Tensor:
        """min(SNR, gamma) over the weight that the target itself gives; a step without signal keeps a velocity's 1 / 1."""
        snr = compute_snr(self._scheduler, timesteps).float()
        least = snr.clamp(max=self._gamma)
        return (least + 1) / (snr + 1) if self._is_velocity else least / snr.clamp(min=1e-8)


class FlowObjective:
    """Rectified flow: latents and noise are mixed linearly, and the network predicts noise minus latents.

    Levels are those of the base's scheduler, with its shift, drawn logit-normally as SD 3 (arXiv 2403.03206) does. The error is
    that of the picture which a prediction points at, so that the flow's own is weighed by the squared level: what diffusers'
    trainer calls `precondition_outputs`.
    """

    def __init__(self, scheduler: Any) -> None:
        """`scheduler` is the base's own; of its settings those of the training count."""
        create: Any = FlowMatchEulerDiscreteScheduler
        self._steps: int = scheduler.config.num_train_timesteps
        self._timesteps: Tensor = create.from_config(scheduler.config).timesteps.clone()

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        drawn = compute_density_for_timestep_sampling("logit_normal", count, 0.0, 1.0, generator=generator)
        return self._timesteps[(drawn * self._steps).long().clamp(max=self._steps - 1)]

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        level = self._levels(timesteps, latents)
        return (1 - level) * latents.float() + level * noise.float()

    def losses(self, prediction: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        target = noise.float() - latents.float()
        each = F.mse_loss(prediction.float(), target, reduction="none").flatten(1).mean(1)
        return each * self._levels(timesteps, each) ** 2

    def _levels(self, timesteps: Tensor, like: Tensor) -> Tensor:
        """Return (B, 1, …), with as many dimensions as `like`: 0 in a picture, 1 in noise."""
        return (timesteps / self._steps).reshape(-1, *[1] * (like.ndim - 1)).to(like.device)
