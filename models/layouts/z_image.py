"""ControlNets of Z-Image in a file as their authors publish them. What they are is read from their tensors, never from names."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.families.z_image import FACTS
from models.layouts.checkpoints import Tensors, channels_in, count_parts, read_all

EMBEDDER = "control_all_x_embedder.2-1.weight"
"""The layer that reads the map: four latents to a token."""
LATENTS_PER_TOKEN = 4
BASE_LAYERS = 30
"""Of the published bases, where the base itself is not given."""
BASE_REFINERS = 2
REFINER = "control_noise_refiner."


def read_control(tensors: Tensors, transformer: Any = None) -> tuple[dict[str, Any], dict[str, Tensor], None]:
    """Return the config of diffusers' class, the tensors, and None: the class is the family's.

    `transformer` is the base's, whose layers the places divide evenly.

    Versions differ in few tensors: 1 reads the map alone, in 2.1 the layers for the base's refiner have projections of their
    own, and in 2.0, whose file has the same names, the first of these is zero and the main layers do that work. diffusers
    saves 2.0 without the layers that nothing reads: then its input tells it from 1, which reads latents of the map alone.
    """
    embedder = tensors[EMBEDDER]()
    layers = int(transformer.config["n_layers"]) if transformer is not None else BASE_LAYERS
    count = count_parts(tensors, "control_layers")
    width, head = len(embedder), len(tensors["control_layers.0.attention.norm_q.weight"]())
    refiners = count_parts(tensors, REFINER.removesuffix(".")) or _refiners_of(transformer)
    channels = channels_in(tensors[EMBEDDER]) // LATENTS_PER_TOKEN
    kind = _refiner_kind(tensors, channels)
    config: dict[str, Any] = {
        "control_layers_places": list(range(0, layers, layers // count))[:count],
        "control_in_dim": channels,
        "control_refiner_layers_places": list(range(refiners)) if kind else None,
        "add_control_noise_refiner": kind,
        "dim": width,
        "n_refiner_layers": refiners,
        "n_heads": width // head,
        "n_kv_heads": width // head,
    }
    shared = kind == "control_layers"
    kept = {name: read for name, read in tensors.items() if not (shared and name.startswith(REFINER))}
    return config, read_all(kept), None


def _refiners_of(transformer: Any) -> int:
    """Return the refiner layers of the base; of the published ones where it is not given."""
    return int(transformer.config["n_refiner_layers"]) if transformer is not None else BASE_REFINERS


def _refiner_kind(tensors: Tensors, channels: int) -> str | None:
    """Return `add_control_noise_refiner` of the config; `channels` are those of its input."""
    if not any(name.startswith(REFINER) for name in tensors):
        return "control_layers" if channels > FACTS.latent_channels else None
    if f"{REFINER}0.after_proj.weight" not in tensors:
        return None
    first = tensors.get(f"{REFINER}0.before_proj.weight")
    return "control_noise_refiner" if first is not None and bool(first().any()) else "control_layers"
