"""Load autoencoders (VAE) from a file or a folder, and check that they fit a family."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.catalogue.local import check_kind
from models.configs import CONFIG, named_class, read_json
from models.errors import InputError
from models.families import FAMILIES, TITLES
from models.family_facts import Family
from models.layouts.checkpoints import Tensors, count_parts, open_tensors, part_of, read_all
from models.modules import damage_reported, fill_network, load_network

VAE_PREFIX = "first_stage_model."
"""Before the autoencoder's tensors in a file with all of Stable Diffusion, or extracted from one."""
USUAL_SCALING = 0.18215
"""Factor on the latents where a config does not name one."""

_TITLE = "an autoencoder"
_OLD_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Names of the attention in diffusers before 0.18."""


def vae_dtype(family: Family, dtype: torch.dtype, config: Mapping[str, Any]) -> torch.dtype:
    """Return the number format of a family's autoencoder: float32 where it overflows in float16."""
    overflows = FAMILIES[family].vae_overflows_half and dtype == torch.float16 and config.get("force_upcast", True)
    return torch.float32 if overflows else dtype


def vae_scale_factor(vae: Any) -> int:
    """Return the side of the picture over the side of the latents."""
    return _scale_factor(vae.config)


def latent_channels(vae: Any) -> int:
    """Return the channels of an autoencoder's latents."""
    return vae.config["z_dim" if makes_films(vae) else "latent_channels"]


def makes_films(vae: Any) -> bool:
    """Return whether an autoencoder is one of films, whose pictures and latents have an axis of frames."""
    return "temperal_downsample" in vae.config


def normalises_tokens(vae: Any) -> bool:
    """Return whether an autoencoder has statistics of its own for each number of a token of 2 x 2 latents."""
    return "batch_norm_eps" in vae.config


def load_vae_folder(id: str, folder: Path, family: Family, dtype: torch.dtype, device: torch.device | str) -> Any:
    """Load one in diffusers format; InputError where it does not fit the family."""
    import diffusers

    config = read_json(folder / CONFIG)
    name = named_class(config)
    _check_class(id, family, name)
    _check_fit(id, family, config)
    return load_network(getattr(diffusers, name), folder, vae_dtype(family, dtype, config), device)


def load_vae_file(path: Path, family: Family, dtype: torch.dtype, device: torch.device | str) -> Any:
    """Load one from a file, in the original's layout or diffusers'; InputError where it is none, or does not fit."""
    with ExitStack() as stack:
        tensors = open_tensors(path, stack)
        check_kind(path, tensors, "vae")
        tensors = part_of(tensors, VAE_PREFIX) or part_of(tensors, "vae.") or tensors
        return read_vae(path, tensors, family, dtype, device)


def load_inner_vae(
    path: Path, prefix: str, family: Family, folder: Path, dtype: torch.dtype, device: torch.device | str
) -> Any:
    """Load the AutoencoderKL in a file with other parts of a base; its tensors' names begin with `prefix`, `folder` has its config."""
    import diffusers

    config = read_json(folder / CONFIG)
    with ExitStack() as stack, damage_reported(path, _TITLE):
        state = _kl_state(part_of(open_tensors(path, stack), prefix))
        with torch.device("meta"):
            network: Any = diffusers.AutoencoderKL.from_config(config)
    return fill_network(network, state, path, _TITLE, vae_dtype(family, dtype, config), device)


def read_vae(path: Path, tensors: Tensors, family: Family, dtype: torch.dtype, device: torch.device | str) -> Any:
    """Load one from an open file; names have no prefix."""
    import diffusers

    if "AutoencoderKL" not in FAMILIES[family].vae_classes:
        raise InputError(
            f"{path.name} is one file, but an autoencoder for {TITLES[family]} is read from a folder in diffusers' format; "
            "choose such a folder."
        )
    if "decoder.layers.0.weight" in tensors:
        kind, read = diffusers.AutoencoderTiny, _tiny
    elif "decoder.conv_in.weight" in tensors:
        kind, read = diffusers.AutoencoderKL, _kl
    else:
        raise InputError(f"{path.name} is no autoencoder: it has no decoder.")
    with damage_reported(path, _TITLE):
        config, state = read(tensors, family)
        _check_fit(path.name, family, config)
        with torch.device("meta"):
            network: Any = kind(**config)
    return fill_network(network, state, path, _TITLE, vae_dtype(family, dtype, network.config), device)


def _kl(tensors: Tensors, family: Family) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return config and state of an AutoencoderKL."""
    state = _kl_state(tensors)
    levels = count_parts(state, "encoder.down_blocks")
    config = {
        "block_out_channels": tuple(
            len(state[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"]) for level in range(levels)
        ),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 2,
        "latent_channels": state["decoder.conv_in.weight"].shape[1],
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
        "scaling_factor": FAMILIES[family].latent_scaling or 1.0,
        "shift_factor": FAMILIES[family].latent_shift,
    }
    return config, state


def _kl_state(tensors: Tensors) -> dict[str, Tensor]:
    """Return the tensors of an AutoencoderKL under diffusers' names of today."""
    state = read_all(tensors)
    if levels := count_parts(state, "encoder.down"):
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        blocks = ("",) * levels  # diffusers only counts them
        state = convert_ldm_vae_checkpoint(state, {"down_block_types": blocks, "up_block_types": blocks})
    return {_renamed(name): tensor for name, tensor in state.items()}


def _tiny(tensors: Tensors, family: Family) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return config and state of an AutoencoderTiny with TAESD's numbers of blocks, the defaults of diffusers."""
    state = read_all(tensors)
    config = {
        "encoder_block_out_channels": (len(state["encoder.layers.0.weight"]),) * 4,
        "decoder_block_out_channels": (len(state["decoder.layers.0.weight"]),) * 4,
        "latent_channels": state["decoder.layers.0.weight"].shape[1],
    }
    return config, state


def _renamed(name: str) -> str:
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    return name


def _check_class(title: str, family: Family, name: str) -> None:
    """Raise InputError where this class is none of the autoencoders of the family."""
    known = FAMILIES[family].vae_classes
    if name not in known:
        raise InputError(
            f"{title} is {name}, but {TITLES[family]} takes the autoencoders {' and '.join(known)} only; "
            f"choose an autoencoder for {TITLES[family]}."
        )


def _check_fit(title: str, family: Family, config: Mapping[str, Any]) -> None:
    """Raise InputError where the latents of this autoencoder are not those of the family."""
    facts = FAMILIES[family]
    made, wanted = (
        (config["z_dim"] if "z_dim" in config else config.get("latent_channels", 4), _scale_factor(config)),
        (facts.latent_channels, facts.latent_reduction),
    )
    if made != wanted:
        raise InputError(
            f"{title} makes {made[0]} channels of 1/{made[1]} the picture's size, but {TITLES[family]} needs "
            f"{wanted[0]} of 1/{wanted[1]}; choose an autoencoder for {TITLES[family]}."
        )
    scaling, own = config.get("scaling_factor", USUAL_SCALING), facts.latent_scaling
    if "encoder_block_out_channels" not in config and own is not None and abs(scaling - own) > 1e-6:
        raise InputError(
            f"{title} scales its latents by {scaling:g}, but {TITLES[family]} needs {own:g}; "
            f"choose an autoencoder for {TITLES[family]}."
        )


def _scale_factor(config: Mapping[str, Any]) -> int:
    if "temperal_downsample" in config:  # diffusers' spelling
        return 2 ** len(config["temperal_downsample"])
    levels = config.get("block_out_channels") or config["encoder_block_out_channels"]
    return 2 ** (len(levels) - 1)
