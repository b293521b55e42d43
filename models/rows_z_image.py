"""The catalogue's rows of Z-Image: bases in several files, and ControlNets in one file of their authors. See rows.py on sizes."""

from __future__ import annotations

from dataclasses import replace

from models.families import FAMILIES, TITLES
from models.family_facts import Defaults
from models.row import MB, File, Weights, folder_files, sharded_files, text_files

_APACHE = "Apache-2.0"
_DEFAULTS = FAMILIES["z_image"].defaults
_TURBO = "Z-Image-Turbo-Fun-Controlnet"
_UNION = "canny softedge depth openpose mlsd"
_FOR_TURBO = "For Z-Image Turbo, whose few steps it keeps."


def _base(
    id: str, title: str, repo: str, shards: int, mb: int, scale: float, note: str, defaults: Defaults = _DEFAULTS,
    controlnet: str = "",
) -> Weights:  # fmt: skip
    """A base, its transformer cut into files of `mb` together; the text encoder is Qwen3 with 4 B parameters."""
    names = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")
    files = (
        *folder_files(("vae", "scheduler"), {"vae": 168 * MB}),
        *text_files(*(f"tokenizer/{name}" for name in names)),
        *sharded_files("transformer", "diffusion_pytorch_model", shards, mb),
        *sharded_files("text_encoder", "model", 3, 8045),
    )
    return Weights(
        id=id, kind="base", family="z_image", title=title, repo=f"Tongyi-MAI/{repo}", licence=_APACHE, files=files,
        defaults=defaults, conditioning_scale=scale, controlnet=controlnet, note=note,
    )  # fmt: skip


def _control(
    name: str, title: str, repo: str, file: str, mb: int, scale: float, note: str, conditions: str = _UNION
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_z_image", kind="controlnet", family="z_image", title=f"{title} for {TITLES['z_image']}",
        repo=f"alibaba-pai/{repo}", licence=_APACHE, files=(File(f"{file}.safetensors", mb * MB),),
        conditions=tuple(conditions.split()), conditioning_scale=scale, note=note,
    )  # fmt: skip


ROWS: tuple[Weights, ...] = (
    _base("z_image", "Z-Image Turbo", "Z-Image-Turbo", 3, 24_600, 0.75,
          "Distilled: keep guidance_scale at 1. It is one more here than the number that the authors give."),
    _base("z_image_base", "Z-Image", "Z-Image", 2, 12_310, 0.9,
          "Not distilled: it takes more steps, and reads a negative prompt. guidance_scale is one more here than the number "
          "that the authors give.",
          replace(_DEFAULTS, guidance_scale=5.0, num_inference_steps=25), "controlnet_union_base_z_image"),
    _control("union", "Union 2.1 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Union-2.1-8steps", 6712, 0.75, _FOR_TURBO),
    _control("union_lite", "Union 2.1 lite (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Union-2.1-lite-2602-8steps", 2020,
             0.75, "For Z-Image Turbo; small, with control at three of the base's layers."),
    _control("tile", "Tile 2.1 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Tile-2.1-8steps", 6712, 0.85, _FOR_TURBO, "tile"),
    _control("union_1", "Union 1 (Turbo)", f"{_TURBO}-Union", f"{_TURBO}-Union", 3100, 0.75,
             "The first version, for Z-Image Turbo."),
    _control("union_base", "Union 2.1 (not distilled)", "Z-Image-Fun-Controlnet-Union-2.1",
             "Z-Image-Fun-Controlnet-Union-2.1", 6712, 0.9, "For Z-Image, the base that is not distilled."),
)  # fmt: skip
