"""What a network learns to predict of a noisy picture: the noise, the velocity, or the flow."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
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

    Levels are logit-normal, as SD 3 (arXiv 2403.03206) draws them, shifted by `shift`; timesteps are levels × 1000.
    """

    STEPS = 1000

    def __init__(self, shift: float = 1.0) -> None:
        self._shift = shift

    def draw_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        level = torch.randn(count, generator=generator).sigmoid()
        return self.STEPS * self._shift * level / (1 + (self._shift - 1) * level)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        level = (timesteps / self.STEPS).reshape(-1, *[1] * (latents.ndim - 1)).to(latents.device)
        return (1 - level) * latents.float() + level * noise.float()

    def losses(self, prediction: Tensor, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        target = noise.float() - latents.float()
        return F.mse_loss(prediction.float(), target, reduction="none").flatten(1).mean(1)
