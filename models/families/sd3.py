"""Stable Diffusion 3.5: bases in several files, and their ControlNets. Loads nothing."""

from __future__ import annotations

from dataclasses import replace

from models.catalogue.row import MB, File, Weights, folder_files, network_file, network_files, sharded_files, text_files
from models.families.inner_encoders import CLIP_G, CLIP_L_IDENTITY, T5_XXL
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Layers, Miniature, Parameters, Rows

# fmt: off
_PREVIEW: Rows = (
    (-0.0922, -0.0175, 0.0749), (0.0311, 0.0633, 0.0954), (0.1994, 0.0927, 0.0458), (0.0856, 0.0339, 0.0902),
    (0.0587, 0.0272, -0.0496), (-0.0006, 0.1104, 0.0309), (0.0978, 0.0306, 0.0427), (-0.0042, 0.1038, 0.1358),
    (-0.0194, 0.0020, 0.0669), (-0.0488, 0.0130, -0.0268), (0.0922, 0.0988, 0.0951), (-0.0278, 0.0524, -0.0542),
    (0.0332, 0.0456, 0.0895), (-0.0069, -0.0030, -0.0810), (-0.0596, -0.0465, -0.0293), (-0.1448, -0.1463, -0.1189),
    (0.2394, 0.2135, 0.1925),
)
"""Fitted by others: the factors that ComfyUI publishes, for latents as the network reads them."""

# The modulation of the words is left out: the halves of the last one are exchanged in diffusers.
_LAYERS: Layers = (
    *(
        (f"joint_blocks.{{}}.{original}", tuple(f"transformer_blocks.{{}}.{layer}" for layer in own.split()))
        for original, own in (
            ("x_block.attn.qkv", "attn.to_q attn.to_k attn.to_v"),
            ("x_block.attn2.qkv", "attn2.to_q attn2.to_k attn2.to_v"),
            ("context_block.attn.qkv", "attn.add_q_proj attn.add_k_proj attn.add_v_proj"),
            ("x_block.attn.proj", "attn.to_out.0"),
            ("x_block.attn2.proj", "attn2.to_out.0"),
            ("context_block.attn.proj", "attn.to_add_out"),
            ("x_block.mlp.fc1", "ff.net.0.proj"),
            ("x_block.mlp.fc2", "ff.net.2"),
            ("context_block.mlp.fc1", "ff_context.net.0.proj"),
            ("context_block.mlp.fc2", "ff_context.net.2"),
            ("x_block.adaLN_modulation.1", "norm1.linear"),
        )
    ),
    ("x_embedder.proj", ("pos_embed.proj",)),
    ("final_layer.linear", ("proj_out",)),
    *(
        (f"{original}.mlp.{place}", (f"time_text_embed.{own}.linear_{number}",))
        for original, own in (("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder"))
        for number, place in enumerate((0, 2), 1)
    ),
)
# fmt: on

_LARGE, _MEDIUM = 2432, 1536
"""Numbers of a token inside of the network."""

# Steps and guidance are those of Stability AI's own code, and of the pages of its ControlNets; the strength is that of diffusers'
# documentation. T5 overflows in float16: authors and diffusers run everything in bfloat16.
FACTS = FamilyFacts(
    id="sd3",
    title="SD 3.5",
    backbone="sd3",
    defaults=Defaults(size=1024, guidance_scale=4.5, num_inference_steps=40),
    conditioning_scale=0.7,
    parameters=Parameters(network=8056.6, controlnet=2153.5, text_encoders=5580.6, vae=83.8),
    control_blocks=19,
    control_parts=((r"^controlnet_blocks\.\d+\.weight$", 0),),
    side_multiple=16,
    latent_channels=16,
    latent_scaling=1.5305,
    latent_shift=0.0609,
    overflows_half=True,
    preview=_PREVIEW,
    predictions=("flow",),
    steps_to_end=True,
    resolutions=False,
    latent_hints=True,
    text_encoders=3,
    optional_text_encoders=1,
    layer_marks=tuple(
        (r"(^|[._])(joint|transformer)_blocks[._]\d+[._](x_block|context_block|attn2?|ff_context)([._]|$)", width)
        for width in (_LARGE, _MEDIUM)
    ),
    original_layers=_LAYERS,
    ip_adapters=False,
    pipeline_class="StableDiffusion3Pipeline",
    network_folder="transformer",
    network_class="SD3Transformer2DModel",
    network_marks=(
        frozenset({"joint_blocks.0.context_block.attn.qkv.weight", "y_embedder.mlp.0.weight"}),
        frozenset({"transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.proj.weight", "proj_out.weight"}),
    ),
    base_by_tensor=((".0.attn2.to_q.weight", "sd3_medium"), (".0.x_block.attn2.qkv.weight", "sd3_medium")),
    base_by_config=(("num_layers", 24, "sd3_medium"),),
    block_numbers=(("num_layers", 36), ("dual_attention_layers", 7)),
    inner_encoders=(CLIP_L_IDENTITY, CLIP_G, replace(T5_XXL, folder="text_encoder_3")),
    control_class="SD3ControlNetModel",
    vae_classes=("AutoencoderKL",),
    text_encoder_classes=("CLIPTextModelWithProjection", "CLIPTextModelWithProjection", "T5EncoderModel"),
    tokenizer_classes=("CLIPTokenizer", "CLIPTokenizer", "T5TokenizerFast"),
)

