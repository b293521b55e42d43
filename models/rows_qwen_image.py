"""The catalogue's rows of Qwen-Image: bases in several files, and their ControlNets. See rows.py on sizes."""

from __future__ import annotations

from dataclasses import replace

from models.families import FAMILIES, TITLES
from models.family_facts import Defaults
from models.row import MB, File, Weights, folder_files, network_files, sharded_files

_APACHE = "Apache-2.0"
_DEFAULTS = FAMILIES["qwen_image"].defaults
_FUN = "Qwen-Image-2512-Fun-Controlnet-Union"
_TRANSFORMER, _VAE = 40_861, 254
"""MB of networks, by the numbers of parameters of diffusers' default configs, which are those of the published ones."""


def _base(
    id: str, title: str, note: str, defaults: Defaults = _DEFAULTS, scale: float | None = None, controlnet: str = ""
) -> Weights:
    """A base; its text encoder is Qwen2.5-VL with 7 B parameters."""
    files = (
        *folder_files(("vae", "tokenizer", "scheduler"), {"vae": _VAE * MB}),
        *sharded_files("transformer", "diffusion_pytorch_model", 9, _TRANSFORMER),
        *sharded_files("text_encoder", "model", 4),
    )
    return Weights(
        id=id, kind="base", family="qwen_image", title=title, repo=f"Qwen/{title}", licence=_APACHE, files=files,
        defaults=defaults, conditioning_scale=scale, controlnet=controlnet, note=note,
    )  # fmt: skip


def _control(
    name: str, title: str, repo: str, files: tuple[File, ...], conditions: str, note: str, scale: float = 1.0
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_qwen_image", kind="controlnet", family="qwen_image", repo=repo, licence=_APACHE, files=files,
        title=f"{title} for {TITLES['qwen_image']}", conditions=tuple(conditions.split()), conditioning_scale=scale,
        note=note,
    )  # fmt: skip


ROWS: tuple[Weights, ...] = (
    _base("qwen_image", "Qwen-Image", "A transformer of 20 B parameters and a text encoder of 7 B: it needs much memory."),
    _base("qwen_image_2512", "Qwen-Image-2512", "The version of December 2025, which has a union ControlNet of its own.",
          replace(_DEFAULTS, num_inference_steps=50), 0.8, "controlnet_fun_qwen_image"),
    _control("union", "Union (InstantX)", "InstantX/Qwen-Image-ControlNet-Union", network_files(3540),
             "canny softedge depth openpose", "With several units, start at a strength of 0.5 each."),
    _control("inpaint", "Inpainting (InstantX)", "InstantX/Qwen-Image-ControlNet-Inpainting", network_files(), "inpaint",
             "Reads the masked picture."),
    _control("fun", "Union (VideoX-Fun, 2512)", f"alibaba-pai/{_FUN}", (File(f"{_FUN}.safetensors", 3510 * MB),),
             "canny depth openpose mlsd scribble", "For Qwen-Image-2512; it also reads the known part of a picture.", 0.8),
)  # fmt: skip
