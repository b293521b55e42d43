"""Base models of one file, in the layout of the original code. What they are is read from their tensors, never from names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from models.autoencoders import VAE_PREFIX, read_vae
from models.catalogue.local import BASE_PREFIX, check_kind
from models.errors import InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, TITLES
from models.family_facts import TWO_TEXT_STREAMS, Family, NoisePrediction, OneFile, OriginalEncoder
from models.layouts.checkpoints import (
    HEAD_WIDTH,
    LAYERS,
    Tensors,
    channels_in,
    count_parts,
    encoder_config,
    open_tensors,
    part_of,
    read_all,
    read_metadata,
    words_width,
)
from models.layouts.sidecars import base_prediction
from models.modules import damage_reported, fill_network

LAST_STEP = 999


@dataclass(frozen=True)
class Parts:
    """The parts of a base that a file holds: all but the tokenizers."""

    family: Family
    unet: Any
    vae: Any
    """None where the file has none."""
    text_encoders: tuple[Any, ...]
    scheduler: Any


def base_family(path: Path) -> Family:
    """Return the family of a base in a file, from the shapes of two tensors. Raises as `load_parts` does."""
    with ExitStack() as stack:
        return _whole_family(path, open_tensors(path, stack))


def load_parts(path: Path, dtype: torch.dtype, device: torch.device | str) -> Parts:
    """Load the networks and the scheduler of a file. InputError where it is no whole base of a known family; DamagedError."""
    with ExitStack() as stack:
        tensors = open_tensors(path, stack)
        family = _whole_family(path, tensors)
        encoders = tuple(
            _text_encoder(path, family, tensors, encoder, dtype, device) for encoder in layout(family).text_encoders
        )
        own_vae = part_of(tensors, VAE_PREFIX)
        vae = read_vae(path, own_vae, family, dtype, device) if own_vae else None
        unet = _unet(path, family, part_of(tensors, BASE_PREFIX), dtype, device)
        scheduler = _scheduler(_prediction_type(path, family, tensors, unet), zero_snr="ztsnr" in tensors)
    if scheduler.config["prediction_type"] == "v_prediction":
        unet.register_to_config(sample_size=layout(family).latent_side_v)
    return Parts(family, unet, vae, encoders, scheduler)


def _whole_family(path: Path, tensors: Tensors) -> Family:
    """Return the family, where no part is missing."""
    check_kind(path, tensors, "base")
    unet = part_of(tensors, BASE_PREFIX)
    if "input_blocks.0.0.weight" not in unet:
        raise InputError(
            f"{path.name} is no base model in one file: it has no tensors {BASE_PREFIX}*; choose a file that has."
        )
    family = FAMILY_BY_WIDTH.get(words_width(unet))
    channels = channels_in(unet["input_blocks.0.0.weight"])
    facts = FAMILIES[family] if family else None
    fits = facts and facts.one_file and channels in (facts.latent_channels, facts.inpainting_channels)
    if family is None or not fits or "edm_mean" in tensors:
        known = ", ".join(row.title for row in FAMILIES.values() if row.one_file)
        raise InputError(
            f"{path.name} is a model of another kind ({channels} channels in, {words_width(unet)} numbers a word); "
            f"choose one of: {known}, or their inpainting models."
        )
    parts = {"U-Net": BASE_PREFIX}  # without an autoencoder it works with another one
    encoders = layout(family).text_encoders
    parts |= {f"text encoder {number}": encoder.prefix for number, encoder in enumerate(encoders, 1)}
    missing = [title for title, prefix in parts.items() if not part_of(tensors, prefix)]
    if missing:
        raise InputError(
            f"{path.name} is {TITLES[family]} without {' and '.join(missing)}; choose a file that holds all of it."
        )
    return family


def layout(family: Family) -> OneFile:
    """Return the facts of a family that has bases of one file."""
    found = FAMILIES[family].one_file
    assert found is not None
    return found


def _unet(path: Path, family: Family, tensors: Tensors, dtype: torch.dtype, device: torch.device | str) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    title = f"the U-Net of {TITLES[family]}"
    prefixed = {BASE_PREFIX + name: tensor for name, tensor in read_all(tensors, dtype).items()}
    embeds = {"addition_embed_type": TWO_TEXT_STREAMS} if FAMILIES[family].size_conditions else {}
    with damage_reported(path, title):
        state = convert_ldm_unet_checkpoint(prefixed, {"layers_per_block": LAYERS, **embeds})
        config = encoder_config(family, state)
        ups = {"CrossAttnDownBlock2D": "CrossAttnUpBlock2D", "DownBlock2D": "UpBlock2D"}
        config |= {
            "up_block_types": tuple(ups[name] for name in reversed(config["down_block_types"])),
            "sample_size": layout(family).latent_side,
            "upcast_attention": layout(family).upcast_attention,
        }
        with torch.device("meta"):
            network: Any = UNet2DConditionModel(**config)
    return fill_network(network, state, path, title, dtype, device)


def _text_encoder(
    path: Path,
    family: Family,
    tensors: Tensors,
    encoder: OriginalEncoder,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Any:
    """Load one text encoder. SD 2.1's ends at the last layer but one of OpenCLIP's."""
    import transformers

    title = f"the text encoder of {TITLES[family]}"
    kind = transformers.CLIPTextModelWithProjection if encoder.projects else transformers.CLIPTextModel
    own = {name: read for name, read in tensors.items() if name.startswith(encoder.prefix)}
    with damage_reported(path, title):
        state = _clip_state(read_all(own, dtype), encoder)
        config = _clip_config(state, "gelu" if encoder.open_clip else "quick_gelu")
        with torch.device("meta"):
            network: Any = kind(config)
        names = network.state_dict()
        if "embeddings.token_embedding.weight" in names:  # without a projection the names have no prefix
            state = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
        # The one table that is not in the file, and would stay without content.
        embeddings = getattr(network, "text_model", network).embeddings
        embeddings.position_ids = torch.arange(config.max_position_embeddings)[None]
    # Position numbers, logit scales and projections that nothing reads are left out.
    state = {name: tensor for name, tensor in state.items() if name in names}
    return fill_network(network, state, path, title, dtype, device)


def _clip_state(state: dict[str, Tensor], encoder: OriginalEncoder) -> dict[str, Tensor]:
    """Return the state under the names of transformers, which begin with `text_model.`"""
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint

    if encoder.open_clip:
        width = state[f"{encoder.prefix}token_embedding.weight"].shape[1]
        sized = SimpleNamespace(
            config=SimpleNamespace(hidden_size=width)
        )  # the converter reads nothing else of a model
        return convert_open_clip_checkpoint(sized, state, encoder.prefix)
    state = convert_ldm_clip_checkpoint(state)
    return {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}


def _clip_config(state: Mapping[str, Tensor], activation: str) -> Any:
    from transformers import CLIPTextConfig

    words, width = state["text_model.embeddings.token_embedding.weight"].shape
    projection = state.get("text_projection.weight")
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=len(state["text_model.encoder.layers.0.mlp.fc1.weight"]),
        projection_dim=width if projection is None else len(projection),
        num_hidden_layers=count_parts(state, "text_model.encoder.layers"),
        num_attention_heads=max(width // HEAD_WIDTH, 1),
        max_position_embeddings=len(state["text_model.embeddings.position_embedding.weight"]),
        hidden_act=activation,
        bos_token_id=words - 2,  # the two marks end CLIP's vocabulary
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def _prediction_type(path: Path, family: Family, tensors: Tensors, unet: Any) -> NoisePrediction:
    """Return what the U-Net predicts, noise or velocity. Where the file does not state it, SD 2.1 is probed: it was published as both.

    Inpainting models were published for noise alone.
    """
    said = read_metadata(path).get("modelspec.prediction_type", "").lower() or base_prediction(path) or ""
    if "v_pred" in tensors or said.startswith("v"):
        return "v_prediction"
    facts = FAMILIES[family]
    inpaints = unet.config["in_channels"] == facts.inpainting_channels
    if said.startswith("eps") or len(facts.predictions) == 1 or inpaints:
        return "epsilon"
    return _probed(unet)


def _probed(unet: Any) -> NoisePrediction:
    """Return the prediction type by one run at the last timestep, where the input is almost pure noise.

    A network for noise returns about its input there, one for velocity about the negative of its input.
    """
    sample = torch.full((1, 4, 8, 8), 0.5, dtype=unet.dtype, device=unet.device)
    words = torch.zeros(1, 2, unet.config["cross_attention_dim"], dtype=unet.dtype, device=unet.device)
    with torch.inference_mode():
        answer = unet(sample, LAST_STEP, words, return_dict=False)[0]
    return "v_prediction" if answer.float().mean() < 0 else "epsilon"


def _scheduler(prediction_type: NoisePrediction, zero_snr: bool) -> Any:
    """Return the scheduler of the families' training; with zero terminal SNR the first step must be the last of training."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="trailing" if zero_snr else "leading",
    )
