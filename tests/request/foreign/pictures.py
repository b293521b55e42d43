"""Pictures as other programs write them, made here after the public descriptions of their formats."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

USER_COMMENT, EXIF_IFD = 0x9286, 0x8769

A1111 = """\
a castle on a hill, (sunset:1.2), <lora:ink style:0.7>,
wide view
Negative prompt: blurry, "text",
dull
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: vae-ft-mse-840000-ema-pruned.safetensors, \
Clip skip: 2, ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, \
Resize Mode: Crop and Resize, Processor Res: 512, Threshold A: 100.0, Threshold B: 200.0, Guidance Start: 0.1, \
Guidance End: 0.6, Pixel Perfect: True, Control Mode: Balanced", ControlNet 1: "Module: depth_midas, \
Model: control_v11f1p_sd15_depth [cfd03158], Weight: 1.0, Guidance Start: 0.0, Guidance End: 1.0, \
Control Mode: My prompt is more important", Lora hashes: "ink style: c5b5ca4d1bd3", Version: v1.10.1"""

A1111_OLD = """\
a cat
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, Model hash: 81761151, Model: somebody's mix v2, \
ControlNet 0: "preprocessor: openpose, model: control_sd15_openpose [fef5e48e], weight: 0.9, starting/ending: (0.2, 0.75), \
resize mode: Crop and Resize, pixel perfect: False, control mode: Balanced, preprocessor params: (512, 64, 64)", \
Hashes: {"model": "81761151ab", "lora:other": "1234567890"}"""

FORGE = """\
größer, 红 castle
Negative prompt: dull
Steps: 30, Sampler: DPM++ SDE, Schedule type: Automatic, CFG scale: 5, Seed: 7, Size: 1024x1024, Model hash: 31e35c80fc, \
Model: sd_xl_base_1.0, RNG: CPU, Version: f2.0.1v1.10.1-previous-664-gd557aef9"""


