"""Control of bases with a U-Net: the embedded model, SD 1.5, SD 2.1 and SDXL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from cnet_app.diffusion.backbones.base import Text
from cnet_app.request.training import TrainingPlan
from cnet_app.training.objective import DiffusionObjective, Objective
from cnet_app.training.trainable.files import save_light, save_whole
from cnet_app.training.trainable.networks import check_start, create_network
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import FamilyFacts
from models.loader import Base, load_controlnet

PLAIN_ATTENTION = 1024
"""Latent pixels up to which plain attention is taken on a CPU: its backward pass is twice as fast as the fused one's."""


class Controlled(nn.Module):
    """A U-Net with its control; the text encoders stay outside, since words are encoded once."""

    def __init__(self, unet: Any, control: Any, only_mid: bool) -> None:
        super().__init__()
        self.unet, self.control, self._only_mid = unet, control, only_mid

    def forward(
        self, noisy: Tensor, timesteps: Tensor, hints: Tensor, states: Tensor, added: dict[str, Tensor] | None
    ) -> Tensor:
        """Return the prediction, (B, C, h, w)."""
        down, middle = self.control(
            noisy, timesteps, encoder_hidden_states=states, controlnet_cond=hints, added_cond_kwargs=added, return_dict=False
        )  # fmt: skip
        if self._only_mid:
            down = [torch.zeros_like(one) for one in down]  # the U-Net takes all residuals or none
        dtype = self.unet.dtype
        return self.unet(
            noisy.to(dtype),
            timesteps,
            encoder_hidden_states=states,
            added_cond_kwargs=added,
            down_block_additional_residuals=[one.to(dtype) for one in down],
            mid_block_additional_residual=middle.to(dtype),
            return_dict=False,
        )[0]


class UNetTrainable:
    """A Trainable."""

    def __init__(self, base: Base, plan: TrainingPlan) -> None:
        """Raises InputError where the plan does not fit the base, and what `load_controlnet` does for its `start`."""
        if base.inpaints:
            raise InputError(f"base is {base.id!r}, which is for inpainting; choose the plain model of its family.")
        if base.vae is None:
            raise InputError(f"base is {base.id!r}, which has no autoencoder; give one as vae.")
        self._base, self._plan, self._facts = base, plan, FAMILIES[base.family]
        self._control = self._create()
        self._module = Controlled(base.network, self._control, plan.only_mid_control)
        self._prepare()

    def _create(self) -> Any:
        unet, start = self._base.network, self._plan.start
        if start is None:
            return create_network(unet, self._plan)
        network: Any = load_controlnet(start, self._base.family, base_network=unet)
        check_start(network, unet, start)
        return network.requires_grad_(True)

    def _prepare(self) -> None:
        self._base.network.requires_grad_(False).eval()
        self._control.train()
        nn.Module.to(self._control, self._base.device)
        if self._plan.only_mid_control:
            self._control.controlnet_down_blocks.requires_grad_(False)
            with torch.no_grad():  # what is exported has these joints, so they must add nothing there either
                for value in self._control.controlnet_down_blocks.parameters():
                    value.zero_()
        if self._plan.gradient_checkpointing:
            for network in (self._base.network, self._control):
                network.enable_gradient_checkpointing()
        small = (self._plan.size // self._base.vae_scale_factor) ** 2 <= PLAIN_ATTENTION
        if self._base.device.type == "cpu" and small:
            for network in (self._base.network, self._control):
                if hasattr(network, "set_attn_processor"):
                    network.set_attn_processor(AttnProcessor())

    @property
    def base(self) -> Base:
        return self._base

    @property
    def facts(self) -> FamilyFacts:
        return self._facts

    @property
    def objective(self) -> Objective:
        return DiffusionObjective(self._base.scheduler, self._plan.min_snr_gamma)

    @property
    def module(self) -> nn.Module:
        return self._module

    def groups(self) -> list[dict[str, Any]]:
        control = [value for value in self._control.parameters() if value.requires_grad]
        found: list[dict[str, Any]] = [{"name": "control", "params": control, "lr": self._plan.learning_rate}]
        if self._plan.unlock_after:
            found.append({"name": "decoder", "params": self._decoder(), "lr": self._plan.unlocked_learning_rate})
        return found

    def unlock(self) -> None:
        for value in self._decoder():
            value.requires_grad_(True)

    def _decoder(self) -> list[nn.Parameter]:
        unet: Any = self._base.network
        return [value for part in (unet.up_blocks, unet.conv_norm_out, unet.conv_out) for value in part.parameters()]

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
        vae = self._base.vae
        encoded = vae.encode(images.to(self._base.device, vae.dtype))
        found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.parameters
        return found.float().cpu()

    def sample(self, moments: Tensor, noise: Tensor) -> Tensor:
        channels = self._facts.latent_channels
        latents = moments
        if moments.shape[1] > channels:
            mean, log_variance = moments.chunk(2, dim=1)
            latents = mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise
        return latents * self._base.vae.config["scaling_factor"]

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """Longer prompts than one encoder reads are cut, as in the training of the bases."""
        states: list[Tensor] = []
        pooled = torch.empty(0)
        for tokenizer, encoder in zip(self._base.tokenizers, self._base.text_encoders, strict=True):
            length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
            ids = tokenizer(
                list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            ).input_ids
            output = encoder(ids.to(encoder.device), output_hidden_states=True)
            states.append(output.hidden_states[-2] if self._facts.penultimate_words else output[0])
            pooled = output[0]
        found = {"states": torch.cat(states, dim=-1)}
        if self._facts.size_conditions:
            found["pooled"] = pooled
        return {name: tensor.float().cpu() for name, tensor in found.items()}

    def text(self, encoded: Mapping[str, Tensor], width: int, height: int) -> Text:
        """Sizes are as of a picture that was neither enlarged nor cut, as at inference."""
        device, dtype = self._base.device, self._base.dtype
        states = encoded["states"].to(device, dtype)
        if not self._facts.size_conditions:
            return Text(states)
        time_ids = torch.tensor([[height, width, 0, 0, height, width]] * len(states), device=device, dtype=dtype)
        return Text(states, {"text_embeds": encoded["pooled"].to(device, dtype), "time_ids": time_ids})

    def for_pictures(self) -> nn.Module:
        return self._control

    def save(self, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
        if self._plan.network == "light":
            return save_light(self._control, folder, name, metadata)
        return save_whole(self._control, folder, name, metadata)
