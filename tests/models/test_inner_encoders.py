"""Text encoders inside a base's one file, under the names that other programs write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.inner_parts import inner_encoder
from models.catalogue.resolve import inner_parts_of, missing, resolve
from models.family_facts import Family
from models.loader import Base, save_network
from models.machine.memory import module_bytes
from models.modules import load_inner_encoder
from models.tiny import tiny_base
from tests.models.networks import same

State = dict[str, Tensor]
CLIP_L, CLIP_G, T5 = (f"text_encoders.{name}.transformer." for name in ("clip_l", "clip_g", "t5xxl"))
QWEN_VL, QWEN3 = (f"text_encoders.{name}.transformer." for name in ("qwen25_7b", "qwen3_4b"))
FOLDERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
PREFIXES: dict[Family, tuple[str, ...]] = {
    "flux": (CLIP_L, T5), "sd3": (CLIP_L, CLIP_G, T5), "chroma": (T5,), "flux2": (QWEN3,), "qwen_image": (QWEN_VL,),
}  # fmt: skip


def in_file(prefix: str, encoder: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of an encoder as ComfyUI writes them: no copies of tables, CLIP with a projection and its table of places."""
    for name, tensor in encoder.state_dict().items():
        if name == "encoder.embed_tokens.weight" or name.startswith("lm_head"):
            continue
        if prefix in (CLIP_L, CLIP_G) and not name.startswith("text_"):
            name = f"text_model.{name}"
        if prefix == QWEN_VL:
            name = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        yield prefix + name, tensor
    if prefix == CLIP_L:
        yield f"{prefix}text_projection.weight", torch.full((16, 16), 0.3)  # not read by programs for these families
        yield f"{prefix}text_model.embeddings.position_ids", torch.arange(77)[None]


def whole(base: Base) -> State:
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in base.network.state_dict().items()}
    for prefix, encoder in zip(PREFIXES[base.family], base.text_encoders, strict=True):
        state |= dict(in_file(prefix, encoder))
    return {name: tensor.contiguous() for name, tensor in state.items()}


def made(family: Family) -> Base:
    base = tiny_base(family)
    if family == "sd3":  # as in its published bases
        base.text_encoders[0].text_projection.weight.data = torch.eye(base.text_encoders[0].config.projection_dim)
    return base


@pytest.mark.parametrize("family", PREFIXES)
def test_text_encoders_inside_a_file_are_used(family: Family, tmp_path: Path) -> None:
    base, path = made(family), tmp_path / "all.safetensors"
    save_file(whole(base), path)
    (row,) = missing(resolve(str(path), "base"))
    names = [file.name for file in row.files if file.name.startswith("text_encoder")]
    assert names == [f"{folder}/config.json" for folder in FOLDERS[: len(base.text_encoders)]]
    brought = inner_parts_of(path, family)
    for folder, encoder in zip(FOLDERS, base.text_encoders, strict=False):
        save_network(encoder, tmp_path / folder, torch.float32)
        facts = inner_encoder(family, folder)
        loaded = load_inner_encoder(
            type(encoder), path, brought[folder], facts, tmp_path / folder, torch.float32, "cpu"
        )
        held, kept = loaded.state_dict(), encoder.state_dict()
        assert all(torch.equal(held[name], kept[name]) for name in held)
        assert kept.keys() - held.keys() <= {"lm_head.weight"}
        assert module_bytes([loaded]) <= module_bytes([encoder])  # what is in two places takes no memory twice
        words = torch.tensor([[1, 2, 3]])
        with torch.no_grad():
            one, other = (net(words, output_hidden_states=True).hidden_states[-1] for net in (loaded, encoder))
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("family", "lacking", "folder"),
    [
        ("flux", f"{T5}shared.weight", "text_encoder_2"),
        ("sd3", f"{CLIP_G}text_projection.weight", "text_encoder_2"),
        ("qwen_image", f"{QWEN_VL}visual.patch_embed.proj.weight", "text_encoder"),
    ],
)
def test_an_encoder_that_is_not_whole_is_downloaded(family: Family, lacking: str, folder: str, tmp_path: Path) -> None:
    state = whole(tiny_base(family))
    del state[lacking]
    save_file(state, tmp_path / "some.safetensors")
    assert folder not in inner_parts_of(tmp_path / "some.safetensors", family)
    (row,) = missing(resolve(str(tmp_path / "some.safetensors"), "base"))
    assert any(file.name.startswith(f"{folder}/model") for file in row.files)


def test_parts_in_files_that_are_read_as_a_whole_are_not_used(tmp_path: Path) -> None:
    state = whole(tiny_base("flux")) | {"model.diffusion_model.a.weight.quant_state.bitsandbytes__nf4": torch.zeros(1)}
    save_file(state, tmp_path / "packed.safetensors")
    assert inner_parts_of(tmp_path / "packed.safetensors", "flux") == {}
    assert inner_parts_of(tmp_path / "some.gguf", "flux") == {}


def test_float8_of_a_file_is_widened_at_its_scale(tmp_path: Path) -> None:
    base = tiny_base("chroma")
    layer = "encoder.block.0.layer.0.SelfAttention.q"
    state, scale = whole(base), torch.tensor(0.25)
    packed = (state[f"{T5}{layer}.weight"] / scale).to(torch.float8_e4m3fn)
    state |= {f"{T5}{layer}.weight": packed, f"{T5}{layer}.scale_weight": scale, f"{T5}scaled_fp8": torch.zeros(1)}
    save_file(state, tmp_path / "eight.safetensors")
    save_network(base.text_encoders[0], tmp_path / "text_encoder", torch.float32)
    facts, kind = inner_encoder("chroma", "text_encoder"), type(base.text_encoders[0])
    folder = tmp_path / "text_encoder"
    loaded = load_inner_encoder(kind, tmp_path / "eight.safetensors", T5, facts, folder, torch.float32, "cpu")
    assert torch.equal(loaded.get_submodule(layer).weight, packed.float() * scale)
    assert not same(loaded, base.text_encoders[0])
