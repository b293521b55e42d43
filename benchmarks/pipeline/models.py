"""Benchmark models: Stable Diffusion 1.5 at full size, or a miniature of it, with random weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.families import FAMILIES
from models.loader import CLIP_TOKENS, Base
from models.machine.speed import tune
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet

AUTOENCODER: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}


@dataclass(frozen=True)
class Models:
    """Built once; both sides of a comparison run these very modules."""

    base: Base
    controlnet: ControlNetModel
    size: int
    """Sides of the pictures, in pixels."""


def miniature() -> Models:
    """In a moment: for tests, and for trying out a new measurement."""
    base = tiny_base("sd15")
    return Models(base, tiny_controlnet(base), size=64)


def full_size(size: int = 256) -> Models:
    """Stable Diffusion 1.5 with a ControlNet: 1.4 billion parameters in float32, 5.7 GB, in about a minute."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet: Any = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae: Any = AutoencoderKL(**AUTOENCODER)
        tokenizer = tiny_base("sd15").tokenizers[0]
        tokenizer.model_max_length = CLIP_TOKENS
        text_encoder: Any = _text_encoder(tokenizer)
        controlnet = _controlnet(unet)
    base = replace(
        tiny_base("sd15"),
        id="full_sd15",
        network=_locked(unet),
        vae=_locked(vae),
        text_encoders=(_locked(text_encoder),),
        tokenizers=(tokenizer,),
        defaults=FAMILIES["sd15"].defaults,
    )
    return Models(base, _locked(controlnet), size)


def in_format(models: Models, dtype: torch.dtype) -> Models:
    """Copies in another number format, laid out as the app does it at speed "near"."""

    def copied(network: Any) -> Any:
        return nn.Module.to(copy.deepcopy(network), dtype)

    base = replace(
        models.base,
        network=tune(copied(models.base.network), "near"),
        vae=copied(models.base.vae),
        text_encoders=tuple(copied(encoder) for encoder in models.base.text_encoders),
        dtype=dtype,
    )
    return replace(models, base=base, controlnet=tune(copied(models.controlnet), "near"))


def control_effect(models: Models) -> float:
    """By how much two maps' predictions are apart, over their own size. Were it 0, equal pictures would prove nothing."""
    base = models.base
    sample = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    states = torch.zeros(1, 4, base.network.config["cross_attention_dim"])
    side = 16 * base.vae_scale_factor
    predictions: list[torch.Tensor] = []
    with torch.inference_mode():
        for level in (0.0, 1.0):
            hint = torch.full((1, 3, side, side), level)
            down, middle = models.controlnet(sample, 500, states, hint, return_dict=False)
            predictions += base.network(
                sample,
                500,
                states,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
                return_dict=False,
            )
    return float((predictions[0] - predictions[1]).norm() / predictions[0].norm())


def _text_encoder(tokenizer: Any) -> CLIPTextModel:
    """CLIP ViT-L's, but for its vocabulary: that is the miniature's."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=768,
            intermediate_size=3072,
            projection_dim=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=CLIP_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """Its zero convolutions are filled: fresh ones add nothing, and then anything would equal anything."""
    controlnet = ControlNetModel.from_unet(unet)
    for part in (controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        for convolution in part.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.normal_(convolution.weight, std=0.02)
    for convolution in controlnet.controlnet_cond_embedding.modules():
        if isinstance(convolution, nn.Conv2d):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return controlnet


def _locked(network: Any) -> Any:
    return network.eval().requires_grad_(False)
