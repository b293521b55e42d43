"""Stable Diffusion XL. Loads nothing."""

from __future__ import annotations

from typing import Any

from models.catalogue.row import MB, File, Weights
from models.families.previews import SDXL_PREVIEW
from models.families.unets import (
    APACHE,
    INPAINTS,
    RAIL_PP,
    UNKNOWN,
    adapter,
    base,
    controlnet,
    ip_adapter,
    lora,
    miniature,
)
from models.family_facts import Defaults, FamilyFacts, OneFile, OriginalEncoder, Parameters

FACTS = FamilyFacts(
    id="sdxl",
    title="SDXL",
    defaults=Defaults(size=1024, guidance_scale=5.0, num_inference_steps=30),
    parameters=Parameters(network=2567.5, controlnet=1251.0, text_encoders=817.8, vae=83.7),
    control_blocks=10,
    latent_channels=4,
    latent_scaling=0.13025,
    vae_overflows_half=True,
    preview=SDXL_PREVIEW,
    predictions=("epsilon",),
    linear_projection=True,
    size_conditions=True,
    text_widths=(768, 1280),
    words_width=2048,
    text_encoders=2,
    penultimate_words=True,
    zero_negative=True,
    inpainting_channels=9,
    t2i_square=16,
    one_file=OneFile(
        text_encoders=(
            OriginalEncoder("conditioner.embedders.0.transformer."),
            OriginalEncoder("conditioner.embedders.1.model.", open_clip=True, projects=True),
        ),
        latent_side=128,
        latent_side_v=128,
    ),
    pipeline_class="StableDiffusionXLPipeline",
)

_SIZES = {"unet": 5135, "vae": 167, "text_encoder": 246, "text_encoder_2": 1389}
"""MB of networks, fp16."""


def _sdxl(name: str, title: str, conditions: str, repo: str, licence: str, mb: int | None, **more: Any) -> Weights:
    return controlnet(f"controlnet_{name}_sdxl", FACTS, title, conditions, repo, licence, mb, **more)


def _union(name: str, title: str, conditions: str, control_type: int, **more: Any) -> Weights:
    """One input of the union ControlNet."""
    repo = "xinsir/controlnet-union-sdxl-1.0"
    return _sdxl(
        f"union{name}", f"{title} (union)", conditions, repo, APACHE, 2513, control_type=control_type,
        shares="controlnet_union_sdxl" if name else "", **more,
    )  # fmt: skip


