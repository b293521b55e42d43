"""Parts of the catalogue that the families of U-Nets share: bases of equal folders, and what is made for them. Loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.catalogue.row import COMPONENTS, COMPONENTS_XL, MB, File, Weights, folder_files, network_files
from models.family_facts import TINY_WORDS, TWO_TEXT_STREAMS, FamilyFacts, Miniature

RAIL, RAIL_PP, APACHE, UNKNOWN = "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M", "Apache-2.0", "unknown"
ADAPTER_LEVELS = 4
"""Of every published T2I-Adapter; each has a weight."""
INPAINTS = "Repaints what a mask covers; needs a picture and a mask."
TINY_WIDTHS = (8, 16)
"""Channels of the levels of miniatures."""


def miniature(facts: FamilyFacts, scheduler: Mapping[str, Any] | None = None, guidance_scale: float = 5.0) -> Miniature:
    """Return the miniature of a base; its scheduler is Stable Diffusion's if None."""
    network: dict[str, Any] = {
        "block_out_channels": TINY_WIDTHS, "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 2, "sample_size": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "in_channels": facts.latent_channels, "out_channels": facts.latent_channels,
        "cross_attention_dim": facts.text_encoders * TINY_WORDS, "use_linear_projection": facts.linear_projection,
    }  # fmt: skip
    if facts.size_conditions:
        network |= {
            "transformer_layers_per_block": (1, 2), "addition_embed_type": TWO_TEXT_STREAMS, "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": TINY_WORDS + 6 * 4,
        }  # fmt: skip
    scaled = {
        "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": facts.predictions[-1],
        "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False,
    }  # fmt: skip
    return Miniature(network=network, scheduler=scheduler or scaled, guidance_scale=guidance_scale)


def base(
    id: str,
    facts: FamilyFacts,
    title: str,
    repo: str,
    licence: str,
    sizes: Mapping[str, int],
    aliases: str = "",
    **more: Any,
) -> Weights:
    """Return a base model on the hub, with its family's defaults where none are given; `sizes` of its networks in MB, fp16."""
    parts = COMPONENTS_XL if facts.text_encoders > 1 else COMPONENTS
    row = Weights(
        id=id, kind="base", family=facts.id, title=title, repo=repo, licence=licence, defaults=facts.defaults,
        files=folder_files(parts, {part: size * MB for part, size in sizes.items()}), aliases=tuple(aliases.split()),
    )  # fmt: skip
    return replace(row, **more)


def controlnet(
    id: str, facts: FamilyFacts, title: str, conditions: str, repo: str, licence: str, mb: int | None, **more: Any
) -> Weights:
    """Return the row of a ControlNet in a hub repository of its own; `conditions` are ids separated by spaces."""
    row = Weights(
        id=id, kind="controlnet", family=facts.id, title=f"{title} for {facts.title}", files=network_files(mb),
        licence=licence, repo=repo, conditions=tuple(conditions.split()),
    )  # fmt: skip
    return replace(row, **more)


def adapter(id: str, facts: FamilyFacts, title: str, conditions: str, repo: str, mb: int) -> Weights:
    """Return the row of a T2I-Adapter."""
    return controlnet(
        id,
        facts,
        f"{title} adapter",
        conditions,
        f"TencentARC/{repo}",
        APACHE,
        mb,
        kind="adapter",
        blocks=ADAPTER_LEVELS,
    )


def ip_adapter(
    id: str, facts: FamilyFacts, title: str, path: str, mb: int, encoder_mb: int, loaded_mb: int | None = None
) -> Weights:
    """Return the row of an IP-Adapter: its file, and the image encoder in a folder next to it; `loaded_mb` is both in 16 bits."""
    encoder = f"{path.rpartition('/')[0]}/image_encoder"
    files = (
        File(path, mb * MB),
        File(f"{encoder}/config.json", 0),
        File(f"{encoder}/model.safetensors", encoder_mb * MB),
    )
    return Weights(
        id=id,
        kind="ip_adapter",
        family=facts.id,
        title=title,
        repo="h94/IP-Adapter",
        licence=APACHE,
        files=files,
        loaded=loaded_mb and loaded_mb * MB,
    )


def lora(id: str, facts: FamilyFacts, title: str, repo: str, licence: str, name: str, mb: int) -> Weights:
    """Return the row of a LoRA. Settings for those of few steps are in cnet_app/registry/presets.py."""
    files = (File(name, mb * MB),)
    return Weights(id=id, kind="lora", family=facts.id, title=title, repo=repo, licence=licence, files=files)
