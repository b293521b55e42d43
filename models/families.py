"""The facts of each family of base models: one frozen row a family, and no other module repeats them. Loads nothing.

A family is what a ControlNet, a LoRA or an adapter is made for: bases of one family take the same latents and the same
encoded words. What a family does with these facts is in cnet_app/diffusion/backbones/, one file a backbone.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any

from models.errors import InputError
from models.family_facts import (
    CAPABILITY_TITLES,
    NETWORK_PREFIXES,
    TWO_TEXT_STREAMS,
    Capability,
    Defaults,
    Family,
    FamilyFacts,
    OneFile,
    OriginalEncoder,
    Parameters,
    Rows,
)
from models.family_layers import CHROMA_LAYERS, FLUX_LAYERS

# Fitted by others: discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204 (SD),
# huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space (SDXL, there for 0 … 255).
_SD_PREVIEW: Rows = (
    (0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473), (0, 0, 0),
)  # fmt: skip
_SDXL_PREVIEW: Rows = (
    (0.471, 0.471, 0.471), (-0.471, -0.039, 0.078), (0.196, 0.118, -0.039), (-0.549, -0.392, -0.275), (0.176, 0.098, 0.020),
)  # fmt: skip
_ROWS = (
    FamilyFacts(
        id="embedded",
        title="the embedded model",
        defaults=Defaults(size=256, guidance_scale=1.5, num_inference_steps=20),
        parameters=Parameters(network=7.8, controlnet=3.0, text_encoders=0.5, vae=0.4),
        control_blocks=9,
        latent_channels=16,
        latent_scaling=None,
        preview=None,
        predictions=("v_prediction",),
        zero_terminal_snr=True,
        linear_projection=True,
        text_widths=(),
        words_width=None,
        inpainting_channels=None,
        one_file=None,
    ),
    # Guidance 9 and 20 steps are those of the original ControlNet demos.
    FamilyFacts(
        id="sd15",
        title="SD 1.5",
        defaults=Defaults(size=512, guidance_scale=9.0, num_inference_steps=20),
        parameters=Parameters(network=859.5, controlnet=361.3, text_encoders=123.1, vae=83.7),
        control_blocks=13,
        latent_channels=4,
        latent_scaling=0.18215,
        preview=_SD_PREVIEW,
        predictions=("epsilon",),
        linear_projection=False,
        text_widths=(768,),
        words_width=768,
        inpainting_channels=9,
        t2i_square=8,
        one_file=OneFile(
            text_encoders=(OriginalEncoder("cond_stage_model.transformer."),),
            latent_side=64,
            latent_side_v=64,
            heads=8,
        ),
    ),
    FamilyFacts(
        id="sd21",
        title="SD 2.1",
        defaults=Defaults(size=768, guidance_scale=9.0, num_inference_steps=20),
        parameters=Parameters(network=865.9, controlnet=364.2, text_encoders=340.4, vae=83.7),
        control_blocks=13,
        latent_channels=4,
        latent_scaling=0.18215,
        preview=_SD_PREVIEW,
        predictions=("epsilon", "v_prediction"),
        linear_projection=True,
        text_widths=(1024,),
        words_width=1024,
        inpainting_channels=9,
        one_file=OneFile(
            text_encoders=(OriginalEncoder("cond_stage_model.model.", open_clip=True),),
            latent_side=64,
            latent_side_v=96,
            upcast_attention=True,
        ),
    ),
    FamilyFacts(
        id="sdxl",
        title="SDXL",
        defaults=Defaults(size=1024, guidance_scale=5.0, num_inference_steps=30),
        parameters=Parameters(network=2567.5, controlnet=1251.0, text_encoders=817.8, vae=83.7),
        control_blocks=10,
        latent_channels=4,
        latent_scaling=0.13025,
        vae_overflows_half=True,
        preview=_SDXL_PREVIEW,
        predictions=("epsilon",),
        linear_projection=True,
        size_conditions=True,
        text_widths=(768, 1280),
        words_width=2048,
        text_encoders=2,
        penultimate_words=True,
        zero_negative=True,
        inpainting_channels=9,
        t2i_square=16,
        one_file=OneFile(
            text_encoders=(
                OriginalEncoder("conditioner.embedders.0.transformer."),
                OriginalEncoder("conditioner.embedders.1.model.", open_clip=True, projects=True),
            ),
            latent_side=128,
            latent_side_v=128,
        ),
        pipeline_class="StableDiffusionXLPipeline",
    ),
    # Steps, guidance and strength are those of the distilled base, Z-Image-Turbo. Guidance here is one more than the
    # number that diffusers' pipelines and the authors give: they add the difference of the sides to the prompt's.
    FamilyFacts(
        id="z_image",
        title="Z-Image",
        backbone="z_image",
        defaults=Defaults(size=1024, guidance_scale=1.0, num_inference_steps=8),
        conditioning_scale=0.75,
        parameters=Parameters(network=6154.9, controlnet=3356.2, text_encoders=4022.5, vae=83.8),
        control_blocks=17,
        side_multiple=16,
        latent_channels=16,
        latent_scaling=0.3611,
        latent_shift=0.1159,
        overflows_half=True,
        preview=None,
        predictions=("flow",),
        resolutions=False,
        latent_hints=True,
        control_prompts=False,
        control_forms=True,
        linear_projection=False,
        text_widths=(),
        words_width=None,
        inpainting_channels=None,
        layer_mark=r"(^|[._])layers[._]\d+[._]attention[._](to_)?(q|k|v|qkv)([._]|$)",
        network_width=3840,
        original_layers=(
            ("attention.qkv", ("attention.to_q", "attention.to_k", "attention.to_v")),
            ("attention.out", ("attention.to_out.0",)),
            ("x_embedder", ("all_x_embedder.2-1",)),
            ("final_layer", ("all_final_layer.2-1",)),
        ),
        ip_adapters=False,
        one_file=None,
        pipeline_class="ZImagePipeline",
        network_folder="transformer",
        network_class="ZImageTransformer2DModel",
        network_marks=(frozenset({"layers.0.adaLN_modulation.0.weight"}),),
        control_class="ZImageControlNetModel",
        control_marks=(frozenset({"control_all_x_embedder.2-1.weight"}),),
        text_encoder_classes=("Qwen3Model",),
        tokenizer_classes=("Qwen2Tokenizer",),
    ),
    # Steps and guidance are those of dev, and the strength that of Union-Pro-2.0. T5 and the transformer overflow in float16:
    # authors and diffusers run both in bfloat16.
    FamilyFacts(
        id="flux",
        title="FLUX.1",
        backbone="flux",
        defaults=Defaults(size=1024, guidance_scale=3.5, num_inference_steps=28),
        conditioning_scale=0.7,
        parameters=Parameters(network=11901.4, controlnet=2140.9, text_encoders=4885.4, vae=83.8),
        control_blocks=5,
        side_multiple=16,
        latent_channels=16,
        latent_scaling=0.3611,
        latent_shift=0.1159,
        overflows_half=True,
        preview=None,
        predictions=("flow",),
        guidance="distilled",
        resolutions=False,
        latent_hints=True,
        linear_projection=False,
        text_widths=(),
        words_width=None,
        text_encoders=2,
        inpainting_channels=None,
        layer_mark=r"(^|[._])(single_transformer_blocks|double_blocks|single_blocks)[._]\d+[._]",
        network_width=3072,
        original_layers=FLUX_LAYERS,
        ip_adapters=False,
        one_file=None,
        pipeline_class="FluxPipeline",
        network_folder="transformer",
        network_class="FluxTransformer2DModel",
        network_marks=(
            frozenset(
                {"double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight", "final_layer.linear.weight"}
            ),
            frozenset(
                {
                    "single_transformer_blocks.0.attn.to_q.weight",
                    "time_text_embed.text_embedder.linear_1.weight",
                    "proj_out.weight",
                }
            ),
        ),
        guidance_tensors=("guidance_in.in_layer.weight", "guidance_embedder.linear_1.weight"),
        base_without_guidance="flux_schnell",
        control_class="FluxControlNetModel",
        control_marks=(
            frozenset({"controlnet_x_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"}),
            frozenset({"double_blocks.0.img_attn.qkv.weight", "pos_embed_input.weight", "input_hint_block.14.weight"}),
        ),
        vae_classes=("AutoencoderKL",),
        text_encoder_classes=("CLIPTextModel", "T5EncoderModel"),
        tokenizer_classes=("CLIPTokenizer", "T5TokenizerFast"),
    ),
    # Steps and guidance are those of diffusers' documentation; the strength is FLUX.1's.
    FamilyFacts(
        id="chroma",
        title="Chroma",
        backbone="chroma",
        defaults=Defaults(size=1024, guidance_scale=3.0, num_inference_steps=40),
        conditioning_scale=0.7,
        parameters=Parameters(network=8900.0, controlnet=2140.9, text_encoders=4762.3, vae=83.8),
        control_blocks=5,
        side_multiple=16,
        latent_channels=16,
        latent_scaling=0.3611,
        latent_shift=0.1159,
        overflows_half=True,
        preview=None,
        predictions=("flow",),
        guidance="two_passes",
        resolutions=False,
        latent_hints=True,
        linear_projection=False,
        text_widths=(),
        words_width=None,
        shares_with="flux",
        inpainting_channels=None,
        original_layers=CHROMA_LAYERS,
        ip_adapters=False,
        one_file=None,
        pipeline_class="ChromaPipeline",
        network_folder="transformer",
        network_class="ChromaTransformer2DModel",
        network_marks=tuple(
            frozenset({"distilled_guidance_layer.in_proj.weight", name})
            for name in ("double_blocks.0.img_attn.qkv.weight", "single_transformer_blocks.0.attn.to_q.weight")
        ),
        control_class="FluxControlNetModel",
        vae_classes=("AutoencoderKL",),
        text_encoder_classes=("T5EncoderModel",),
        tokenizer_classes=("T5TokenizerFast",),
    ),
    # Steps, guidance and strength are those of diffusers' pipelines for its ControlNets. Authors and diffusers run it in
    # bfloat16, and so does half precision here.
    FamilyFacts(
        id="qwen_image",
        title="Qwen-Image",
        backbone="qwen_image",
        defaults=Defaults(size=1024, guidance_scale=4.0, num_inference_steps=30),
        parameters=Parameters(network=20430.4, controlnet=1768.0, text_encoders=8292.2, vae=126.9),
        control_blocks=5,
        side_multiple=16,
        latent_channels=16,
        latent_scaling=None,
        overflows_half=True,
        preview=None,
        predictions=("flow",),
        guidance="two_passes",
        resolutions=False,
        latent_hints=True,
        linear_projection=False,
        text_widths=(),
        words_width=None,
        inpainting_channels=None,
        layer_mark=r"(^|[._])transformer_blocks[._]\d+[._](attn[._]add_q_proj|img_mlp|txt_mlp)([._]|$)",
        network_width=3072,
        ip_adapters=False,
        one_file=None,
        pipeline_class="QwenImagePipeline",
        network_folder="transformer",
        network_class="QwenImageTransformer2DModel",
        network_marks=(frozenset({"txt_norm.weight", "norm_out.linear.weight"}),),
        control_class="QwenImageControlNetModel",
        control_marks=(
            frozenset({"controlnet_x_embedder.weight", "txt_norm.weight"}),
            frozenset({"control_img_in.weight", "control_blocks.0.img_mod.1.weight"}),
        ),
        vae_classes=("AutoencoderKLQwenImage",),
        text_encoder_classes=("Qwen2_5_VLForConditionalGeneration",),
        tokenizer_classes=("Qwen2Tokenizer",),
    ),
)
FAMILIES: Mapping[Family, FamilyFacts] = MappingProxyType({row.id: row for row in _ROWS})
TITLES: Mapping[Family, str] = MappingProxyType({row.id: row.title for row in _ROWS})
FAMILY_BY_WIDTH: Mapping[int, Family] = MappingProxyType({row.words_width: row.id for row in _ROWS if row.words_width})
"""By the numbers per word that a network reads."""
FAMILY_OF_TWO_ENCODERS: Family = next(row.id for row in _ROWS if row.text_encoders == 2)


def require(facts: FamilyFacts, capability: Capability, what: str) -> None:
    """Raise InputError where the family lacks what `what`, the subject of the sentence, needs."""
    if not facts.has(capability):
        able = [row.title for row in FAMILIES.values() if row.has(capability)]
        hint = f"choose a base model of another family: {', '.join(able)}" if able else "leave it out"
        raise InputError(f"{what} needs {CAPABILITY_TITLES[capability]}, which {facts.title} does not have; {hint}.")


def takers(family: Family) -> tuple[Family, ...]:
    """Return the families that ControlNets and LoRAs made for one fit: that, and those that share them."""
    return (family, *(row.id for row in _ROWS if row.shares_with == family))


def family_of_control(names: Container[str]) -> Family | None:
    """Return the family of a ControlNet in a file, by the names of tensors; None where none shows it."""
    for row in _ROWS:
        if any(all(name in names for name in mark) for mark in row.control_marks):
            return row.id
    return None


def family_of_network(names: Container[str]) -> Family | None:
    """Return the family whose network alone a file holds, by the names of tensors; None where none shows it."""
    for row in _ROWS:
        if network_prefix(row, names) is not None:
            return row.id
    return None


def network_prefix(facts: FamilyFacts, names: Container[str]) -> str | None:
    """Return what stands before the names of the family's network in a file; None where that is not in it."""
    for prefix in NETWORK_PREFIXES:
        if any(all(prefix + name in names for name in mark) for mark in facts.network_marks):
            return prefix
    return None


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Return the family of a base's network or of a ControlNet, by its config; None where it is none of ours (video …).

    Transformers are known by their class. Families of U-Nets are told apart by what each generation changed: latent
    channels, size conditions, linear projections.
    """
    named = config.get("_class_name")
    for row in _ROWS:
        if row.backbone != "unet" and named in (row.network_class, row.control_class):
            return row.id
    if isinstance(named, str) and "Transformer" in named:
        return None
    channels = config.get("in_channels", 4)
    unets = (row for row in _ROWS if row.backbone == "unet")
    fitting = [row for row in unets if channels in (row.latent_channels, row.inpainting_channels)]
    if len(fitting) > 1:
        sized = config.get("addition_embed_type") == TWO_TEXT_STREAMS
        fitting = [row for row in fitting if row.size_conditions == sized]
    if len(fitting) > 1:
        linear = bool(config.get("use_linear_projection"))
        fitting = [row for row in fitting if row.linear_projection == linear]
    return fitting[0].id if fitting else None
