"""LoRAs of transformer bases: every layout equals weights merged by hand, fused layers are cut, families are told apart."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_z_image_lora_to_diffusers as to_diffusers,
)
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.local import family_of_shapes
from models.errors import InputError
from models.lora.loras import use_loras
from models.lora.updates import Update
from models.tiny import tiny_base
from tests.models.lora.lora_layouts import ALPHA, RANK, WEIGHT, State, kohya, library, pair

LAYERS = (
    "layers.0.attention.to_q",
    "noise_refiner.1.feed_forward.w1",
    "layers.1.attention.to_out.0",
    "all_final_layer.2-1.linear",
)


def other_programs(layer: str, down: Tensor, up: Tensor) -> State:
    layer = layer.replace("to_out.0", "out").replace("all_final_layer.2-1", "final_layer")
    return {
        f"diffusion_model.{layer}.lora_A.default.weight": down,
        f"diffusion_model.{layer}.lora_B.default.weight": up,
    }


def merged(network: Any, changes: Mapping[str, Tensor]) -> Any:
    own = copy.deepcopy(network)
    for name, change in changes.items():
        own.get_submodule(name).weight.data += change
    return own


def output(network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    latents = torch.randn((16, 1, 8, 8), generator=generator)
    words = torch.randn((5, network.config["cap_feat_dim"]), generator=generator)
    with torch.no_grad():
        return network([latents], torch.tensor([0.5]), [words], return_dict=False)[0][0]


@pytest.mark.parametrize("writer", [library, other_programs, kohya])
def test_every_layout_equals_weights_merged_by_hand(
    tmp_path: Path, writer: Callable[[str, Tensor, Tensor], State]
) -> None:
    base = tiny_base("z_image")
    plain = output(base.network)
    shapes: dict[str, tuple[int, int]] = {name: base.network.get_submodule(name).weight.shape for name in LAYERS}
    pairs = {name: pair(*shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
    scale = WEIGHT * (ALPHA / RANK if writer is kohya else 1)
    expected = output(merged(base.network, {name: scale * up @ down for name, (down, up) in pairs.items()}))
    save_file(
        {key: one for name, parts in pairs.items() for key, one in writer(name, *parts).items()},
        tmp_path / "a.safetensors",
    )
    assert use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(base.network), expected, rtol=1e-5, atol=1e-5)
    assert (output(base.network) - plain).abs().max() > 0.01
    use_loras(base, [])
    assert torch.equal(output(base.network), plain)


def test_fused_layers_are_cut_into_those_of_the_base(tmp_path: Path) -> None:
    base = tiny_base("z_image")
    name = "layers.1.attention"
    width = base.network.get_submodule(f"{name}.to_q").weight.shape[1]
    down, up = pair(3 * width, width, 0)
    save_file(
        {f"diffusion_model.{name}.qkv.lora_A.weight": down, f"diffusion_model.{name}.qkv.lora_B.weight": up},
        tmp_path / "a.safetensors",
    )
    thirds = (up @ down).chunk(3)
    changes = {f"{name}.to_{letter}": WEIGHT * third for letter, third in zip("qkv", thirds, strict=True)}
    expected = output(merged(base.network, changes))
    assert use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(base.network), expected, rtol=1e-5, atol=1e-5)


def test_names_are_read_as_the_library_reads_them() -> None:
    down, up = torch.zeros(RANK, 8), torch.zeros(8, RANK)
    for layer in LAYERS[:3]:
        assert to_diffusers(kohya(layer, down, up)).keys() == library(layer, down, up).keys()


def test_only_kinds_with_rows_of_their_own_are_cut() -> None:
    parts = {"k1": torch.ones(3, 3), "k2": torch.ones(4, 4)}
    assert Update("kronecker", parts).split((4, 4, 4)) == ()
    pieces = Update("full", {"diff": torch.arange(6.0).reshape(6, 1), "bias": torch.arange(6.0)}, 2.0).split((1, 3, 2))
    assert [piece.tensors["diff"].flatten().tolist() for piece in pieces] == [[0], [1, 2, 3], [4, 5]]
    assert [piece.tensors["bias"].tolist() for piece in pieces] == [[0], [1, 2, 3], [4, 5]]
    assert {piece.scale for piece in pieces} == {2.0}
    assert Update("low_rank", {"down": torch.ones(2, 4), "up": torch.ones(7, 2)}).split((2, 2, 2)) == ()


def test_the_family_of_a_file_is_shown_by_names_and_widths() -> None:
    def shapes(writer: Callable[[str, Tensor, Tensor], State], width: int) -> dict[str, tuple[int, ...]]:
        state = writer("layers.0.attention.to_q", torch.zeros(RANK, width), torch.zeros(width, RANK))
        return {name: tuple(tensor.shape) for name, tensor in state.items()}

    assert {family_of_shapes("lora", shapes(writer, 3840)) for writer in (library, other_programs, kohya)} == {
        "z_image"
    }
    assert family_of_shapes("lora", shapes(library, 2304)) is None


def test_a_lora_of_another_family_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unet.safetensors"
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file(kohya(layer, *pair(8, 8, 0)), path)
    with pytest.raises(InputError, match=r"changes 1 layers that the base has not.*choose a LoRA for Z-Image"):
        use_loras(tiny_base("z_image"), [(str(path), 1.0)])


def attention_of(blocks: int, width: int) -> State:
    """A LoRA of the attention of blocks of two streams, in diffusers' names: FLUX.1, FLUX.2 and Qwen-Image share them."""
    layers = [f"transformer_blocks.{n}.attn.{name}" for n in range(blocks) for name in ("to_q", "add_q_proj")]
    pairs = ((layer, pair(width, width, 0)) for layer in layers)
    return {key: tensor for layer, parts in pairs for key, tensor in library(layer, *parts).items()}


