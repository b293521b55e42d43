"""Qwen-Image: bases in several files, and their ControlNets. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights, folder_files, network_files, sharded_files
from models.families.inner_encoders import QWEN_VL
from models.families.previews import WAN_PREVIEW
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Miniature, Parameters

# Steps, guidance and strength are those of diffusers' pipelines for its ControlNets. Authors and diffusers run it in
# bfloat16, and so does half precision here.
FACTS = FamilyFacts(
    id="qwen_image",
    title="Qwen-Image",
    backbone="qwen_image",
    defaults=Defaults(size=1024, guidance_scale=4.0, num_inference_steps=30),
    parameters=Parameters(network=20430.4, controlnet=1768.0, text_encoders=8292.2, vae=126.9),
    control_blocks=5,
    control_parts=((r"^controlnet_blocks\.\d+\.weight$", 60), (r"^control_blocks\.\d+\.after_proj\.weight$", 0)),
    side_multiple=16,
    latent_channels=16,
    overflows_half=True,
    preview=WAN_PREVIEW,
    predictions=("flow",),
    guidance="two_passes",
    resolutions=False,
    latent_hints=True,
    layer_marks=(
        (r"(^|[._])transformer_blocks[._]\d+[._](img|txt)_(mlp|mod)([._]|$)", 3072),
        (r"(^|[._])transformer_blocks[._](19|[2-5]\d)[._]attn[._](to_|add_)", 3072),  # FLUX.1 has 19 such blocks
    ),
    twin_blocks=60,
    ip_adapters=False,
    pipeline_class="QwenImagePipeline",
    network_folder="transformer",
    network_class="QwenImageTransformer2DModel",
    network_marks=(frozenset({"txt_norm.weight", "norm_out.linear.weight"}),),
    block_numbers=(("num_layers", 36),),
    inner_encoders=(QWEN_VL,),
    control_class="QwenImageControlNetModel",
    control_marks=(
        frozenset({"controlnet_x_embedder.weight", "txt_norm.weight"}),
        frozenset({"control_img_in.weight", "control_blocks.0.img_mod.1.weight"}),
    ),
    vae_classes=("AutoencoderKLQwenImage",),
    text_encoder_classes=("Qwen2_5_VLForConditionalGeneration",),
    tokenizer_classes=("Qwen2Tokenizer",),
)

_APACHE = "Apache-2.0"
_FUN = "Qwen-Image-2512-Fun-Controlnet-Union"
_FOR_2512 = "For Qwen-Image-2512; it also reads the known part of a picture."
_TRANSFORMER, _VAE = 40_861, 254
"""MB of networks, by the numbers of parameters of diffusers' default configs, which are those of the published ones."""
_ENCODER = round(2 * FACTS.parameters.text_encoders)
"""MB of the text encoder: computed from its numbers of parameters, of two bytes each."""


def _base(
    id: str,
    title: str,
    note: str,
    defaults: Defaults = FACTS.defaults,
    scale: float | None = None,
    controlnets: tuple[str, ...] = (),
) -> Weights:
    """A base; its text encoder is Qwen2.5-VL with 7 B parameters."""
    files = (
        *folder_files(("vae", "tokenizer", "scheduler"), {"vae": _VAE * MB}),
        *sharded_files("transformer", "diffusion_pytorch_model", 9, _TRANSFORMER),
        *sharded_files("text_encoder", "model", 4, _ENCODER),
    )
    return Weights(
        id=id, kind="base", family="qwen_image", title=title, repo=f"Qwen/{title}", licence=_APACHE, files=files,
        defaults=defaults, conditioning_scale=scale, controlnets=controlnets, note=note,
    )  # fmt: skip


def _control(
    name: str, title: str, repo: str, files: tuple[File, ...], conditions: str, note: str, scale: float = 1.0
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_qwen_image", kind="controlnet", family="qwen_image", repo=repo, licence=_APACHE, files=files,
        title=f"{title} for {FACTS.title}", conditions=tuple(conditions.split()), conditioning_scale=scale,
        note=note,
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (
    _base("qwen_image", "Qwen-Image", "A transformer of 20 B parameters and a text encoder of 7 B: it needs much memory."),
    _base("qwen_image_2512", "Qwen-Image-2512", "The version of December 2025, which has a union ControlNet of its own.",
          replace(FACTS.defaults, num_inference_steps=50), 0.8, ("controlnet_fun_qwen_image", "controlnet_fun_2602_qwen_image")),
    _control("union", "Union (InstantX)", "InstantX/Qwen-Image-ControlNet-Union", network_files(3540),
             "canny softedge depth openpose", "With several units, start at a strength of 0.5 each."),
    _control("inpaint", "Inpainting (InstantX)", "InstantX/Qwen-Image-ControlNet-Inpainting", network_files(), "inpaint",
             "Reads the masked picture."),
    _control("fun", "Union (VideoX-Fun, 2512)", f"alibaba-pai/{_FUN}", (File(f"{_FUN}.safetensors", 3510 * MB),),
             "canny depth openpose mlsd scribble", _FOR_2512, 0.8),
    _control("fun_2602", "Union (VideoX-Fun, 2512, 2602)", f"alibaba-pai/{_FUN}", (File(f"{_FUN}-2602.safetensors", 3510 * MB),),
             "canny depth openpose mlsd scribble recolor", f"{_FOR_2512} It reads grey pictures besides.", 0.8),
)  # fmt: skip

MINIATURE = Miniature(
    network={
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": TINY_WORDS,
        "axes_dims_rope": (8, 4, 4),
        "num_layers": 4,
    },
    scheduler={"use_dynamic_shifting": True, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02},
)
