"""Stable Diffusion 1.5. Loads nothing."""

from __future__ import annotations

from typing import Any

from models.catalogue.row import Weights
from models.families.previews import SD_PREVIEW
from models.families.unets import (
    INPAINTS,
    RAIL,
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

# Guidance 9 and 20 steps are those of the original ControlNet demos.
FACTS = FamilyFacts(
    id="sd15",
    title="SD 1.5",
    defaults=Defaults(size=512, guidance_scale=9.0, num_inference_steps=20),
    parameters=Parameters(network=859.5, controlnet=361.3, text_encoders=123.1, vae=83.7),
    control_blocks=13,
    latent_channels=4,
    latent_scaling=0.18215,
    preview=SD_PREVIEW,
    predictions=("epsilon",),
    text_widths=(768,),
    words_width=768,
    inpainting_channels=9,
    t2i_square=8,
    one_file=OneFile(
        text_encoders=(OriginalEncoder("cond_stage_model.transformer."),),
        latent_side=64,
        latent_side_v=64,
        heads=8,
    ),
)

_SIZES = {"unet": 1719, "vae": 167, "text_encoder": 246}
"""MB of networks, fp16."""


def _sd15(id: str, title: str, condition: str, note: str = "", **more: Any) -> Weights:
    """The 1.1 ControlNets of the original authors, fp16."""
    return controlnet(id, FACTS, title, condition, f"lllyasviel/{id}", "OpenRAIL", 723, note=note, **more)


def _sd15_first(name: str, title: str, condition: str, **more: Any) -> Weights:
    """The 1.0 ControlNets of the original authors, fp32."""
    id, repo, aliases = f"sd_controlnet_{name}", f"lllyasviel/sd-controlnet-{name}", (f"control_sd15_{name}",)
    title = f"{title}, first version,"
    return controlnet(id, FACTS, title, condition, repo, "OpenRAIL", 1445, aliases=aliases, **more)


WEIGHTS: tuple[Weights, ...] = (
    base("sd15", FACTS, "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", RAIL, _SIZES,
         aliases="v1-5-pruned-emaonly v1-5-pruned"),
    base("sd15_inpaint", FACTS, "Stable Diffusion 1.5 Inpainting", "stable-diffusion-v1-5/stable-diffusion-inpainting",
         RAIL, _SIZES, "sd-v1-5-inpainting", note=INPAINTS, inpaints=True),
    _sd15("control_v11p_sd15_canny", "Canny", "canny"),
    _sd15("control_v11p_sd15_softedge", "Soft edge", "softedge"),
    _sd15("control_v11p_sd15_openpose", "OpenPose", "openpose"),
    _sd15("control_v11f1p_sd15_depth", "Depth", "depth"),
    _sd15("control_v11p_sd15_normalbae", "Normals", "normal"),
    _sd15("control_v11p_sd15_seg", "Segmentation", "segmentation"),
    _sd15("control_v11p_sd15_scribble", "Scribble", "scribble"),
    _sd15("control_v11p_sd15_mlsd", "Straight lines", "mlsd"),
    _sd15("control_v11p_sd15_lineart", "Line art", "lineart"),
    _sd15("control_v11p_sd15s2_lineart_anime", "Anime line art", "lineart_anime",
          "For anime bases that skip the text encoder's last layer (clip skip 2); not for guess mode."),
    _sd15("control_v11e_sd15_shuffle", "Shuffle", "shuffle", "Takes colours and style, not places, from its map.", pools=True),
    _sd15("control_v11f1e_sd15_tile", "Tile", "tile"),
    _sd15("control_v11p_sd15_inpaint", "Inpaint", "inpaint", "Its map is the picture, with -1 where the mask covers it."),
    _sd15("control_v11e_sd15_ip2p", "Instruct pix2pix", "ip2p", "Its map is the picture, its prompt what to change."),
    _sd15_first("canny", "Canny", "canny"),
    _sd15_first("hed", "Soft edge", "softedge"),
    _sd15_first("openpose", "OpenPose", "openpose"),
    _sd15_first("depth", "Depth", "depth"),
    _sd15_first("normal", "Normals", "normal", bgr=True),
    _sd15_first("seg", "Segmentation", "segmentation"),
    _sd15_first("scribble", "Scribble", "scribble"),
    _sd15_first("mlsd", "Straight lines", "mlsd"),
    adapter("t2iadapter_canny_sd15", FACTS, "Canny", "canny", "t2iadapter_canny_sd15v2", 154),
    adapter("t2iadapter_sketch_sd15", FACTS, "Sketch", "softedge scribble", "t2iadapter_sketch_sd15v2", 154),
    adapter("t2iadapter_depth_sd15", FACTS, "Depth", "depth", "t2iadapter_depth_sd15v2", 155),
    adapter("t2iadapter_color_sd15", FACTS, "Colours", "color", "t2iadapter_color_sd14v1", 37),
    ip_adapter("ip_adapter_sd15", FACTS, "IP-Adapter for SD 1.5", "models/ip-adapter_sd15.safetensors", 45, 2528, 1309),
    ip_adapter("ip_adapter_plus_sd15", FACTS, "IP-Adapter plus for SD 1.5",
               "models/ip-adapter-plus_sd15.safetensors", 98, 2528, 1362),
    lora("lcm_lora_sd15", FACTS, "LCM-LoRA for SD 1.5", "latent-consistency/lcm-lora-sdv1-5", RAIL_PP,
         "pytorch_lora_weights.safetensors", 135),
    lora("hyper_sd15_4steps", FACTS, "Hyper-SD, 4 steps, for SD 1.5", "ByteDance/Hyper-SD", UNKNOWN,
         "Hyper-SD15-4steps-lora.safetensors", 269),
)  # fmt: skip

MINIATURE = miniature(FACTS)