def with_blocks(family: str, **config: Any) -> Any:
    """A miniature with another config."""
    base = tiny_base(family)
    network: Any = type(base.network)
    return dataclasses.replace(base, network=network.from_config({**base.network.config, **config}))


@pytest.mark.parametrize(("blocks", "others"), [(19, "FLUX.1"), (5, "FLUX.1 or FLUX.2"), (20, "")])
def test_attention_that_other_families_share_is_a_doubt_in_a_note(tmp_path: Path, blocks: int, others: str) -> None:
    base = with_blocks("qwen_image", num_layers=24)
    width = base.network.get_submodule("transformer_blocks.0.attn.to_q").weight.shape[1]
    save_file(attention_of(blocks, width), tmp_path / "a.safetensors")
    notes = use_loras(base, [(str(tmp_path / "a.safetensors"), 1.0)])
    expected = (
        f"LoRA a.safetensors may be made for {others}: it changes attention of the first {blocks} of 24 blocks alone"
    )
    assert [note[: len(expected)] for note in notes] == [expected] * bool(others)


def test_layers_of_another_family_refuse_the_rest_that_fits_by_chance(tmp_path: Path) -> None:
    """More layers fit than not, and each of these has the base's shape."""
    with torch.device("meta"):
        base = with_blocks("qwen_image", num_layers=3, num_attention_heads=24, attention_head_dim=128)
    state = attention_of(3, 3072) | library("transformer_blocks.0.ff.net.0.proj", *pair(12288, 3072, 0))
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(
        InputError, match=r"^a\.safetensors is made for FLUX\.1, but the base is Qwen-Image; choose a LoRA"
    ):
        use_loras(base, [(str(tmp_path / "a.safetensors"), 1.0)])


def test_attention_alone_tells_qwen_image_by_the_number_of_its_blocks() -> None:
    def family(blocks: int) -> str | None:
        return family_of_shapes("lora", {name: tuple(one.shape) for name, one in attention_of(blocks, 3072).items()})

    assert [family(blocks) for blocks in (5, 19, 20, 60)] == [None, None, "qwen_image", "qwen_image"]
