"""Miniatures of every family: the real classes with random weights, small enough for tests.

The zero convolutions of a ControlNet are filled with visible values: fresh ones add nothing, and a test that compares two
ways of adding nothing proves nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    ControlNetUnionModel,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    T2IAdapter,
    UNet2DConditionModel,
    ZImageControlNetModel,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)
from transformers.models.qwen3 import Qwen3Config, Qwen3Model

from models.families import FAMILIES
from models.family_facts import TWO_TEXT_STREAMS, Defaults, Family
from models.loader import Base, save_network, vae_scale_factor
from models.tiny_flux import tiny_chroma, tiny_flux
from models.tiny_flux2 import tiny_flux2
from models.tiny_qwen_image import tiny_qwen_image
from models.tiny_words import TEXT_WIDTH, byte_tokenizer

WIDTHS = (8, 16)
TOKENS = 16
"""Longest prompt in tokens, marks included."""
WORDS = ("a", "and", "ball", "blue", "box", "cone", "green", "night", "person", "poster", "red", "sky", "under", "yellow")  # fmt: skip

_BLOCKS: dict[str, Any] = {
    "block_out_channels": WIDTHS,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
}
_UP_BLOCKS: dict[str, Any] = {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
_SIZE_CONDITIONS: dict[str, Any] = {
    "transformer_layers_per_block": (1, 2),
    "addition_embed_type": TWO_TEXT_STREAMS,
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": TEXT_WIDTH + 6 * 4,
}


def _unet_settings(family: Family) -> dict[str, Any]:
    """The config of a U-Net or ControlNet of the family, at tiny size."""
    facts = FAMILIES[family]
    settings: dict[str, Any] = {
        **_BLOCKS,
        "in_channels": facts.latent_channels,
        "cross_attention_dim": facts.text_encoders * TEXT_WIDTH,
        "use_linear_projection": facts.linear_projection,
    }
    return settings | (_SIZE_CONDITIONS if facts.size_conditions else {})


def tiny_base(family: Family, seed: int = 0, **unet_config: Any) -> Base:
    """A base of about 100,000 parameters on the CPU in float32; the same seed gives the same weights."""
    if FAMILIES[family].backbone == "z_image":
        return _tiny_z_image(family, seed)
    if FAMILIES[family].backbone in ("flux", "chroma"):
        return _tiny_flux(family, seed, **unet_config)
    if FAMILIES[family].backbone == "flux2":
        return tiny_flux2(family, seed, **unet_config)
    if FAMILIES[family].backbone == "qwen_image":
        return tiny_qwen_image(family, seed)
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = _UP_BLOCKS | _unet_settings(family) | unet_config
        unet = UNet2DConditionModel(**settings, out_channels=FAMILIES[family].latent_channels, sample_size=8)
        vae = _tiny_autoencoder(family)
        encoders = (_text_encoder(CLIPTextModel),)
        if FAMILIES[family].text_encoders == 2:
            encoders = (*encoders, _text_encoder(CLIPTextModelWithProjection))
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=unet.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text_encoders=encoders,
        tokenizers=tuple(_tokenizer() for _ in encoders),
        scheduler=_scheduler(family),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=Defaults(size=64, guidance_scale=5.0 if family != "embedded" else 1.0, num_inference_steps=4),
    )


def _tiny_flux(family: Family, seed: int, **config: Any) -> Base:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae, encoder = _tiny_autoencoder(family), _text_encoder(CLIPTextModel)
    if FAMILIES[family].backbone == "chroma":
        return tiny_chroma(family, seed, cast("AutoencoderKL", vae))
    return tiny_flux(family, seed, (encoder, _tokenizer()), cast("AutoencoderKL", vae), **config)


_TRANSFORMER: dict[str, Any] = {"dim": 32, "n_refiner_layers": 2, "n_heads": 2, "n_kv_heads": 2}
_CONTROL_LAYOUTS: dict[str, dict[str, Any]] = {
    "1": {"control_layers_places": [0, 2], "control_in_dim": 16},
    "2.0": {"control_layers_places": [0, 1, 2, 3], "add_control_noise_refiner": "control_layers"},
    "2.1": {"control_layers_places": [0, 1, 2, 3], "add_control_noise_refiner": "control_noise_refiner"},
    "lite": {"control_layers_places": [0, 2], "add_control_noise_refiner": "control_noise_refiner"},
}
"""Configs of the published kinds of Z-Image ControlNets, for the tiny base's four layers."""
CONTROL_LAYOUTS = tuple(_CONTROL_LAYOUTS)


