"""Miniatures of Qwen-Image and its ControlNets: see models.tiny."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageControlNetModel,
    QwenImageTransformer2DModel,
)
from transformers.models.qwen2_5_vl import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from models.autoencoders import vae_scale_factor
from models.family_facts import Defaults, Family
from models.loader import Base
from models.qwen_image_fun import QwenImageFunControl
from models.tiny_words import TEXT_WIDTH, byte_tokenizer

_TRANSFORMER: dict[str, Any] = {
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": TEXT_WIDTH,
    "axes_dims_rope": (8, 4, 4),
}
MASKED_CHANNELS = 4
"""Numbers of the mask in a token, which a ControlNet for inpainting reads besides the picture's latents."""


def tiny_qwen_image(family: Family, seed: int) -> Base:
    """A base of four blocks. Its scheduler shifts noise levels by the picture's size, as the published one does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = QwenImageTransformer2DModel(**_TRANSFORMER, num_layers=4)
        vae = AutoencoderKLQwenImage(base_dim=4, dim_mult=[1, 1, 2, 2], num_res_blocks=1)
        tokenizer = byte_tokenizer()
        encoder = _text_encoder(len(tokenizer))
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=transformer.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text_encoders=(encoder.eval().requires_grad_(False),),
        tokenizers=(tokenizer,),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
        ),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=Defaults(size=64, guidance_scale=4.0, num_inference_steps=4),
    )


def tiny_qwen_image_controlnet(seed: int = 0, masked: bool = False, num_layers: int = 2) -> QwenImageControlNetModel:
    """A ControlNet that visibly changes what the tiny base makes; `masked` is one for inpainting."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = QwenImageControlNetModel(
            **_TRANSFORMER, num_layers=num_layers, extra_condition_channels=MASKED_CHANNELS if masked else 0
        )
        for part in (network.controlnet_blocks, network.controlnet_x_embedder):
            for weight in part.parameters():
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


def tiny_qwen_image_union(seed: int = 0) -> QwenImageFunControl:
    """A union ControlNet that visibly changes what the tiny base makes, at two of its four blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = QwenImageFunControl(
            (0, 2), 132, _TRANSFORMER["num_attention_heads"], _TRANSFORMER["attention_head_dim"]
        )
        for name, weight in network.named_parameters():
            if "after_proj" in name:
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


def _text_encoder(tokens: int) -> Any:
    text: dict[str, Any] = {
        "vocab_size": tokens,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "bos_token_id": None,
        "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [1, 1, 2]},
    }
    vision: dict[str, Any] = {
        "depth": 1,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_heads": 2,
        "out_hidden_size": TEXT_WIDTH,
        "fullatt_block_indexes": [0],
    }
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision))
