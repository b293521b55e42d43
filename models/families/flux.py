"""FLUX.1: bases in several files, and ControlNets, which steer Chroma too. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights, folder_files, network_files, sharded_files, text_files
from models.families.inner_encoders import CLIP_L, T5_XXL
from models.families.previews import FLUX_PREVIEW
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Layers, Miniature, Parameters

FLUX_LAYERS: Layers = (
    *(
        (f"double_blocks.{{}}.{original}", tuple(f"transformer_blocks.{{}}.{layer}" for layer in own.split()))
        for original, own in (
            ("img_attn.qkv", "attn.to_q attn.to_k attn.to_v"),
            ("txt_attn.qkv", "attn.add_q_proj attn.add_k_proj attn.add_v_proj"),
            ("img_attn.proj", "attn.to_out.0"),
            ("txt_attn.proj", "attn.to_add_out"),
            ("img_mlp.0", "ff.net.0.proj"),
            ("img_mlp.2", "ff.net.2"),
            ("txt_mlp.0", "ff_context.net.0.proj"),
            ("txt_mlp.2", "ff_context.net.2"),
            ("img_mod.lin", "norm1.linear"),
            ("txt_mod.lin", "norm1_context.linear"),
        )
    ),
    *(
        (f"single_blocks.{{}}.{original}", tuple(f"single_transformer_blocks.{{}}.{layer}" for layer in own.split()))
        for original, own in (
            ("linear1", "attn.to_q attn.to_k attn.to_v proj_mlp"),
            ("linear2", "proj_out"),
            ("modulation.lin", "norm.linear"),
        )
    ),
    ("img_in", ("x_embedder",)),
    ("txt_in", ("context_embedder",)),
    ("final_layer.linear", ("proj_out",)),
    *(
        (f"{original}.{side}_layer", (f"time_text_embed.{own}.linear_{number}",))
        for original, own in (
            ("time_in", "timestep_embedder"), ("vector_in", "text_embedder"), ("guidance_in", "guidance_embedder"),
        )
        for number, side in enumerate(("in", "out"), 1)
    ),
)  # fmt: skip

FLUX_PARTS = ((r"^controlnet_blocks\.\d+\.weight$", 19), (r"^controlnet_single_blocks\.\d+\.weight$", 38))

# Steps and guidance are those of dev, and the strength that of Union-Pro-2.0. T5 and the transformer overflow in float16:
# authors and diffusers run both in bfloat16.
FACTS = FamilyFacts(
    id="flux",
    title="FLUX.1",
    backbone="flux",
    defaults=Defaults(size=1024, guidance_scale=3.5, num_inference_steps=28),
    conditioning_scale=0.7,
    parameters=Parameters(network=11901.4, controlnet=2140.9, text_encoders=4885.4, vae=83.8),
    control_blocks=5,
    control_parts=FLUX_PARTS,
    side_multiple=16,
    latent_channels=16,
    latent_scaling=0.3611,
    latent_shift=0.1159,
    overflows_half=True,
    preview=FLUX_PREVIEW,
    predictions=("flow",),
    guidance="distilled",
    resolutions=False,
    latent_hints=True,
    text_encoders=2,
    layer_marks=(
        (r"(^|[._])(single_transformer_blocks|double_blocks|single_blocks)[._]\d+[._]", 3072),
        (r"(^|[._])transformer_blocks[._]\d+[._](ff(_context)?[._]net[._]0|norm1(_context)?[._]linear)([._]|$)", 3072),
    ),
    twin_blocks=19,
    original_layers=FLUX_LAYERS,
    ip_adapters=False,
    pipeline_class="FluxPipeline",
    network_folder="transformer",
    network_class="FluxTransformer2DModel",
    network_marks=(
        frozenset({"double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight", "final_layer.linear.weight"}),
        frozenset(
            {
                "single_transformer_blocks.0.attn.to_q.weight",
                "time_text_embed.text_embedder.linear_1.weight",
                "proj_out.weight",
            }
        ),
    ),
    base_by_tensor=(
        ("guidance_in.in_layer.weight", "flux"),
        ("guidance_embedder.linear_1.weight", "flux"),
        ("", "flux_schnell"),
    ),
    base_by_config=(("guidance_embeds", False, "flux_schnell"),),
    block_numbers=(("num_layers", 36), ("num_single_layers", 15)),
    inner_encoders=(CLIP_L, T5_XXL),
    control_class="FluxControlNetModel",
    control_marks=(
        frozenset({"controlnet_x_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"}),
        frozenset({"double_blocks.0.img_attn.qkv.weight", "pos_embed_input.weight", "input_hint_block.14.weight"}),
    ),
    vae_classes=("AutoencoderKL",),
    text_encoder_classes=("CLIPTextModel", "T5EncoderModel"),
    tokenizer_classes=("CLIPTokenizer", "T5TokenizerFast"),
)

_DEV, _APACHE = "FLUX.1 [dev] Non-Commercial", "Apache-2.0"
_TRANSFORMER, _T5, _CLIP, _VAE = 23_803, 9525, 246, 168
"""MB of networks, by the numbers of parameters of the published configs."""


def _base(
    id: str, title: str, licence: str, note: str, defaults: Defaults = FACTS.defaults, gated: bool = False
) -> Weights:
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
        defaults=defaults, note=note, gated=gated,
    )  # fmt: skip


def _control(
    name: str,
    title: str,
    repo: str,
    files: tuple[File, ...],
    conditions: str,
    note: str,
    scale: float | None = None,
    blocks: int | None = None,
) -> Weights:
    return Weights(
        id=f"controlnet_{name}_flux", kind="controlnet", family="flux", repo=repo, licence=_DEV, files=files,
        title=f"{title} for {FACTS.title}", conditions=tuple(conditions.split()), conditioning_scale=scale, note=note,
        blocks=blocks,
    )  # fmt: skip


def _xlabs(name: str, title: str, condition: str) -> Weights:
    return _control(
        f"xlabs_{name}", f"{title} (XLabs)", f"XLabs-AI/flux-controlnet-{name}-diffusers", network_files(1488), condition,
        "Small; reads the map's pixels.", blocks=2,
    )  # fmt: skip


WEIGHTS: tuple[Weights, ...] = (
    _base("flux", "FLUX.1-dev", _DEV,
          "guidance_scale is a number that the network reads; there is no negative prompt.", gated=True),
    _base("flux_schnell", "FLUX.1-schnell", _APACHE, "Distilled to few steps: it reads no guidance_scale and no negative prompt.",
          replace(FACTS.defaults, guidance_scale=1.0, num_inference_steps=4)),
    _control("union", "Union Pro 2.0", "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0", network_files(4282),
             "canny softedge depth openpose recolor",
             "Its authors' strengths: canny and soft edge 0.7, depth 0.8, pose 0.9 to 0.65 of the steps, grey 0.9 to 0.8.", 0.7),
    _control("instantx", "Union (InstantX)", "InstantX/FLUX.1-dev-Controlnet-Union", network_files(6604),
             "canny tile depth openpose recolor", "Reads which kind of map it gets; start at a strength of 0.6 to 1.", blocks=15),
    _xlabs("canny", "Canny", "canny"),
    _xlabs("depth", "Depth", "depth"),
    _xlabs("hed", "Soft edge", "softedge"),
)  # fmt: skip

# As in the published bases, the double blocks are not a multiple of the ControlNet's.
MINIATURE = Miniature(
    network={
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": TINY_WORDS,
        "axes_dims_rope": (8, 4, 4),
        "num_layers": 5,
        "num_single_layers": 4,
        "pooled_projection_dim": TINY_WORDS,
        "guidance_embeds": True,
    },
    scheduler={"use_dynamic_shifting": True, "shift": 3.0},
)
