"""Chroma, made from FLUX.1-schnell. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights, folder_files, sharded_files, text_files
from models.families.flux import FLUX_LAYERS, FLUX_PARTS
from models.families.inner_encoders import T5_XXL
from models.families.previews import FLUX_PREVIEW
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Layers, Miniature, Parameters

_LAYERS: Layers = (
    *FLUX_LAYERS,
    *(
        (
            f"distilled_guidance_layer.layers.{{}}.{side}_layer",
            (f"distilled_guidance_layer.layers.{{}}.linear_{number}",),
        )
        for number, side in enumerate(("in", "out"), 1)
    ),
)

# Steps and guidance are those of diffusers' documentation; the strength is FLUX.1's.
FACTS = FamilyFacts(
    id="chroma",
    title="Chroma",
    backbone="chroma",
    defaults=Defaults(size=1024, guidance_scale=3.0, num_inference_steps=40),
    conditioning_scale=0.7,
    parameters=Parameters(network=8900.0, controlnet=2140.9, text_encoders=4762.3, vae=83.8),
    control_blocks=5,
    control_parts=FLUX_PARTS,
    side_multiple=16,
    latent_channels=16,
    latent_scaling=0.3611,
    latent_shift=0.1159,
    overflows_half=True,
    preview=FLUX_PREVIEW,
    predictions=("flow",),
    guidance="two_passes",
    resolutions=False,
    latent_hints=True,
    shares_with="flux",
    twin_blocks=19,
    original_layers=_LAYERS,
    ip_adapters=False,
    pipeline_class="ChromaPipeline",
    network_folder="transformer",
    network_class="ChromaTransformer2DModel",
    network_marks=tuple(
        frozenset({"distilled_guidance_layer.in_proj.weight", name})
        for name in ("double_blocks.0.img_attn.qkv.weight", "single_transformer_blocks.0.attn.to_q.weight")
    ),
    block_numbers=(("num_layers", 24), ("num_single_layers", 12)),
    inner_encoders=(replace(T5_XXL, folder="text_encoder"),),
    control_class="FluxControlNetModel",
    vae_classes=("AutoencoderKL",),
    text_encoder_classes=("T5EncoderModel",),
    tokenizer_classes=("T5TokenizerFast",),
)

_T5, _VAE = 9525, 168
"""MB of networks, by the numbers of parameters of the published configs."""


def _base() -> Weights:
    files = (
        *folder_files(("vae", "scheduler"), {"vae": _VAE * MB}),
        File("tokenizer/spiece.model", 0, others=("tokenizer/tokenizer.json",)),
        *text_files("tokenizer/tokenizer_config.json"),
        *sharded_files("text_encoder", "model", 2, _T5),
        *sharded_files("transformer", "diffusion_pytorch_model", 2, 17_800),
    )
    return Weights(
        id="chroma", kind="base", family="chroma", title="Chroma1-HD", repo="lodestones/Chroma1-HD", licence="Apache-2.0",
        files=files, defaults=FACTS.defaults,
        note="Made from FLUX.1-schnell, and no longer distilled: it reads a negative prompt. FLUX.1's ControlNets steer it. Its tokenizer "
        "needs the package sentencepiece.",
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (_base(),)

MINIATURE = Miniature(
    network={
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": TINY_WORDS,
        "axes_dims_rope": (8, 4, 4),
        "num_layers": 5,
        "num_single_layers": 4,
        "approximator_num_channels": 16,
        "approximator_hidden_dim": 16,
        "approximator_layers": 1,
    },
    scheduler={},
)
