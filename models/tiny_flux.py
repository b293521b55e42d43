"""Miniatures of FLUX.1, Chroma and the ControlNets of both: see models.tiny."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetModel,
    FluxTransformer2DModel,
)
from transformers.models.t5 import T5Config, T5EncoderModel
from transformers.models.t5.tokenization_t5 import T5Tokenizer

from models.autoencoders import vae_scale_factor
from models.families import FAMILIES
from models.family_facts import Defaults, Family
from models.loader import Base
from models.tiny_words import TEXT_WIDTH

_TRANSFORMER: dict[str, Any] = {
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": TEXT_WIDTH,
    "axes_dims_rope": (8, 4, 4),
}
DOUBLES, SINGLES = 5, 4
"""Double and single blocks of a base. As in the published bases, the doubles are not a multiple of the ControlNet's."""
_KINDS: dict[str, dict[str, Any]] = {
    "plain": {"num_layers": 2, "num_single_layers": 0},
    "union": {"num_layers": 2, "num_single_layers": 2, "num_mode": 7},
    "pixels": {"num_layers": 2, "num_single_layers": 0, "patch_size": 2, "conditioning_embedding_channels": 16},
}
KINDS = tuple(_KINDS)
"""Published kinds of ControlNets: of latents, of several kinds of maps with a mode each, and XLabs', of pixels."""


def tiny_flux(
    family: Family, seed: int, encoder: tuple[Any, Any], vae: AutoencoderKL, guidance_embeds: bool = True
) -> Base:
    """A base of nine blocks, with CLIP's text encoder and tokenizer; without guidance it is one like schnell."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = FluxTransformer2DModel(
            **_TRANSFORMER, num_layers=DOUBLES, num_single_layers=SINGLES, pooled_projection_dim=TEXT_WIDTH,
            guidance_embeds=guidance_embeds,
        )  # fmt: skip
        words, tokenizer = _t5()
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=guidance_embeds, shift=3.0 if guidance_embeds else 1.0
    )
    encoders, tokenizers = (encoder[0], words), (encoder[1], tokenizer)
    return _base(family, transformer, vae, encoders, tokenizers, scheduler)


def tiny_chroma(family: Family, seed: int, vae: AutoencoderKL) -> Base:
    """A base of nine blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = ChromaTransformer2DModel(
            **_TRANSFORMER, num_layers=DOUBLES, num_single_layers=SINGLES, approximator_num_channels=16,
            approximator_hidden_dim=16, approximator_layers=1,
        )  # fmt: skip
        words, tokenizer = _t5()
    return _base(family, transformer, vae, (words,), (tokenizer,), FlowMatchEulerDiscreteScheduler())


def _base(family: Family, transformer: Any, vae: Any, encoders: Any, tokenizers: Any, scheduler: Any) -> Base:
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=transformer.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text_encoders=encoders,
        tokenizers=tokenizers,
        scheduler=scheduler,
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=Defaults(size=64, guidance_scale=FAMILIES[family].defaults.guidance_scale, num_inference_steps=4),
    )


def tiny_flux_controlnet(kind: str = "plain", seed: int = 0, **config: Any) -> FluxControlNetModel:
    """A ControlNet that visibly changes what the tiny bases make; kinds are KINDS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings: dict[str, Any] = {"pooled_projection_dim": TEXT_WIDTH, "guidance_embeds": True}
        settings |= _TRANSFORMER | _KINDS[kind] | config
        network = FluxControlNetModel(**settings)
        parts = (network.controlnet_blocks, network.controlnet_single_blocks, network.controlnet_x_embedder)
        for weight in (weight for part in parts for weight in part.parameters()):
            torch.nn.init.normal_(weight, std=0.2)
        if network.input_hint_block is not None:
            for weight in network.input_hint_block.parameters():
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


def _t5() -> tuple[T5EncoderModel, T5Tokenizer]:
    """An encoder, and a tokenizer with a token a letter."""
    letters = [chr(code) for code in range(33, 127)]
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer: Any = T5Tokenizer(vocab=[*marks, *((letter, -3.0) for letter in letters)], extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=TEXT_WIDTH, d_kv=8, d_ff=2 * TEXT_WIDTH, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config).eval().requires_grad_(False), tokenizer
