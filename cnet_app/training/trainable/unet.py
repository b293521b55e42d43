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
from cnet_app.training.trainable.common import CommonTrainable
from cnet_app.training.trainable.files import save_light, save_whole
from cnet_app.training.trainable.networks import check_start, create_network
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


class UNetTrainable(CommonTrainable):
    """A Trainable."""

    def __init__(self, base: Base, plan: TrainingPlan) -> None:
        super().__init__(base, plan)
        if plan.only_mid_control:
            self._control.controlnet_down_blocks.requires_grad_(False)
            with torch.no_grad():  # what is exported has these joints, so they must add nothing there either
                for value in self._control.controlnet_down_blocks.parameters():
                    value.zero_()
        small = (plan.size // base.vae_scale_factor) ** 2 <= PLAIN_ATTENTION
        if base.device.type == "cpu" and small:
            for network in (base.network, self._control):
                if hasattr(network, "set_attn_processor"):
                    network.set_attn_processor(AttnProcessor())

    def create_control(self) -> Any:
        unet, start = self._base.network, self._plan.start
        if start is None:
            return create_network(unet, self._plan)
        network: Any = load_controlnet(start, self._base.family, base_network=unet)
        check_start(network, unet, start)
        return network.requires_grad_(True)

    def create_module(self) -> nn.Module:
        return Controlled(self._base.network, self._control, self._plan.only_mid_control)

    @property
    def objective(self) -> Objective:
        return DiffusionObjective(self._base.scheduler, self._plan.min_snr_gamma)

    def groups(self) -> list[dict[str, Any]]:
        found = super().groups()
        if self._plan.unlock_after:
            found.append({"name": "decoder", "params": self._decoder(), "lr": self._plan.unlocked_learning_rate})
        return found

    def unlock(self) -> None:
        for value in self._decoder():
            value.requires_grad_(True)

    def _decoder(self) -> list[nn.Parameter]:
        unet: Any = self._base.network
        return [value for part in (unet.up_blocks, unet.conv_norm_out, unet.conv_out) for value in part.parameters()]

    @property
    def readers(self) -> Sequence[tuple[Any, int]]:
        return [
            (tokenizer, min(tokenizer.model_max_length, encoder.config.max_position_embeddings))
            for tokenizer, encoder in zip(self._base.tokenizers, self._base.text_encoders, strict=True)
        ]

    @property
    def hint_key(self) -> str:
        return ""

    def encode_hint(self, control_image: Tensor) -> Tensor:
        return control_image

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """Longer prompts than one encoder reads are cut, as in the training of the bases."""
        states: list[Tensor] = []
        pooled = torch.empty(0)
        for (tokenizer, length), encoder in zip(self.readers, self._base.text_encoders, strict=True):
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

    def save(self, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
        if self._plan.network == "light":
            return save_light(self._control, folder, name, metadata)
        return save_whole(self._control, folder, name, metadata)