_COMMUNITY = "Stability AI Community"
_CLIP_L, _CLIP_G, _T5, _VAE = 247, 1389, 9525, 168
"""MB of networks, by the numbers of parameters of the published configs; transformers with their table of places."""


def _base(id: str, name: str, transformer: tuple[File, ...], note: str, defaults: Defaults = FACTS.defaults) -> Weights:
    """A base; its text encoders are two of CLIP's, and T5's with 4.8 B parameters."""
    sizes = {"vae": _VAE * MB, "text_encoder": _CLIP_L * MB, "text_encoder_2": _CLIP_G * MB}
    files = (
        *folder_files(("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "scheduler"), sizes),
        *text_files("tokenizer_3/tokenizer.json", "tokenizer_3/tokenizer_config.json"),
        *sharded_files("text_encoder_3", "model", 2, _T5),
        *transformer,
    )
    return Weights(
        id=id, kind="base", family="sd3", title=f"Stable Diffusion 3.5 {name.title()}",
        repo=f"stabilityai/stable-diffusion-3.5-{name.replace(' ', '-')}", licence=_COMMUNITY, files=files, defaults=defaults,
        note=note, gated=True,
    )  # fmt: skip


def _control(name: str, title: str, conditions: str, note: str = "") -> Weights:
    return Weights(
        id=f"controlnet_{name}_sd3", kind="controlnet", family="sd3", title=f"{title} for {FACTS.title}",
        repo=f"stabilityai/stable-diffusion-3.5-large-controlnet-{name}", licence=_COMMUNITY,
        files=network_files(8614), conditions=tuple(conditions.split()), note=f"For the large bases. {note}".strip(),
        gated=True,
    )  # fmt: skip


_EIGHT_B = sharded_files("transformer", "diffusion_pytorch_model", 2, 16_293)
_MEDIUM_PARAMETERS = replace(FACTS.parameters, network=2469.7, controlnet=0)
"""Its table of places included, which is a tenth of the network. Without ControlNets: the family's do not fit."""
_TWO_B = (
    *text_files("transformer/config.json"),
    network_file("transformer/diffusion_pytorch_model", 4939 * MB),
)

WEIGHTS: tuple[Weights, ...] = (
    _base("sd3", "large", _EIGHT_B, "A transformer of 8 B parameters and a text encoder of 4.8 B: it needs much memory."),
    _base("sd3_turbo", "large turbo", _EIGHT_B, "Distilled to four steps without guidance.",
          replace(FACTS.defaults, guidance_scale=1.0, num_inference_steps=4)),
    replace(
        _base("sd3_medium", "medium", _TWO_B, "A transformer of 2.5 B parameters; the family's ControlNets do not fit it."),
        parameters=_MEDIUM_PARAMETERS, family_controlnets=False,
    ),
    _control("canny", "Canny", "canny"),
    _control("depth", "Depth", "depth"),
    _control("blur", "Blur", "tile", "Trained on blurred pictures, to make large ones of small ones."),
)  # fmt: skip

# Blocks with a second attention are those of medium. T5's words are wider than those of both CLIPs, as in the published bases.
MINIATURE = Miniature(
    network={
        "sample_size": 8,
        "num_layers": 5,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 3 * TINY_WORDS,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 2 * TINY_WORDS,
        "pos_embed_max_size": 64,
        "dual_attention_layers": (0, 1),
        "qk_norm": "rms_norm",
    },
    scheduler={"shift": 3.0},
    text_encoders={"T5EncoderModel": {"d_model": 3 * TINY_WORDS}},
)
