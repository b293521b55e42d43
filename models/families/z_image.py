"""Z-Image: bases in several files, and ControlNets in one file of their authors. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights, folder_files, sharded_files, text_files
from models.families.inner_encoders import QWEN3
from models.families.previews import FLUX_PREVIEW
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Miniature, Parameters

# Steps, guidance and strength are those of the distilled base, Z-Image-Turbo. Guidance here is one more than the
# number that diffusers' pipelines and the authors give: they add the difference of the sides to the prompt's.
FACTS = FamilyFacts(
    id="z_image",
    title="Z-Image",
    backbone="z_image",
    defaults=Defaults(size=1024, guidance_scale=1.0, num_inference_steps=8),
    hides_distillation=True,
    conditioning_scale=0.75,
    parameters=Parameters(network=6154.9, controlnet=3356.2, text_encoders=4022.5, vae=83.8),
    control_blocks=17,
    control_parts=(
        (r"^control_layers\.\d+\.after_proj\.weight$", 0),
        (r"^control_noise_refiner\.\d+\.after_proj\.weight$", 0),
    ),
    side_multiple=16,
    latent_channels=16,
    latent_scaling=0.3611,
    latent_shift=0.1159,
    overflows_half=True,
    preview=FLUX_PREVIEW,
    predictions=("flow",),
    resolutions=False,
    latent_hints=True,
    control_prompts=False,
    control_forms=True,
    layer_marks=((r"(^|[._])layers[._]\d+[._]attention[._](to_)?(q|k|v|qkv)([._]|$)", 3840),),
    original_layers=(
        ("attention.qkv", ("attention.to_q", "attention.to_k", "attention.to_v")),
        ("attention.out", ("attention.to_out.0",)),
        ("x_embedder", ("all_x_embedder.2-1",)),
        ("final_layer", ("all_final_layer.2-1",)),
    ),
    ip_adapters=False,
    pipeline_class="ZImagePipeline",
    network_folder="transformer",
    network_class="ZImageTransformer2DModel",
    inner_encoders=(QWEN3,),
    network_marks=(frozenset({"layers.0.adaLN_modulation.0.weight"}),),
    block_numbers=(("n_layers", 12), ("n_refiner_layers", 24)),
    control_class="ZImageControlNetModel",
    control_marks=(frozenset({"control_all_x_embedder.2-1.weight"}),),
    text_encoder_classes=("Qwen3Model",),
    tokenizer_classes=("Qwen2Tokenizer",),
)

_APACHE = "Apache-2.0"
_TURBO = "Z-Image-Turbo-Fun-Controlnet"
_UNION = "canny softedge depth openpose mlsd"
_UNION_2602 = f"{_UNION} scribble recolor"
"""The versions of February 2026 read drawings and grey pictures too."""
_FOR_TURBO = "For Z-Image Turbo, whose few steps it keeps."
_FOR_BOTH = "It also stands in for the undistilled Z-Image, which has none of its own for {}."


def _base(
    id: str, title: str, repo: str, shards: int, mb: int, scale: float, note: str, defaults: Defaults = FACTS.defaults,
    controlnets: tuple[str, ...] = (),
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
        defaults=defaults, conditioning_scale=scale, controlnets=controlnets, note=note,
    )  # fmt: skip


def _control(
    name: str,
    title: str,
    repo: str,
    file: str,
    mb: int,
    scale: float,
    note: str,
    conditions: str = _UNION,
    blocks: int | None = None,
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_z_image", kind="controlnet", family="z_image", title=f"{title} for {FACTS.title}",
        repo=f"alibaba-pai/{repo}", licence=_APACHE, files=(File(f"{file}.safetensors", mb * MB),),
        conditions=tuple(conditions.split()), conditioning_scale=scale, note=note, blocks=blocks,
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (
    _base("z_image", "Z-Image Turbo", "Z-Image-Turbo", 3, 24_600, 0.75,
          "Distilled: keep guidance_scale at 1. It is one more here than the number that the authors give."),
    _base("z_image_base", "Z-Image", "Z-Image", 2, 12_310, 0.9,
          "Not distilled: it takes more steps, and reads a negative prompt. guidance_scale is one more here than the number "
          "that the authors give.",
          replace(FACTS.defaults, guidance_scale=5.0, num_inference_steps=25), ("controlnet_union_base_z_image",)),
    _control("union", "Union 2.1 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Union-2.1-8steps", 6712, 0.75, _FOR_TURBO),
    _control("union_2602", "Union 2.1, 2602 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Union-2.1-2602-8steps", 6712, 0.75,
             f"{_FOR_TURBO} {_FOR_BOTH.format('drawings and grey pictures')}", _UNION_2602),
    _control("union_lite", "Union 2.1 lite, 2602 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Union-2.1-lite-2602-8steps",
             2020, 0.75, "For Z-Image Turbo; small, with control at three of the base's layers.", _UNION_2602, 5),
    _control("tile", "Tile 2.1 (Turbo)", f"{_TURBO}-Union-2.1", f"{_TURBO}-Tile-2.1-8steps", 6712, 0.85,
             f"{_FOR_TURBO} {_FOR_BOTH.format('tile')}", "tile"),
    _control("union_1", "Union 1 (Turbo)", f"{_TURBO}-Union", f"{_TURBO}-Union", 3100, 0.75,
             "The first version, for Z-Image Turbo.", blocks=6),
    _control("union_base", "Union 2.1 (not distilled)", "Z-Image-Fun-Controlnet-Union-2.1",
             "Z-Image-Fun-Controlnet-Union-2.1", 6712, 0.9, "For Z-Image, the base that is not distilled."),
)  # fmt: skip

MINIATURE = Miniature(
    network={
        "dim": 32,
        "n_refiner_layers": 2,
        "n_heads": 2,
        "n_kv_heads": 2,
        "n_layers": 4,
        "cap_feat_dim": TINY_WORDS,
        "axes_dims": [8, 4, 4],
        "axes_lens": [1024, 64, 64],
    },
    scheduler={"shift": 3.0},
    guidance_scale=5.0,
)
