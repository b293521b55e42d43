"""Text encoders inside of files with other parts of a base, under the names that ComfyUI, Forge and stable-diffusion.cpp give. Loads nothing.

The prefixes of CLIP and T5 are also those of Stability AI's files of SD 3, which diffusers reads.
"""

from __future__ import annotations

from dataclasses import replace

from models.family_facts import InnerEncoder

_CLIP = (
    "text_model.embeddings.token_embedding.weight",
    "text_model.encoder.layers.0.self_attn.q_proj.weight",
    "text_model.final_layer_norm.weight",
)
PROJECTION = "text_projection.weight"
_T5 = (
    "shared.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
    "encoder.final_layer_norm.weight",
)
_WORDS = ("embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "norm.weight")
_QWEN_PICTURES = (
    "visual.patch_embed.proj.weight",
    "visual.blocks.0.attn.qkv.weight",
    "visual.blocks.0.mlp.gate_proj.weight",
    "visual.merger.mlp.0.weight",
)

CLIP_L = InnerEncoder(
    folder="text_encoder", prefix=r"text_encoders\.clip_l\.transformer\.", ends=_CLIP, renamed=(("text_model.", ""),)
)
"""Of FLUX.1: transformers' class without a projection has no `text_model.` in its names."""
CLIP_L_IDENTITY = replace(CLIP_L, renamed=(), identity=(PROJECTION,))
"""Of SD 3.5, whose pooled words of CLIP-L are not projected."""
CLIP_G = InnerEncoder(
    folder="text_encoder_2", prefix=r"text_encoders\.clip_g\.transformer\.", ends=(*_CLIP, PROJECTION)
)
T5_XXL = InnerEncoder(
    folder="text_encoder_2",
    prefix=r"text_encoders\.t5xxl\.transformer\.",
    ends=_T5,
    shared=(("encoder.embed_tokens.weight", "shared.weight"),),
)
QWEN3 = InnerEncoder(folder="text_encoder", prefix=r"text_encoders\.[^.]+\.transformer\.model\.", ends=_WORDS)
QWEN3_WITH_HEAD = InnerEncoder(
    folder="text_encoder",
    prefix=r"text_encoders\.[^.]+\.transformer\.",
    ends=tuple(f"model.{name}" for name in _WORDS),
    shared=(("lm_head.weight", "model.embed_tokens.weight"),),
)
QWEN_VL = InnerEncoder(
    folder="text_encoder",
    prefix=r"text_encoders\.[^.]+\.transformer\.",
    ends=(*(f"model.{name}" for name in _WORDS), *_QWEN_PICTURES),
    renamed=(("model.", "model.language_model."), ("visual.", "model.visual.")),
    unread=("lm_head",),
)