def graph(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Nodes by id without its letter: `n3=("KSampler", {…})`."""
    return {id[1:]: {"class_type": kind, "inputs": inputs} for id, (kind, inputs) in nodes.items()}


SAMPLING = {"seed": 42, "steps": 25, "cfg": 6.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 1.0}
COMFY_SIMPLE = graph(
    n3=(
        "KSampler",
        SAMPLING | {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
    ),
    n4=("CheckpointLoaderSimple", {"ckpt_name": "SD15\\v1-5-pruned-emaonly.safetensors"}),
    n5=("EmptyLatentImage", {"width": 640, "height": 448, "batch_size": 1}),
    n6=("CLIPTextEncode", {"text": "a lighthouse,\nstorm", "clip": ["4", 1]}),
    n7=("CLIPTextEncode", {"text": "dull", "clip": ["4", 1]}),
    n8=("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
    n9=("SaveImage", {"filename_prefix": "x", "images": ["8", 0]}),
)
COMFY_CONTROL = graph(
    n1=("CheckpointLoaderSimple", {"ckpt_name": "sd_xl_base_1.0.safetensors"}),
    n2=("LoraLoader", {"lora_name": "xl/ink style.safetensors", "strength_model": 0.6, "strength_clip": 1.0, "model": ["1", 0], "clip": ["1", 1]}),
    n3=("LoraLoader", {"lora_name": "absent.safetensors", "strength_model": 1.0, "strength_clip": 1.0, "model": ["2", 0], "clip": ["2", 1]}),
    n4=("CLIPTextEncode", {"text": ["20", 0], "clip": ["3", 1]}),
    n20=("PrimitiveString", {"value": "a dancer"}),
    n5=("CLIPTextEncode", {"text": "blur", "clip": ["3", 1]}),
    n6=("ControlNetLoader", {"control_net_name": "controlnet-canny-sdxl-1.0.safetensors"}),
    n7=("LoadImage", {"image": "photo.png"}),
    n8=("CannyEdgePreprocessor", {"image": ["7", 0]}),
    n9=("ControlNetApplyAdvanced", {"positive": ["4", 0], "negative": ["5", 0], "control_net": ["6", 0], "image": ["8", 0], "strength": 0.75, "start_percent": 0.0, "end_percent": 0.5}),
    n10=("ControlNetLoader", {"control_net_name": "thibaud_xl_openpose.safetensors"}),
    n11=("ControlNetApplyAdvanced", {"positive": ["9", 0], "negative": ["9", 1], "control_net": ["10", 0], "image": ["7", 0], "strength": 1.0, "start_percent": 0.1, "end_percent": 1.0}),
    n12=("EmptyLatentImage", {"width": 1024, "height": 1024, "batch_size": 1}),
    n13=("KSamplerAdvanced", {"noise_seed": 99, "steps": 30, "cfg": 5.5, "sampler_name": "euler_ancestral", "scheduler": "normal", "start_at_step": 0, "end_at_step": 10000, "model": ["3", 0], "positive": ["11", 0], "negative": ["11", 1], "latent_image": ["12", 0]}),
    n14=("LatentUpscale", {"samples": ["13", 0], "width": 2048, "height": 2048}),
    n15=("KSampler", SAMPLING | {"denoise": 0.5, "model": ["3", 0], "positive": ["11", 0], "negative": ["11", 1], "latent_image": ["14", 0]}),
    n16=("VAELoader", {"vae_name": "sdxl-vae-fp16-fix.safetensors"}),
    n17=("VAEDecode", {"samples": ["15", 0], "vae": ["16", 0]}),
    n18=("SaveImage", {"images": ["17", 0]}),
)  # fmt: skip

INVOKE: dict[str, Any] = {
    "generation_mode": "txt2img", "positive_prompt": "a fox", "negative_prompt": "grey", "width": 512, "height": 640,
    "seed": 2024, "rand_device": "cpu", "cfg_scale": 7.5, "steps": 30, "scheduler": "dpmpp_2m_k", "clip_skip": 1,
    "model": {"key": "a1", "hash": "blake3:00ff", "name": "stable-diffusion-v1-5", "base": "sd-1", "type": "main"},
    "loras": [{"model": {"key": "b2", "hash": "blake3:11", "name": "ink style", "base": "sd-1", "type": "lora"}, "weight": 0.75}],
    "controlnets": [
        {
            "control_model": {"key": "c3", "hash": "blake3:22", "name": "control_v11p_sd15_softedge", "base": "sd-1"},
            "control_weight": 0.6, "begin_step_percent": 0.0, "end_step_percent": 0.8, "control_mode": "balanced",
            "image": {"image_name": "x.png"},
        }
    ],
    "canvas_v2_metadata": {"controlLayers": [
        {"isEnabled": True, "controlAdapter": {"type": "controlnet", "weight": 0.5, "beginEndStepPct": [0.1, 0.7], "model": {"name": "depth"}}},
        {"isEnabled": False, "controlAdapter": {"type": "controlnet", "model": {"name": "off"}}},
    ]},
    "app_version": "6.0.0",
}  # fmt: skip

FOOOCUS: dict[str, Any] = {
    "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689",
    "clip_skip": 2, "full_negative_prompt": ["(worst quality)"], "full_prompt": ["cinematic still a tower"],
    "guidance_scale": 4, "loras": [["ink style", 0.1, "4852686128"]], "metadata_scheme": "fooocus",
    "negative_prompt": "", "performance": "Speed", "prompt": "a tower", "refiner_model": "None", "refiner_switch": 0.5,
    "resolution": "(896, 1152)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "3141592653",
    "sharpness": 2, "steps": 30, "styles": "['Fooocus V2', 'Fooocus Enhance']", "vae": "Default (model)",
    "version": "Fooocus v2.5.5",
}  # fmt: skip

SWARM: dict[str, Any] = {
    "sui_image_params": {
        "prompt": "a bridge <lora:inline:0.3>", "negativeprompt": "fog", "model": "Official/sd_xl_base_1.0", "seed": 11,
        "steps": "20", "cfgscale": "7.0", "aspectratio": "1:1", "width": 1024, "height": 1024, "sampler": "euler_ancestral",
        "scheduler": "normal", "loras": ["ink style", "absent"], "loraweights": ["0.4", "0.7"], "automaticvae": True,
        "controlnetmodel": "sdxl/controlnet-depth", "controlnetstrength": "0.9", "controlnetstart": 0.1, "controlnetend": "0.8",
        "controlnettwomodel": "(None)", "refinerupscale": 1.5, "swarm_version": "0.9.6.2",
    },
    "sui_extra_data": {"date": "2025-09-01"},
    "sui_models": [{"name": "ink style.safetensors", "param": "loras", "hash": "0xe8055d97ec312203"}],
}  # fmt: skip

NOVEL: dict[str, Any] = {
    "prompt": "1girl, {{castle}}", "steps": 28, "height": 1216, "width": 832, "scale": 5.0, "seed": 3735928559,
    "n_samples": 1, "noise_schedule": "karras", "sampler": "k_dpmpp_2m", "uc": "lowres", "cfg_rescale": 0.2,
    "request_type": "PromptGenerateRequest",
    "v4_prompt": {"caption": {"base_caption": "1girl", "char_captions": [{"char_caption": "a knight", "centers": []}]}},
}  # fmt: skip
NOVEL_TEXTS = {
    "Title": "NovelAI generated image",
    "Description": "1girl",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4.5 4BDE2A90",
}


def png(path: Path, **texts: str) -> Path:
    """A PNG with text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (64, 64), (9, 9, 9)).save(path, pnginfo=info)
    return path


def with_comment(path: Path, text: str, code: str = "utf-16-be") -> Path:
    """A JPEG or WebP with a user comment in EXIF."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + text.encode(code)
    Image.new("RGB", (64, 64)).save(path, exif=exif)
    return path


def raw_png(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG with chunks that no library would write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(72)))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*one) for one in chunks) + pixels + chunk(b"IEND", b"")
    )
    return path


def texts_of(program: str) -> Mapping[str, str]:
    """The text chunks of a program's PNG."""
    return {
        "A1111": {"parameters": A1111},
        "A1111 older": {"parameters": A1111_OLD},
        "ComfyUI": {"prompt": json.dumps(COMFY_SIMPLE), "workflow": "{}"},
        "ComfyUI with control": {"prompt": json.dumps(COMFY_CONTROL)},
        "InvokeAI": {"invokeai_metadata": json.dumps(INVOKE)},
        "Fooocus": {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
        "SwarmUI": {"parameters": json.dumps(SWARM, indent=2)},
        "NovelAI": {**NOVEL_TEXTS, "Comment": json.dumps(NOVEL)},
    }[program]