def _promax(name: str, title: str, conditions: str, control_type: int) -> Weights:
    """One input of the larger union ControlNet, from a copy that diffusers can read."""
    repo = "brad-twinkl/controlnet-union-sdxl-1.0-promax"
    return _sdxl(
        f"promax_{name}", f"{title} (union promax)", conditions, repo, APACHE, 2516, control_type=control_type,
        shares="controlnet_promax_sdxl",
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (
    base("sdxl", FACTS, "Stable Diffusion XL 1.0", "stabilityai/stable-diffusion-xl-base-1.0", RAIL_PP, _SIZES,
         aliases="sd_xl_base_1.0"),
    base("sdxl_inpaint", FACTS, "Stable Diffusion XL Inpainting", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
         RAIL_PP, _SIZES, note=INPAINTS, inpaints=True),
    _sdxl("canny", "Canny", "canny", "diffusers/controlnet-canny-sdxl-1.0", RAIL_PP, 2502),
    _sdxl("canny_mid", "Canny (middle)", "canny", "diffusers/controlnet-canny-sdxl-1.0-mid", RAIL_PP, None),
    _sdxl("canny_small", "Canny (small)", "canny", "diffusers/controlnet-canny-sdxl-1.0-small", RAIL_PP, None),
    _sdxl("canny_xinsir", "Canny (xinsir)", "canny", "xinsir/controlnet-canny-sdxl-1.0", APACHE, 2502),
    _sdxl("softedge", "Soft edge", "softedge lineart lineart_anime", "TheMistoAI/MistoLine", RAIL_PP, 2502),
    _sdxl("openpose", "OpenPose", "openpose", "thibaud/controlnet-openpose-sdxl-1.0", "other", 5004),
    _sdxl("openpose_xinsir", "OpenPose (xinsir)", "openpose", "xinsir/controlnet-openpose-sdxl-1.0", APACHE, 2502,
          note="Trained on thick limbs: set the annotator to sticks=thick."),
    _sdxl("depth", "Depth", "depth", "diffusers/controlnet-depth-sdxl-1.0", RAIL_PP, 2502),
    _sdxl("depth_mid", "Depth (middle)", "depth", "diffusers/controlnet-depth-sdxl-1.0-mid", RAIL_PP, None),
    _sdxl("depth_small", "Depth (small)", "depth", "diffusers/controlnet-depth-sdxl-1.0-small", RAIL_PP, None),
    _sdxl("depth_zoe", "Depth (Zoe)", "depth", "diffusers/controlnet-zoe-depth-sdxl-1.0", RAIL_PP, 2502),
    _sdxl("depth_xinsir", "Depth (xinsir)", "depth", "xinsir/controlnet-depth-sdxl-1.0", APACHE, 2502),
    _sdxl("scribble", "Scribble", "scribble", "xinsir/controlnet-scribble-sdxl-1.0", APACHE, 2502),
    _sdxl("tile", "Tile", "tile", "xinsir/controlnet-tile-sdxl-1.0", APACHE, 2502),
    _sdxl("segmentation", "Segmentation", "segmentation", "abovzv/sdxl_segmentation_controlnet_ade20k", APACHE, None,
          files=(File("sdxl_segmentation_ade20k_controlnet.safetensors", 5004 * MB),)),
    _union("", "Normals", "normal", 4),
    _union("_openpose", "OpenPose", "openpose", 0),
    _union("_depth", "Depth", "depth", 1),
    _union("_softedge", "Soft edge and scribble", "softedge scribble", 2),
    _union("_lines", "Hard edges and lines", "canny lineart lineart_anime mlsd", 3),
    _union("_segmentation", "Segmentation", "segmentation", 5),
    _promax("openpose", "OpenPose", "openpose", 0),
    _promax("depth", "Depth", "depth", 1),
    _promax("softedge", "Soft edge and scribble", "softedge scribble", 2),
    _promax("lines", "Hard edges and lines", "canny lineart lineart_anime mlsd", 3),
    _promax("normal", "Normals", "normal", 4),
    _promax("segmentation", "Segmentation", "segmentation", 5),
    _promax("tile", "Tile", "tile", 6),
    _promax("inpaint", "Inpaint", "inpaint", 7),
    adapter("t2iadapter_canny_sdxl", FACTS, "Canny", "canny", "t2i-adapter-canny-sdxl-1.0", 158),
    adapter("t2iadapter_lineart_sdxl", FACTS, "Line art", "lineart", "t2i-adapter-lineart-sdxl-1.0", 158),
    adapter("t2iadapter_sketch_sdxl", FACTS, "Sketch", "softedge scribble", "t2i-adapter-sketch-sdxl-1.0", 158),
    adapter("t2iadapter_depth_sdxl", FACTS, "Depth", "depth", "t2i-adapter-depth-midas-sdxl-1.0", 158),
    adapter("t2iadapter_depth_zoe_sdxl", FACTS, "Depth (Zoe)", "depth", "t2i-adapter-depth-zoe-sdxl-1.0", 158),
    ip_adapter("ip_adapter_sdxl", FACTS, "IP-Adapter for SDXL", "sdxl_models/ip-adapter_sdxl.safetensors", 703, 3690),
    lora("lcm_lora_sdxl", FACTS, "LCM-LoRA for SDXL", "latent-consistency/lcm-lora-sdxl", RAIL_PP,
         "pytorch_lora_weights.safetensors", 394),
    lora("hyper_sdxl_4steps", FACTS, "Hyper-SD, 4 steps, for SDXL", "ByteDance/Hyper-SD", UNKNOWN,
         "Hyper-SDXL-4steps-lora.safetensors", 787),
    lora("lightning_sdxl_4steps", FACTS, "SDXL-Lightning, 4 steps", "ByteDance/SDXL-Lightning", RAIL_PP,
         "sdxl_lightning_4step_lora.safetensors", 394),
)  # fmt: skip

MINIATURE = miniature(FACTS)
