"""Every kind of update equals its formula written out densely, and what is not understood is left out with a note."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.local import local_files
from models.catalogue.resolve import resolve
from models.errors import InputError
from models.layouts.adapter_settings import AdapterSettings
from models.loader import Base
from models.lora.files import read_lora
from models.lora.layers import Adapted, Reweighted, plain_state
from models.lora.loras import acting_files, use_loras
from models.tiny import tiny_base
from tests.models.lora.test_loras import ATTENTION, CONVOLUTION, assert_close, of, outputs, pair, peft, same

LAYERS = (ATTENTION, CONVOLUTION)
RANK, ALPHA = 3, 2.0
SCALE = ALPHA / RANK


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("sd15")


@pytest.fixture(autouse=True)
def bare(base: Base) -> Iterator[None]:
    """No LoRA stays on the base that all tests share."""
    yield
    use_loras(base, [])


@pytest.fixture
def loras(own_folders: Path) -> Path:
    folder = own_folders / "loras"
    folder.mkdir(parents=True)
    return folder


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.7


def kohya_name(layer: str) -> str:
    return f"lora_unet_{layer.replace('.', '_')}"


Made = tuple[dict[str, Tensor], Tensor]
"""Parts of one layer by their endings, and the layer's weights as the formula gives them."""


def low_rank(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    down, up = rand(RANK, channels, *kernel), rand(out, RANK, *(1 for _ in kernel))
    change = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return {"lora_down.weight": down, "lora_up.weight": up}, weight + SCALE * change


def tucker_locon(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    if not kernel:
        return low_rank(weight)
    down, up, middle = rand(RANK, channels, 1, 1), rand(out, RANK, 1, 1), rand(RANK, RANK, *kernel)
    change = torch.zeros_like(weight)
    for p in range(RANK):
        for q in range(RANK):
            change += torch.einsum("o,hw,i->oihw", up[:, p, 0, 0], middle[p, q], down[q, :, 0, 0])
    return {"lora_down.weight": down, "lora_up.weight": up, "lora_mid.weight": middle}, weight + SCALE * change


def loha(weight: Tensor) -> Made:
    out, inner = weight.flatten(1).shape
    parts = {f"hada_w{n}_a": rand(out, RANK, seed=n) for n in (1, 2)}
    parts |= {f"hada_w{n}_b": rand(RANK, inner, seed=n) for n in (1, 2)}
    one, two = (parts[f"hada_w{n}_a"] @ parts[f"hada_w{n}_b"] for n in (1, 2))
    return parts, weight + SCALE * (one * two).reshape(weight.shape)


def tucker_loha(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    if not kernel:
        return loha(weight)
    parts: dict[str, Tensor] = {}
    products: list[Tensor] = []
    for n in (1, 2):
        one, two, core = rand(RANK, out, seed=n), rand(RANK, channels, seed=n), rand(RANK, RANK, *kernel, seed=n)
        parts |= {f"hada_w{n}_a": one, f"hada_w{n}_b": two, f"hada_t{n}": core}
        terms = [torch.einsum("o,hw,i->oihw", one[p], core[p, q], two[q]) for p in range(RANK) for q in range(RANK)]
        products.append(torch.stack(terms).sum(0))
    return parts, weight + SCALE * products[0] * products[1]


def kron(one: Tensor, two: Tensor, shape: torch.Size) -> Tensor:
    """(a, b) and (c, d …) to (ac, bd …), a block at a time."""
    rows = [torch.cat([number * two for number in row], dim=1) for row in one]
    return torch.cat(rows).reshape(shape)


def lokr_full(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    one, two = rand(2, 2), rand(out // 2, channels // 2, *kernel)
    return {"lokr_w1": one, "lokr_w2": two}, weight + kron(one, two, weight.shape)  # alpha counts for factors alone


def lokr_factors(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    inner = channels // 2 * (9 if kernel else 1)
    parts = {"lokr_w1": rand(2, 2), "lokr_w2_a": rand(out // 2, RANK), "lokr_w2_b": rand(RANK, inner)}
    two = (parts["lokr_w2_a"] @ parts["lokr_w2_b"]).reshape(out // 2, channels // 2, *kernel)
    return parts, weight + SCALE * kron(parts["lokr_w1"], two, weight.shape)


def lokr_tucker(weight: Tensor) -> Made:
    out, channels, *kernel = weight.shape
    if not kernel:
        return lokr_factors(weight)
    one_a, one_b = rand(2, RANK), rand(RANK, 2)
    two_a, two_b, core = rand(RANK, out // 2), rand(RANK, channels // 2), rand(RANK, RANK, *kernel)
    two = sum(torch.einsum("o,hw,i->oihw", two_a[p], core[p, q], two_b[q]) for p in range(RANK) for q in range(RANK))
    parts = {"lokr_w1_a": one_a, "lokr_w1_b": one_b, "lokr_w2_a": two_a, "lokr_w2_b": two_b, "lokr_t2": core}
    return parts, weight + SCALE * kron(one_a @ one_b, torch.as_tensor(two), weight.shape)


def dora(weight: Tensor, by_column: bool = False) -> Made:
    parts, merged = low_rank(weight)
    out, channels, *kernel = weight.shape
    ones = [1 for _ in kernel]
    magnitude = 1 + rand(1, channels, *ones).abs() if by_column else 1 + rand(out, 1, *ones).abs()
    new = torch.empty_like(merged)
    for n in range(channels if by_column else out):
        place: Any = (slice(None), n) if by_column else n
        new[place] = magnitude.flatten()[n] * merged[place] / merged[place].norm()
    return {**parts, "dora_scale": magnitude}, new


def dora_by_column(weight: Tensor) -> Made:
    return dora(weight, by_column=True)


def turned(blocks: Tensor) -> Tensor:
    skew = blocks - blocks.T
    one = torch.eye(len(blocks))
    return (one + skew) @ torch.linalg.inv(one - skew)


def oft(weight: Tensor) -> Made:
    size = 4
    blocks = rand(len(weight) // size, size, size) * 0.3
    rescale = 1 + rand(len(weight), *[1] * (weight.ndim - 1)).abs()
    whole = torch.block_diag(*(turned(block).T for block in blocks))
    new = (whole @ weight.flatten(1)).reshape(weight.shape)
    # Its alpha is a bound, here of 2 for each output, which these parameters keep.
    return {"oft_blocks": blocks, "rescale": rescale}, new * rescale


def boft(weight: Tensor) -> Made:
    """Round m turns blocks of rows that lie 2^m x half a block apart, as a permutation shows."""
    out, size, rounds = len(weight), 2, 2
    blocks = rand(rounds, out // size, size, size) * 0.3
    new = weight.flatten(1)
    for m in range(rounds):
        distance = 2**m * size // 2
        starts = [row for row in range(out) if row // distance % 2 == 0]
        order = [row + half * distance for row in starts for half in (0, 1)]
        permutation = torch.eye(out)[order]
        turn = torch.block_diag(*(turned(block) for block in blocks[m]))
        new = permutation.T @ turn @ permutation @ new
    return {"oft_blocks": blocks}, new.reshape(weight.shape)


def full(weight: Tensor) -> Made:
    change = rand(*weight.shape)
    return {"diff": change}, weight + change


KINDS = (
    low_rank, tucker_locon, loha, tucker_loha, lokr_full, lokr_factors, lokr_tucker, dora, dora_by_column, oft, boft, full,
)  # fmt: skip


def write(path: Path, base: Base, kind: Any) -> dict[str, Tensor]:
    """A file for a linear layer and a convolution; returns their weights by the formula."""
    state: dict[str, Tensor] = {}
    expected: dict[str, Tensor] = {}
    plain = plain_state(base.network)
    for layer in LAYERS:
        parts, expected[layer] = kind(plain[f"{layer}.weight"])
        state |= {f"{kohya_name(layer)}.{name}": tensor for name, tensor in parts.items()}
        state[f"{kohya_name(layer)}.alpha"] = torch.tensor(ALPHA)
    save_file(state, path)
    return expected


def merged(base: Base, *weighted: tuple[dict[str, Tensor], float]) -> list[Tensor]:
    """Outputs of the base with every file's change of the weights added at its weight."""
    unet = copy.deepcopy(base.network)
    plain = plain_state(base.network)
    for weights, weight in weighted:
        for layer, new in weights.items():
            unet.get_submodule(layer).weight += weight * (new - plain[f"{layer}.weight"])
    return outputs([unet, *base.text_encoders])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_equals_its_formula_written_out(base: Base, loras: Path, kind: Any) -> None:
    before = of(base)
    expected = write(loras / "style.safetensors", base, kind)
    wanted = merged(base, (expected, 1.0)), merged(base, (expected, 0.6))
    for weight, made in zip((1.0, 0.6), wanted, strict=True):
        assert use_loras(base, [("style", weight)]) == ()
        found = of(base)
        assert_close(found, made)
        assert (found[0] - before[0]).abs().max() > 0.01
    use_loras(base, [])
    assert same(of(base), before)


def test_kinds_add_up_on_one_layer_and_low_rank_alone_stays_fast(base: Base, loras: Path) -> None:
    one, two = write(loras / "one.safetensors", base, low_rank), write(loras / "two.safetensors", base, dora)
    wanted = merged(base, (one, 0.5), (two, -0.7))
    use_loras(base, [("one", 0.5)])
    assert isinstance(base.network.get_submodule(ATTENTION), Adapted)
    use_loras(base, [("one", 0.5), ("two", -0.7)])
    assert isinstance(base.network.get_submodule(ATTENTION), Reweighted)
    assert_close(of(base), wanted)


def test_a_bound_keeps_rotations_small(base: Base, loras: Path) -> None:
    layer, blocks = kohya_name(ATTENTION), rand(2, 4, 4)
    state = {f"{layer}.oft_blocks": blocks, f"{layer}.alpha": torch.tensor(0.01)}
    save_file(state, loras / "bound.safetensors")
    skew = blocks - blocks.mT
    skew = skew * (0.01 * 8 / skew.norm())
    one = torch.eye(4)
    whole = torch.block_diag(*((one + s) @ torch.linalg.inv(one - s) for s in skew)).T
    plain = plain_state(base.network)[f"{ATTENTION}.weight"]
    wanted = merged(base, ({ATTENTION: whole @ plain}, 1.0))
    use_loras(base, [("bound", 1.0)])
    assert_close(of(base), wanted)


def test_a_difference_of_a_bias(base: Base, loras: Path) -> None:
    layer, change = "mid_block.attentions.0.proj_in", rand(16)
    save_file({f"{kohya_name(layer)}.diff_b": change}, loras / "bias.safetensors")
    unet = copy.deepcopy(base.network)
    unet.get_submodule(layer).bias += 0.5 * change
    wanted = outputs([unet, *base.text_encoders])
    use_loras(base, [("bias", 0.5)])
    assert_close(of(base), wanted)


def test_half_precision_keeps_its_format(loras: Path) -> None:
    base = tiny_base("sd15")
    expected = write(loras / "style.safetensors", base, loha)
    base.network.bfloat16()
    use_loras(base, [("style", 1.0)])
    layer: Any = base.network.get_submodule(ATTENTION)
    weight, _ = layer.weights()
    assert weight.dtype == torch.bfloat16
    torch.testing.assert_close(weight.float(), expected[ATTENTION], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("format", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_equals_the_same_numbers_in_full(base: Base, loras: Path, format: torch.dtype) -> None:
    narrow = {
        name: tensor.to(format) if name.endswith("weight") else tensor
        for name, tensor in _state(base, low_rank).items()
    }
    save_file(narrow, loras / "narrow.safetensors")
    save_file({name: tensor.float() for name, tensor in narrow.items()}, loras / "wide.safetensors")
    use_loras(base, [("wide", 1.0)])
    wanted = of(base)
    assert use_loras(base, [("narrow", 1.0)]) == ()
    assert same(of(base), wanted)


def _state(base: Base, kind: Any) -> dict[str, Tensor]:
    plain = plain_state(base.network)
    parts = {layer: kind(plain[f"{layer}.weight"])[0] for layer in LAYERS}
    return {f"{kohya_name(layer)}.{name}": t for layer, found in parts.items() for name, t in found.items()}


STRANGE: dict[str, tuple[dict[str, Tensor], str]] = {
    "an unknown kind": (
        {"lora_unet_x.glora_a1.weight": torch.ones(2, 2)},
        "1 tensors of LoRA mixed.safetensors are of a kind that this app does not apply and were left out, such as lora_unet_x.glora_a1.weight.",
    ),
    "an unknown layer": (
        {"lora_unet_double_block.lora_down.weight": torch.ones(2, 2), "lora_unet_double_block.lora_up.weight": torch.ones(2, 2)},
        "1 layers of LoRA mixed.safetensors were left out, such as lora_unet_double_block: the base, SD 1.5, does not have them.",
    ),
    "another shape": (
        {"unet.conv_in.lora_A.weight": torch.ones(2, 9, 3, 3), "unet.conv_in.lora_B.weight": torch.ones(8, 2, 1, 1)},
        "1 layers of LoRA mixed.safetensors were left out, such as unet.conv_in: the base's have other shapes.",
    ),
    "one half": (
        {"unet.conv_in.lora_A.weight": torch.ones(2, 4, 3, 3)},
        "1 layers of LoRA mixed.safetensors were left out, such as unet.conv_in: of its parts there are only down.",
    ),
    "whole numbers": (
        {"unet.conv_in.lora_A.weight": torch.ones(2, 4).byte(), "unet.conv_in.lora_B.weight": torch.ones(8, 2).byte()},
        "1 layers of LoRA mixed.safetensors were left out, such as unet.conv_in: its numbers are stored in a way that this app does not read.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_not_understood_does_not_keep_out_the_rest(base: Base, loras: Path, strange: str) -> None:
    state, note = STRANGE[strange]
    save_file(_state(base, low_rank), loras / "known.safetensors")
    save_file(_state(base, low_rank) | state, loras / "mixed.safetensors")
    use_loras(base, [("known", 1.0)])
    wanted = of(base)
    assert use_loras(base, [("mixed", 1.0)]) == (note,)
    assert same(of(base), wanted)


def test_a_file_of_which_most_does_not_fit_is_refused(base: Base, loras: Path) -> None:
    state = _state(base, low_rank)
    for number in range(3):
        state |= peft("unet", f"double_blocks.{number}.to_q", (torch.ones(2, 8), torch.ones(8, 2)))
    save_file(state, loras / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors changes 3 layers that the base has not"):
        use_loras(base, [("other", 1.0)])


def test_a_folder_by_peft_with_its_settings(base: Base, loras: Path, tmp_path: Path) -> None:
    both = pair(base.network.get_submodule(ATTENTION))
    other = pair(base.network.get_submodule("conv_in"), 1)
    state = {
        f"base_model.model.{layer}.lora_{part}.weight": tensor
        for layer, found in ((ATTENTION, both), ("conv_in", other))
        for part, tensor in zip("AB", found, strict=True)
    }
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 6, "alpha_pattern": {"conv_in": 1.5}, "use_rslora": False}
    for folder in (loras / "by_name", tmp_path / "by_path"):
        folder.mkdir()
        save_file(state, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    wanted = _applied(base, (ATTENTION, both, 2.0), ("conv_in", other, 0.5))
    for name in ("by_name", str(tmp_path / "by_path")):
        assert use_loras(base, [(name, 1.0)]) == ()
        assert_close(of(base), wanted)
    (listed,) = local_files("lora")
    assert (listed.name, listed.size) == ("by_name", (loras / "by_name" / "adapter_model.safetensors").stat().st_size)
    assert len(listed.sha256) == 64
    assert resolve("by_name", "lora").path == loras / "by_name"
    (loras / "by_name" / "adapter_config.json").write_text(json.dumps(settings | {"use_rslora": True}))
    use_loras(base, [("by_name", 1.0)])
    assert_close(of(base), _applied(base, (ATTENTION, both, 6 / 3**0.5), ("conv_in", other, 1.5 / 3**0.5)))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", ".*.*.*.*!", "[", "a" * 201])
def test_patterns_that_would_take_for_ever_are_left_out_and_named(tmp_path: Path, pattern: str) -> None:
    settings = AdapterSettings({"lora_alpha": 3, "alpha_pattern": {pattern: 9}})
    assert settings.alpha("a" * 100 + "!") == 3
    (note,) = settings.notes("x", 0)
    assert f"LoRA x has settings for layers that {pattern[:60]!r} matches" in note


@pytest.mark.parametrize("pattern", ["to_k", "attn2.to_k", ".*attn2.*", r"up_blocks\.\d+.*to_[kv]"])
def test_usual_patterns_are_followed(pattern: str) -> None:
    settings = AdapterSettings({"lora_alpha": 3, "alpha_pattern": {pattern: 9}})
    assert settings.alpha("up_blocks.1.attn2.to_k") == 9
    assert settings.alpha("conv_in") == 3
    assert not list(settings.notes("x", 0))


def test_numbers_that_no_network_has_are_none(tmp_path: Path) -> None:
    settings = AdapterSettings({"r": 10**400, "lora_alpha": 10**400})
    assert (settings.rank, settings.alpha("a")) == (None, None)


def _applied(base: Base, *changes: tuple[str, Any, float]) -> list[Tensor]:
    unet, plain = copy.deepcopy(base.network), plain_state(base.network)
    for layer, (down, up), scale in changes:
        module: Any = unet.get_submodule(layer)
        weight = plain[f"{layer}.weight"] + scale * (up.flatten(1) @ down.flatten(1)).reshape(
            plain[f"{layer}.weight"].shape
        )
        if hasattr(module, "plain"):
            unet.set_submodule(layer, module.plain)
        unet.get_submodule(layer).weight = torch.nn.Parameter(weight, requires_grad=False)
    return outputs([unet, *base.text_encoders])


def test_peft_without_its_settings_is_told(base: Base, loras: Path) -> None:
    folder = loras / "lost"
    folder.mkdir()
    state = {
        f"base_model.model.{ATTENTION}.lora_{part}.weight": t
        for part, t in zip("AB", pair(base.network.get_submodule(ATTENTION)), strict=True)
    }
    save_file(state, folder / "adapter_model.safetensors")
    (note,) = use_loras(base, [("lost", 1.0)])
    assert note.startswith("LoRA lost was written by peft, but its adapter_config.json is not next to it: its updates")


def test_folders_of_several_networks(base: Base, loras: Path) -> None:
    words = "encoder.layers.0.self_attn.q_proj"
    encoder = base.text_encoders[0]
    inner = ("text_model." if hasattr(encoder, "text_model") else "") + words
    for part, layer, module in (
        ("unet", ATTENTION, base.network),
        ("text_encoder", f"text_model.{words}", encoder),
    ):
        folder = loras / "two" / part
        folder.mkdir(parents=True)
        found = pair(module.get_submodule(ATTENTION if part == "unet" else inner))
        save_file(
            {f"base_model.model.{layer}.lora_{p}.weight": t for p, t in zip("AB", found, strict=True)},
            folder / "adapter_model.safetensors",
        )
        (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": RANK}))
    before = of(base)
    assert use_loras(base, [("two", 1.0)]) == ()
    assert all((one - other).abs().max() > 0.01 for one, other in zip(of(base), before, strict=True))


def test_kohyas_metadata_that_contradicts_its_tensors_is_told(base: Base, loras: Path) -> None:
    said = {"ss_network_alpha": "1", "ss_network_dim": "32"}
    save_file(_state(base, low_rank), loras / "bare.safetensors", said)
    (note,) = use_loras(base, [("bare", 1.0)])
    assert "holds no alpha, but its metadata has network_alpha 1 at rank 32" in note
    assert "give it the weight 0.0312" in note


def test_pefts_other_kinds_take_their_scale_from_the_settings(base: Base, loras: Path) -> None:
    weight = plain_state(base.network)[f"{ATTENTION}.weight"]
    parts, _ = lokr_full(weight)
    folder = loras / "lokr"
    folder.mkdir()
    save_file({f"base_model.model.{ATTENTION}.{name}": t for name, t in parts.items()}, folder / "adapter_model.safetensors")  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LOKR", "r": 8, "alpha": 4}))
    wanted = merged(base, ({ATTENTION: weight + 0.5 * kron(parts["lokr_w1"], parts["lokr_w2"], weight.shape)}, 1.0))
    use_loras(base, [("lokr", 1.0)])
    assert_close(of(base), wanted)


def test_pefts_magnitudes_are_one_a_row(base: Base, loras: Path) -> None:
    both = {layer: pair(base.network.get_submodule(layer)) for layer in LAYERS}
    state: dict[str, Tensor] = {}
    expected: dict[str, Tensor] = {}
    for layer, (down, up) in both.items():
        weight = plain_state(base.network)[f"{layer}.weight"]
        magnitude = 1 + rand(len(weight)).abs()
        shape = (1, len(weight), *(1 for _ in weight.shape[2:]))
        state |= peft("unet", layer, (down, up))
        state[f"unet.{layer}.lora_magnitude_vector"] = magnitude.reshape(shape if weight.ndim > 2 else -1)
        new = weight + (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        expected[layer] = torch.stack([m * row / row.norm() for m, row in zip(magnitude, new, strict=True)])
    save_file(state, loras / "dora.safetensors")
    wanted = merged(base, (expected, 1.0))
    assert use_loras(base, [("dora", 1.0)]) == ()
    assert_close(of(base), wanted)


def test_an_embedding_inside_a_lora(base: Base, loras: Path) -> None:
    words = {"bundle_emb.charcoal style.emb_params": rand(2, 16), "bundle_emb.v1.5 look.string_to_param.*": rand(1, 16)}
    save_file(_state(base, low_rank) | words, loras / "bundled.safetensors")
    assert use_loras(base, [("bundled", 1.0)]) == ()
    (file,) = acting_files(base)
    assert {word: list(parts) for word, parts in file.words.items()} == {
        "charcoal style": ["emb_params"],
        "v1.5 look": ["*"],
    }
    assert read_lora(loras / "bundled.safetensors") is file
