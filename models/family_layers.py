"""Layers of transformers in their authors' code, with diffusers' for each: see FamilyFacts.original_layers. Loads nothing."""

from __future__ import annotations

Layers = tuple[tuple[str, tuple[str, ...]], ...]

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
FLUX2_LAYERS: Layers = (
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
CHROMA_LAYERS: Layers = (
    *FLUX_LAYERS,
    *(
        (
            f"distilled_guidance_layer.layers.{{}}.{side}_layer",
            (f"distilled_guidance_layer.layers.{{}}.linear_{number}",),
        )
        for number, side in enumerate(("in", "out"), 1)
    ),
)
