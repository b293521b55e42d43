"""Miniatures of what steers bases with a U-Net: see models.tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from models.families import MINIATURES
from models.families.unets import TINY_WIDTHS
from models.family_facts import TINY_WORDS
from models.loader import Base, save_network


def tiny_controlnet(base: Base, seed: int = 0) -> ControlNetModel:
    """A ControlNet that fits a base with a U-Net and visibly changes what it makes."""
    levels = base.vae_scale_factor.bit_length()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        controlnet = ControlNetModel.from_unet(
            base.network, conditioning_embedding_out_channels=tuple(4 * (1 + i) for i in range(levels))
        )
        # The hint's encoder as well: its usual weights let a map fade to nothing within so few channels.
        wanted = (
            controlnet.controlnet_down_blocks,
            controlnet.controlnet_mid_block,
            controlnet.controlnet_cond_embedding,
        )
        for convolution in (module for part in wanted for module in part.modules()):
            if isinstance(convolution, torch.nn.Conv2d) and convolution.bias is not None:
                torch.nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                torch.nn.init.normal_(convolution.bias, std=0.1)
    return controlnet.eval().requires_grad_(False)


OF_BASES = ("out_channels", "sample_size", "up_block_types")
"""Keys of a U-Net's config that a ControlNet's does not have."""


def tiny_union(base: Base, seed: int = 0, num_control_type: int = 6) -> ControlNetUnionModel:
    """A union ControlNet for a tiny SDXL base; all of its weights are visible."""
    own = dict(MINIATURES[base.family].network) | {"block_out_channels": base.network.config["block_out_channels"]}
    settings = {name: value for name, value in own.items() if name not in OF_BASES}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        union = ControlNetUnionModel(
            **settings,
            conditioning_embedding_out_channels=(4, 8, 12, 16),
            num_control_type=num_control_type,
            num_trans_channel=TINY_WIDTHS[0],
            num_trans_head=2,
            num_proj_channel=TINY_WIDTHS[0],
        )
        for weight in union.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return union.eval().requires_grad_(False)


def tiny_adapter(seed: int = 0, **config: Any) -> T2IAdapter:
    """A T2I-Adapter; its `channels` are those of the U-Net's levels."""
    settings: dict[str, Any] = {"channels": TINY_WIDTHS, "num_res_blocks": 1} | config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = T2IAdapter(**settings)
    return adapter.eval().requires_grad_(False)


def save_tiny_ip_adapter(base: Base, folder: Path, plus: bool = False, seed: int = 0) -> Path:
    """Write an IP-Adapter for the base in its authors' layout, with its image encoder; return the path of the adapter."""
    words, tokens = base.network.config["cross_attention_dim"], 4
    sizes: dict[str, tuple[int, ...]] = {"proj.weight": (tokens * words, TINY_WORDS), "proj.bias": (tokens * words,)}
    sizes |= {"norm.weight": (words,), "norm.bias": (words,)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = _resampler(words, tokens) if plus else sizes
        tensors = {f"image_proj.{name}": torch.randn(size) for name, size in sizes.items()}
        named = [name for name in base.network.attn_processors if name.endswith("attn2.processor")]
        for number, name in enumerate(named):
            width = len(base.network.get_submodule(name.removesuffix(".processor")).to_k.weight)
            tensors |= {f"ip_adapter.{2 * number + 1}.to_{one}_ip.weight": torch.randn(width, words) for one in "kv"}
        encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=TINY_WORDS,
                intermediate_size=2 * TINY_WORDS,
                projection_dim=TINY_WORDS,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=32,
                patch_size=16,
            )
        )
    save_network(encoder, folder / "image_encoder", torch.float32)
    file = folder / ("ip-adapter-plus.safetensors" if plus else "ip-adapter.safetensors")
    save_file(tensors, file)
    return file


def _resampler(words: int, tokens: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a plus adapter's projection, under its authors' names: four layers of attention and feed-forward."""
    width, inner = TINY_WORDS, 64
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, tokens, width),
        "proj_in.weight": (width, TINY_WORDS),
        "proj_in.bias": (width,),
        "proj_out.weight": (words, width),
        "proj_out.bias": (words,),
        "norm_out.weight": (words,),
        "norm_out.bias": (words,),
    }
    norms = ("0.norm1", "0.norm2", "1.0")
    for layer in range(4):
        shapes |= {f"layers.{layer}.{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
        shapes |= {
            f"layers.{layer}.0.to_q.weight": (inner, width),
            f"layers.{layer}.0.to_kv.weight": (2 * inner, width),
            f"layers.{layer}.0.to_out.weight": (width, inner),
            f"layers.{layer}.1.1.weight": (4 * width, width),
            f"layers.{layer}.1.3.weight": (width, 4 * width),
        }
    return shapes
