"""FLUX.2: bases in several files, and a LoRA with which they follow depth maps. Loads nothing."""

from __future__ import annotations

from models.catalogue.row import MB, File, Weights, folder_files, sharded_files, text_files
from models.families.inner_encoders import QWEN3_WITH_HEAD
from models.families.previews import FLUX2_PREVIEW
from models.family_facts import TINY_WORDS, Defaults, FamilyFacts, Layers, Miniature, Parameters

_LAYERS: Layers = (
    *(
        (f"double_blocks.{{}}.{original}", tuple(f"transformer_blocks.{{}}.{layer}" for layer in own.split()))
        for original, own in (
            ("img_attn.qkv", "attn.to_q attn.to_k attn.to_v"),
            ("txt_attn.qkv", "attn.add_q_proj attn.add_k_proj attn.add_v_proj"),
            ("img_attn.proj", "attn.to_out.0"),
            ("txt_attn.proj", "attn.to_add_out"),
            ("img_mlp.0", "ff.linear_in"),
            ("img_mlp.2", "ff.linear_out"),
            ("txt_mlp.0", "ff_context.linear_in"),
            ("txt_mlp.2", "ff_context.linear_out"),
        )
    ),
    ("single_blocks.{}.linear1", ("single_transformer_blocks.{}.attn.to_qkv_mlp_proj",)),
    ("single_blocks.{}.linear2", ("single_transformer_blocks.{}.attn.to_out",)),
    *(
        (f"{stream}.lin", (f"{stream}.linear",))
        for stream in ("double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation")
    ),
    ("img_in", ("x_embedder",)),
    ("txt_in", ("context_embedder",)),
    ("final_layer.linear", ("proj_out",)),
    *(
        (f"time_in.{side}_layer", (f"time_guidance_embed.timestep_embedder.linear_{number}",))
        for number, side in enumerate(("in", "out"), 1)
    ),
)

# Steps and guidance are those of diffusers' documentation: of klein 4B, and of its base, which is not distilled.
FACTS = FamilyFacts(
    id="flux2",
    title="FLUX.2",
    backbone="flux2",
    defaults=Defaults(size=1024, guidance_scale=1.0, num_inference_steps=4),
    undistilled=Defaults(size=1024, guidance_scale=4.0, num_inference_steps=50),
    parameters=Parameters(network=3875.5, controlnet=0.0, text_encoders=4022.5, vae=84.0),
    control_blocks=0,
    side_multiple=16,
    latent_channels=32,
    overflows_half=True,
    preview=FLUX2_PREVIEW,
    predictions=("flow",),
    shift_by_steps=True,
    guidance="two_passes",
    resolutions=False,
    latent_hints=True,
    references=True,
    reference_strength=True,
    control_prompts=False,
    layer_marks=(
        (r"(^|[._])single_(transformer_)?blocks[._]\d+[._](linear2|attn[._]to_out)([._]|$)", 12288),
        (r"(^|[._])(attn[._]to_qkv_mlp_proj|(double|single)_stream_modulation(_img|_txt)?)([._]|$)", 3072),
    ),
    twin_blocks=5,
    original_layers=_LAYERS,
    ip_adapters=False,
    pipeline_class="Flux2KleinPipeline",
    network_folder="transformer",
    network_class="Flux2Transformer2DModel",
    network_marks=(
        frozenset({"double_stream_modulation_img.lin.weight", "single_stream_modulation.lin.weight"}),
        frozenset(
            {
                "double_stream_modulation_img.linear.weight",
                "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight",
            }
        ),
    ),
    block_numbers=(("num_layers", 26), ("num_single_layers", 13)),
    inner_encoders=(QWEN3_WITH_HEAD,),
    control_class="",
    vae_classes=("AutoencoderKLFlux2",),
    text_encoder_classes=("Qwen3ForCausalLM",),
    tokenizer_classes=("Qwen2Tokenizer",),
)

_APACHE = "Apache-2.0"
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


WEIGHTS: tuple[Weights, ...] = (
    _base("flux2", "FLUX.2-klein-4B",
          "Distilled to few steps: it reads no guidance_scale and no negative prompt. It reads maps itself, without ControlNets.",
          FACTS.defaults),
    _base("flux2_base", "FLUX.2-klein-base-4B", "Not distilled: many steps, guidance and a negative prompt. LoRAs are trained on it.",
          FACTS.undistilled),
    Weights(
        id="refcontrol_depth_flux2", kind="lora", family="flux2", title="RefControl, depth, for FLUX.2",
        repo="thedeoxen/refcontrol-FLUX.2-klein-4B-reference-depth-lora", licence=_APACHE, conditions=("depth",),
        files=(File("flux2_klein_4b_refcontrol_depth.safetensors", 92_426_784,
                    "65ec4c71fa7538b2201481928609a5836773f0dc06a4041b2d28abd05826c401"),),
        note="Made for FLUX.2-klein-base-4B. Name it as the controlnet of a depth unit, and write refcontrol into the prompt.",
    ),
)  # fmt: skip

# The base reads the words after the 9th, 18th and 27th layer of its text encoder.
MINIATURE = Miniature(
    network={
        "num_layers": 2,
        "num_single_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 3 * TINY_WORDS,
        "timestep_guidance_channels": 16,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    },
    scheduler={"use_dynamic_shifting": True, "shift": 3.0},
    text_encoders={"Qwen3ForCausalLM": {"num_hidden_layers": 27, "tie_word_embeddings": True}},
)