def _tiny_z_image(family: Family, seed: int) -> Base:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = ZImageTransformer2DModel(
            **_TRANSFORMER, n_layers=4, cap_feat_dim=TEXT_WIDTH, axes_dims=[8, 4, 4], axes_lens=[1024, 64, 64]
        )
        for token in (transformer.x_pad_token, transformer.cap_pad_token):
            torch.nn.init.normal_(token)  # diffusers leaves them as zeros
        vae = _tiny_autoencoder(family)
        tokenizer = byte_tokenizer()
        encoder = Qwen3Model(
            Qwen3Config(
                hidden_size=TEXT_WIDTH,
                intermediate_size=2 * TEXT_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                head_dim=8,
                vocab_size=len(tokenizer),
                max_position_embeddings=512,
            )
        )
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=transformer.eval().requires_grad_(False),
        vae=vae.eval().requires_grad_(False),
        text_encoders=(encoder.eval().requires_grad_(False),),
        tokenizers=(tokenizer,),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=Defaults(size=64, guidance_scale=5.0, num_inference_steps=4),
    )


def tiny_z_image_controlnet(layout: str = "2.1", seed: int = 0) -> ZImageControlNetModel:
    """A ControlNet of Z-Image that visibly changes what the tiny base makes; layouts are CONTROL_LAYOUTS."""
    config: dict[str, Any] = {"control_in_dim": 33, "control_refiner_layers_places": [0, 1]} | _CONTROL_LAYOUTS[layout]
    if "add_control_noise_refiner" not in config:
        del config["control_refiner_layers_places"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ZImageControlNetModel(**_TRANSFORMER, **config)
        for name, weight in network.named_parameters():
            if "before_proj" in name or "after_proj" in name:
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


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


def tiny_union(base: Base, seed: int = 0, num_control_type: int = 6) -> ControlNetUnionModel:
    """A union ControlNet for a tiny SDXL base; all of its weights are visible."""
    settings = _unet_settings(base.family) | {"block_out_channels": base.network.config["block_out_channels"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        union = ControlNetUnionModel(
            **settings,
            conditioning_embedding_out_channels=(4, 8, 12, 16),
            num_control_type=num_control_type,
            num_trans_channel=WIDTHS[0],
            num_trans_head=2,
            num_proj_channel=WIDTHS[0],
        )
        for weight in union.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return union.eval().requires_grad_(False)


def tiny_adapter(seed: int = 0, **config: Any) -> T2IAdapter:
    """A T2I-Adapter; its `channels` are those of the U-Net's levels."""
    settings: dict[str, Any] = {"channels": WIDTHS, "num_res_blocks": 1} | config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = T2IAdapter(**settings)
    return adapter.eval().requires_grad_(False)


def save_tiny_ip_adapter(base: Base, folder: Path, plus: bool = False, seed: int = 0) -> Path:
    """Writes an IP-Adapter for the base as its authors do, image encoder beside it; returns the adapter's file."""
    words, tokens = base.network.config["cross_attention_dim"], 4
    sizes: dict[str, tuple[int, ...]] = {"proj.weight": (tokens * words, TEXT_WIDTH), "proj.bias": (tokens * words,)}
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
                hidden_size=TEXT_WIDTH,
                intermediate_size=2 * TEXT_WIDTH,
                projection_dim=TEXT_WIDTH,
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
    width, inner = TEXT_WIDTH, 64
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, tokens, width),
        "proj_in.weight": (width, TEXT_WIDTH),
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


def _tiny_autoencoder(family: Family) -> AutoencoderKL | AutoencoderTiny:
    facts = FAMILIES[family]
    if facts.latent_scaling is None:
        return AutoencoderTiny(
            encoder_block_out_channels=(8,) * 4,
            decoder_block_out_channels=(8,) * 4,
            num_encoder_blocks=(1,) * 4,
            num_decoder_blocks=(1,) * 4,
            latent_channels=facts.latent_channels,
            scaling_factor=1.0,
        )
    levels: dict[str, Any] = {
        "block_out_channels": (4, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    return AutoencoderKL(
        **levels,
        latent_channels=facts.latent_channels,
        norm_num_groups=4,
        scaling_factor=facts.latent_scaling,
        shift_factor=facts.latent_shift,
    )


def _text_encoder(kind: type[CLIPTextModel] | type[CLIPTextModelWithProjection]) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=_vocabulary()["<|startoftext|>"],
        eos_token_id=_vocabulary()["<|endoftext|>"],
        pad_token_id=_vocabulary()["<|endoftext|>"],
    )
    return kind(config).eval().requires_grad_(False)


def _vocabulary() -> dict[str, int]:
    """Letters and the words, each with its end-of-word form, then the two marks."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *_merged()]
    return {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def _merges() -> list[tuple[str, str]]:
    """Pairs that build every word from its letters, left to right."""
    pairs: dict[tuple[str, str], None] = {}
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pairs[pieces[0], pieces[1]] = None
            pieces[:2] = [pieces[0] + pieces[1]]
    return list(pairs)


def _merged() -> list[str]:
    return list(dict.fromkeys(left + right for left, right in _merges()))


def _tokenizer() -> CLIPTokenizer:
    merges: Any = _merges()
    return CLIPTokenizer(vocab=_vocabulary(), merges=merges, model_max_length=TOKENS)


def _scheduler(family: Family) -> DDIMScheduler:
    if family == "embedded":
        return DDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False
        )
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=cast("Any", FAMILIES[family].predictions[-1]),
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )
