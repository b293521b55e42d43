"""Weights that stay in float8 and are widened in every pass: the same numbers as those that are widened when they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.sizes import expected_sizes
from models.family_facts import Family
from models.layouts.float8 import Float8Linear, float8_layers, spared_bytes, widen
from models.lora.loras import use_loras
from models.machine.memory import module_bytes
from models.modules import load_network_file
from models.tiny import tiny_base
from tests.models.families.flux_layout import authors_layout as flux_authors
from tests.models.families.flux_layout import narrow_conversion
from tests.models.lora.lora_layouts import library, pair

FLOAT8 = torch.float8_e4m3fn
State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    narrow_conversion(monkeypatch, "flux")


def narrowed(state: State, scaled: bool) -> State:
    """Return a state with its matrices in float8, each with a scale of its own or with none."""
    found = dict(state)
    for name in [name for name in state if name.endswith(".weight") and state[name].ndim == 2]:
        scale = state[name].abs().max() / 448 if scaled else torch.tensor(1.0)
        found[name] = (state[name] / scale).to(FLOAT8)
        if scaled:
            found[name.replace(".weight", ".scale_weight")] = scale
    return found


def both(family: Family, state: State, folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return the network of a file with its weights packed, and with them widened."""
    path = folder / "eight.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    network = tiny_base(family).network
    network.save_config(folder / "config")
    packed, wide = (load_network_file(path, family, folder / "config", dtype, "cpu", keeps) for keeps in (True, False))
    return packed, wide


def inputs(family: Family, dtype: torch.dtype) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    if family == "z_image":
        return {"x": [drawn(16, 1, 8, 8)], "t": torch.tensor([0.5]), "cap_feats": [drawn(5, 16)]}
    return {
        "hidden_states": drawn(1, 16, 64), "encoder_hidden_states": drawn(1, 4, 16), "pooled_projections": drawn(1, 16),
        "timestep": torch.tensor([0.5]).to(dtype), "guidance": torch.tensor([3.5]), "img_ids": torch.zeros(16, 3),
        "txt_ids": torch.zeros(4, 3),
    }  # fmt: skip


def output(network: Any, family: Family, dtype: torch.dtype) -> Tensor:
    with torch.no_grad():
        found = network(**inputs(family, dtype), return_dict=False)[0]
    return torch.stack(found) if isinstance(found, list) else found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scaled", [True, False], ids=["scales", "plain"])
@pytest.mark.parametrize(("family", "layout"), [("z_image", dict), ("flux", dict), ("flux", flux_authors)])
def test_packed_weights_give_the_same_numbers(
    family: Family, layout: Any, scaled: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    state = narrowed(layout(tiny_base(family).network.state_dict()), scaled)
    packed, wide = both(family, state, tmp_path, dtype)
    assert packed.dtype == wide.dtype == dtype
    assert len(list(float8_layers(packed))) > 20 and not list(float8_layers(wide))
    assert torch.equal(output(packed, family, dtype), output(wide, family, dtype))
    assert module_bytes([wide]) - module_bytes([packed]) == spared_bytes(packed) > module_bytes([wide]) // 3
    torch.nn.Module.to(packed, dtype)  # nothing widens them by mistake
    assert spared_bytes(packed)
    widen(packed)
    kept, expected = packed.state_dict(), wide.state_dict()
    assert kept.keys() == expected.keys() and all(torch.equal(kept[name], expected[name]) for name in expected)


def test_parts_of_a_fused_weight_keep_its_scale(tmp_path: Path) -> None:
    state = narrowed(flux_authors(tiny_base("flux").network.state_dict()), scaled=True)
    packed, _ = both("flux", state, tmp_path, torch.bfloat16)
    layers = [packed.transformer_blocks[1].attn.get_submodule(f"to_{letter}") for letter in "qkv"]
    assert all(isinstance(layer, Float8Linear) for layer in layers)
    assert {layer.scale for layer in layers} == {float(state["double_blocks.1.img_attn.qkv.scale_weight"])}


@pytest.mark.parametrize("kind", ["low rank", "difference"])
def test_loras_act_on_packed_weights_as_on_wide_ones(kind: str, tmp_path: Path) -> None:
    base = tiny_base("z_image")
    packed, wide = both("z_image", narrowed(base.network.state_dict(), scaled=True), tmp_path, torch.float32)
    layer, path = "layers.1.attention.to_q", tmp_path / "a.safetensors"
    rows, channels = base.network.get_submodule(layer).weight.shape
    change = {f"transformer.{layer}.diff": torch.ones(rows, channels)}
    down, up = pair(rows, channels, 0)
    save_file(library(layer, down, up) if kind == "low rank" else change, path)
    found: list[Tensor] = []
    for network in (packed, wide):
        object.__setattr__(base, "network", network)
        before = output(network, "z_image", torch.float32)
        use_loras(base, [(str(path), 0.7)])
        found.append(output(network, "z_image", torch.float32))
        assert not torch.equal(found[-1], before)
        use_loras(base, [])
        assert torch.equal(output(network, "z_image", torch.float32), before)
    assert torch.equal(*found)


def test_the_estimate_knows_the_packed_size(tmp_path: Path) -> None:
    packed, _ = both("z_image", narrowed(tiny_base("z_image").network.state_dict(), True), tmp_path, torch.bfloat16)
    sizes = expected_sizes(str(tmp_path / "eight.safetensors"), "z_image", (), 2)
    assert sizes.float8 == pytest.approx(module_bytes([packed]), rel=0.05)
    assert expected_sizes("z_image", "z_image", (), 2).float8 == 0
