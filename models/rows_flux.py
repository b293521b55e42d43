"""The catalogue's rows of FLUX.1 and Chroma: bases in several files, and the ControlNets of both. See rows.py on sizes."""

from __future__ import annotations

from dataclasses import replace

from models.families import FAMILIES, TITLES
from models.family_facts import Defaults
from models.row import MB, File, Weights, folder_files, network_files, sharded_files, text_files

_DEV, _APACHE = "FLUX.1 [dev] Non-Commercial", "Apache-2.0"
_DEFAULTS = FAMILIES["flux"].defaults
_TRANSFORMER, _T5, _CLIP, _VAE = 23_803, 9525, 246, 168
"""MB of networks, by the numbers of parameters of the published configs."""


def _base(id: str, title: str, licence: str, note: str, defaults: Defaults = _DEFAULTS) -> Weights:
    """A base; its text encoders are CLIP's, and T5's with 4.8 B parameters."""
    files = (
        *folder_files(
            ("vae", "text_encoder", "tokenizer", "scheduler"), {"vae": _VAE * MB, "text_encoder": _CLIP * MB}
        ),
        *text_files("tokenizer_2/tokenizer.json", "tokenizer_2/tokenizer_config.json"),
        *sharded_files("text_encoder_2", "model", 2, _T5),
        *sharded_files("transformer", "diffusion_pytorch_model", 3, _TRANSFORMER),
    )
    return Weights(
        id=id, kind="base", family="flux", title=title, repo=f"black-forest-labs/{title}", licence=licence, files=files,
        defaults=defaults, note=note,
    )  # fmt: skip


def _control(
    name: str, title: str, repo: str, files: tuple[File, ...], conditions: str, note: str, scale: float | None = None
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_flux", kind="controlnet", family="flux", repo=repo, licence=_DEV, files=files,
        title=f"{title} for {TITLES['flux']}", conditions=tuple(conditions.split()), conditioning_scale=scale, note=note,
    )  # fmt: skip


def _xlabs(name: str, title: str, condition: str) -> Weights:
    return _control(
        f"xlabs_{name}", f"{title} (XLabs)", f"XLabs-AI/flux-controlnet-{name}-diffusers", network_files(1488), condition,
        "Small; reads the map's pixels.",
    )  # fmt: skip


def _chroma() -> Weights:
    files = (
        *folder_files(("vae", "scheduler"), {"vae": _VAE * MB}),
        File("tokenizer/spiece.model", 0, others=("tokenizer/tokenizer.json",)),
        *text_files("tokenizer/tokenizer_config.json"),
        *sharded_files("text_encoder", "model", 2, _T5),
        *sharded_files("transformer", "diffusion_pytorch_model", 2, 17_800),
    )
    return Weights(
        id="chroma", kind="base", family="chroma", title="Chroma1-HD", repo="lodestones/Chroma1-HD", licence=_APACHE,
        files=files, defaults=FAMILIES["chroma"].defaults,
        note="Made from FLUX.1-schnell, and no longer distilled: it reads a negative prompt. FLUX.1's ControlNets steer it. Its tokenizer "
        "needs the package sentencepiece.",
    )  # fmt: skip


ROWS: tuple[Weights, ...] = (
    _base("flux", "FLUX.1-dev", _DEV,
          "Gated: accept its terms on its page first. guidance_scale is a number that the network reads; there is no negative "
          "prompt."),
    _base("flux_schnell", "FLUX.1-schnell", _APACHE, "Distilled to few steps: it reads no guidance_scale and no negative prompt.",
          replace(_DEFAULTS, guidance_scale=1.0, num_inference_steps=4)),
    _chroma(),
    _control("union", "Union Pro 2.0", "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0", network_files(4282),
             "canny softedge depth openpose recolor",
             "Its authors' strengths: canny and soft edge 0.7, depth 0.8, pose 0.9 to 0.65 of the steps, grey 0.9 to 0.8.", 0.7),
    _control("instantx", "Union (InstantX)", "InstantX/FLUX.1-dev-Controlnet-Union", network_files(6604),
             "canny tile depth openpose recolor", "Reads which kind of map it gets; start at a strength of 0.6 to 1."),
    _xlabs("canny", "Canny", "canny"),
    _xlabs("depth", "Depth", "depth"),
    _xlabs("hed", "Soft edge", "softedge"),
)  # fmt: skip
