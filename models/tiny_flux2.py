"""Miniatures of FLUX.2: see models.tiny."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

from models.autoencoders import vae_scale_factor
from models.families import FAMILIES
from models.family_facts import Family
from models.loader import Base
from models.tiny_words import TEXT_WIDTH, byte_tokenizer

DOUBLES, SINGLES = 2, 3
"""Double and single blocks of a base."""
ENCODER_LAYERS = 27
"""Layers of the text encoder: the base reads the words after the 9th, 18th and 27th of its 36."""


def tiny_flux2(family: Family, seed: int, distilled: bool = True) -> Base:
    """A base of five blocks; one that is not distilled reads a negative prompt. The network is the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = Flux2Transformer2DModel(
            num_layers=DOUBLES, num_single_layers=SINGLES, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=3 * TEXT_WIDTH, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        )  # fmt: skip
        vae = _autoencoder()
        tokenizer = byte_tokenizer()
        encoder = _text_encoder(len(tokenizer))
    facts = FAMILIES[family]
    defaults = facts.defaults if distilled or facts.undistilled is None else facts.undistilled
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=transformer.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text_encoders=(encoder.eval().requires_grad_(False),),
        tokenizers=(tokenizer,),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=defaults,
        is_distilled=distilled,
    )


def _autoencoder() -> AutoencoderKLFlux2:
    """One whose statistics differ from one number of a token to the next, as those of training do."""
    vae: Any = AutoencoderKLFlux2(block_out_channels=(4, 8, 8, 8), layers_per_block=1, norm_num_groups=4)
    vae.bn.running_mean.copy_(torch.randn(128) / 4)
    vae.bn.running_var.copy_(torch.rand(128) + 0.5)
    return vae


def _text_encoder(words: int) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        hidden_size=TEXT_WIDTH, intermediate_size=2 * TEXT_WIDTH, num_hidden_layers=ENCODER_LAYERS, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, vocab_size=words, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)
