"""The embedded model, which ships with the project. Loads nothing."""

from __future__ import annotations

from models.catalogue.row import COMPONENTS, File, Weights, folder_files, shipped
from models.families.unets import APACHE, miniature
from models.family_facts import Defaults, FamilyFacts, Parameters

FACTS = FamilyFacts(
    id="embedded",
    title="the embedded model",
    defaults=Defaults(size=256, guidance_scale=1.5, num_inference_steps=20),
    parameters=Parameters(network=7.8, controlnet=3.0, text_encoders=0.5, vae=0.4),
    control_blocks=9,
    latent_channels=16,
    predictions=("v_prediction",),
    zero_terminal_snr=True,
    linear_projection=True,
    vae_classes=("AutoencoderTiny", "AutoencoderKL"),
)


def _embedded(name: str, title: str, conditions: str = "") -> Weights:
    return Weights(
        id=f"embedded_{name}", kind="controlnet", family=FACTS.id, title=f"{title} for the embedded model",
        folder=f"embedded/controlnet/{name}", conditions=tuple((conditions or name).split()), licence=APACHE,
        files=(File("config.json", 0), File("diffusion_pytorch_model.safetensors")),
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (
    Weights(
        id="embedded", kind="base", family=FACTS.id, title="Embedded model", folder="embedded/base",
        files=shipped(folder_files(COMPONENTS)), licence=APACHE, defaults=FACTS.defaults,
    ),
    _embedded("canny", "Canny"),
    _embedded("softedge", "Soft edge"),
    _embedded("openpose", "OpenPose"),
    _embedded("depth", "Depth"),
    _embedded("normal", "Normals"),
    _embedded("segmentation", "Segmentation"),
    _embedded("scribble", "Scribble"),
    _embedded("lineart", "Line art and straight lines", "lineart lineart_anime mlsd"),
    _embedded("picture", "Pictures", "tile inpaint recolor color"),
)  # fmt: skip

MINIATURE = miniature(
    FACTS,
    {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "clip_sample": False,
    },
    guidance_scale=1.0,
)
