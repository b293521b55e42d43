"""The catalogue's rows of FLUX.2: bases in several files, and a LoRA with which they follow depth maps. See rows.py on sizes."""

from __future__ import annotations

from models.families import FAMILIES
from models.family_facts import Defaults
from models.row import MB, File, Weights, folder_files, sharded_files, text_files

_APACHE = "Apache-2.0"
_FACTS = FAMILIES["flux2"]
_TRANSFORMER, _ENCODER, _VAE = 7751, 8045, 168
"""MB of networks, by the numbers of parameters of the published configs."""


def _base(id: str, name: str, note: str, defaults: Defaults | None) -> Weights:
    """A base; its text encoder is Qwen3 with 4.0 B parameters."""
    files = (
        *folder_files(("vae", "tokenizer", "scheduler"), {"vae": _VAE * MB}),
        *text_files("transformer/config.json"),
        File("transformer/diffusion_pytorch_model.safetensors", _TRANSFORMER * MB),
        *sharded_files("text_encoder", "model", 2, _ENCODER),
    )
    return Weights(
        id=id, kind="base", family="flux2", title=name, repo=f"black-forest-labs/{name}", licence=_APACHE, files=files,
        defaults=defaults, note=note,
    )  # fmt: skip


ROWS: tuple[Weights, ...] = (
    _base("flux2", "FLUX.2-klein-4B",
          "Distilled to few steps: it reads no guidance_scale and no negative prompt. It reads maps itself, without ControlNets.",
          _FACTS.defaults),
    _base("flux2_base", "FLUX.2-klein-base-4B", "Not distilled: many steps, guidance and a negative prompt. LoRAs are trained on it.",
          _FACTS.undistilled),
    Weights(
        id="refcontrol_depth_flux2", kind="lora", family="flux2", title="RefControl, depth, for FLUX.2",
        repo="thedeoxen/refcontrol-FLUX.2-klein-4B-reference-depth-lora", licence=_APACHE, conditions=("depth",),
        files=(File("flux2_klein_4b_refcontrol_depth.safetensors", 92_426_784,
                    "65ec4c71fa7538b2201481928609a5836773f0dc06a4041b2d28abd05826c401"),),
        note="Made for FLUX.2-klein-base-4B. Name it as the controlnet of a depth unit, and write refcontrol into the prompt.",
    ),
)  # fmt: skip
