"""LoRAs: every layout equals weights merged by hand, they add up, leave no trace, and what does not fit is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import lora_conversion_utils
from safetensors.torch import save_file
from torch import Tensor

from models.errors import DamagedError, InputError, MissingError
from models.layouts import adapter_settings
from models.loader import Base
from models.lora import files as lora_files
from models.lora.loras import Adapted, find_lora, use_loras
from models.lora.names import original_name
from models.tiny import tiny_base

RANK = 3
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_out.0"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
HALVING = "down_blocks.0.downsamplers.0.conv"
LINES = [ATTENTION, OUT, "mid_block.attentions.0.proj_in", "up_blocks.1.resnets.0.time_emb_proj"]
WORDS = "encoder.layers.0.self_attn.q_proj"
MLP = "encoder.layers.1.mlp.fc1"

Pair = tuple[Tensor, Tensor]
Writer = Callable[[str, str, Pair], dict[str, Tensor]]


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def base(request: pytest.FixtureRequest) -> Base:
    return tiny_base(request.param)


@pytest.fixture
def loras(own_folders: Path) -> Path:
    folder = own_folders / "loras"
    folder.mkdir(parents=True)
    return folder


def pair(layer: Any, seed: int = 0) -> Pair:
    """A visible update that fits a layer."""
    generator = torch.Generator().manual_seed(seed)
    out, channels, *kernel = getattr(layer, "plain", layer).weight.shape
    down = torch.randn((RANK, channels, *kernel), generator=generator)
    return down, torch.randn((out, RANK, *(1 for _ in kernel)), generator=generator) / 2


def kohya(part: str, layer: str, pair: Pair) -> dict[str, Tensor]:
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_", "text_encoder_2": "lora_te2_text_model_"}
    name = prefix[part] + layer.removeprefix("text_model.").replace(".", "_")
    return {
        f"{name}.lora_down.weight": pair[0],
        f"{name}.lora_up.weight": pair[1],
        f"{name}.alpha": torch.tensor(float(RANK)),
    }


def peft(part: str, layer: str, pair: Pair) -> dict[str, Tensor]:
    return {f"{part}.{layer}.lora_A.weight": pair[0], f"{part}.{layer}.lora_B.weight": pair[1]}


def newer(part: str, layer: str, pair: Pair) -> dict[str, Tensor]:
    middle = "lora" if part == "unet" else "lora_linear_layer"
    name = f"{part}.{layer}" if part == "unet" else f"{part}.text_model.{layer.removeprefix('text_model.')}"
    return {f"{name}.{middle}.down.weight": pair[0], f"{name}.{middle}.up.weight": pair[1]}


def older(part: str, layer: str, pair: Pair) -> dict[str, Tensor]:
    if ".attn" not in layer and "self_attn" not in layer:
        return newer(part, layer, pair)
    before, _, name = layer.rpartition(".to_") if part == "unet" else layer.removesuffix("_proj").rpartition(".")
    middle = f"{before}.processor.to_" if part == "unet" else f"text_model.{before.removeprefix('text_model.')}.to_"
    name = f"{part}.{middle}{name.removesuffix('.0')}_lora"
    return {f"{name}.down.weight": pair[0], f"{name}.up.weight": pair[1]}


def write(path: Path, base: Base, writer: Writer = peft, seed: int = 0) -> list[tuple[str, str, Pair]]:
    """A LoRA for some layers of each kind; returns what it changes."""
    changed: list[tuple[str, str, Pair]] = []
    networks = {"unet": base.network, "text_encoder": base.text_encoders[0], "text_encoder_2": base.text_encoders[-1]}
    for part, network in list(networks.items())[: 1 + len(base.text_encoders)]:
        inner = "text_model." if hasattr(network, "text_model") else ""
        layers = [*LINES, CONVOLUTION, HALVING] if part == "unet" else [inner + WORDS, inner + MLP]
        changed += [(part, name, pair(network.get_submodule(name), seed + i)) for i, name in enumerate(layers)]
    save_file({name: tensor for one in changed for name, tensor in writer(*one).items()}, path)
    return changed


def merged(base: Base, *loras: tuple[list[tuple[str, str, Pair]], float]) -> list[Any]:
    """The base's networks with the updates added to their weights."""
    networks = copy.deepcopy([base.network, *base.text_encoders])
    numbers = {"unet": 0, "text_encoder": 1, "text_encoder_2": 2}
    for changed, weight in loras:
        for part, name, (down, up) in changed:
            layer = networks[numbers[part]].get_submodule(name)
            layer.weight += weight * (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
    return networks


def outputs(networks: list[Any]) -> list[Tensor]:
    """Outputs of the U-Net and of each text encoder."""
    unet, *encoders = networks
    width = unet.config.cross_attention_dim
    generator = torch.Generator().manual_seed(9)
    latents, words = torch.randn((1, 4, 8, 8), generator=generator), torch.randn((1, 5, width), generator=generator)
    added = {"text_embeds": torch.ones(1, 16), "time_ids": torch.ones(1, 6)} if len(encoders) > 1 else None
    with torch.no_grad():
        seen = unet(latents, 300, words, added_cond_kwargs=added).sample
        return [seen, *(encoder(torch.arange(40, 50)[None])[0] for encoder in encoders)]


def of(base: Base) -> list[Tensor]:
    return outputs([base.network, *base.text_encoders])


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("writer", [kohya, peft, newer, older])
def test_every_layout_equals_weights_merged_by_hand(base: Base, loras: Path, writer: Writer) -> None:
    plain = of(base)
    changed = write(loras / "style.safetensors", base, writer)
    use_loras(base, [("style", 0.7)])
    found = of(base)
    assert_close(found, outputs(merged(base_without(base), (changed, 0.7))))
    assert all((one - other).abs().max() > 0.01 for one, other in zip(found, plain, strict=True))
    use_loras(base, [])
    assert same(of(base), plain)


def base_without(base: Base) -> Base:
    """A copy without LoRAs: the same family and seed give the same weights."""
    return tiny_base(base.family)


def test_two_add_and_are_swapped_without_a_trace(base: Base, loras: Path) -> None:
    plain, state = of(base), {name: tensor.clone() for name, tensor in base.network.state_dict().items()}
    one, two = (write(loras / f"{name}.safetensors", base, seed=seed) for seed, name in enumerate(("one", "two")))
    use_loras(base, [("one", 0.5), ("two.safetensors", -0.3)])
    assert_close(of(base), outputs(merged(base_without(base), (one, 0.5), (two, -0.3))))
    use_loras(base, [("two", 1.0)])
    assert_close(of(base), outputs(merged(base_without(base), (two, 1.0))))
    use_loras(base, [("one", 0.0)])
    assert same(of(base), plain)
    after = base.network.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())


def test_what_is_there_is_neither_read_nor_made_again(base: Base, loras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(loras / "one.safetensors", base)
    write(loras / "two.safetensors", base)
    use_loras(base, [("one", 1.0)])
    first = base.network.get_submodule(ATTENTION)
    with monkeypatch.context() as patch:
        patch.delattr(lora_files, "open_tensors")
        use_loras(base, [("one", 1.0)])
        assert base.network.get_submodule(ATTENTION) is first
        use_loras(base, [("one", 0.5)])
        assert base.network.get_submodule(ATTENTION).plain is first.plain
    before = of(base)
    write(loras / "one.safetensors", base, seed=5)
    use_loras(base, [("one", 0.5)])
    assert not same(of(base), before)
    use_loras(base, [])


def test_kohyas_alpha_and_pefts_settings_scale(base: Base, loras: Path) -> None:
    layer = base.network.get_submodule(ATTENTION)
    both = pair(layer)
    settings = {"unet.r": RANK, "unet.lora_alpha": 1, "unet.alpha_pattern": {"attn1.to_q": 6}}
    state = kohya("unet", ATTENTION, both)
    save_file(state | {name: torch.tensor(6.0) for name in state if name.endswith("alpha")}, loras / "a.safetensors")
    save_file(peft("unet", ATTENTION, both), loras / "b.safetensors", {adapter_settings.SETTINGS: json.dumps(settings)})
    expected = outputs(merged(base_without(base), ([("unet", ATTENTION, both)], 2.0)))
    for name in ("a", "b"):
        use_loras(base, [(name, 1.0)])
        assert_close(of(base), expected)
    use_loras(base, [])


def test_a_pickle_works_and_one_with_code_does_not(base: Base, loras: Path) -> None:
    state = peft("unet", ATTENTION, pair(base.network.get_submodule(ATTENTION)))
    torch.save(state, loras / "good.pt")
    torch.save({"x": Path()}, loras / "bad.pt")
    use_loras(base, [("good", 1.0)])
    active = of(base)
    with pytest.raises(InputError, match="might run code"):
        use_loras(base, [("bad", 1.0)])
    assert same(of(base), active)
    use_loras(base, [])


def test_the_originals_names_are_those_diffusers_reads() -> None:
    depths: Any = (1, 2, 3)
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=depths,
            cross_attention_dim=32,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=40,
        )
    layers = [name for name, m in unet.named_modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    originals = {name: original_name(unet, name) for name in layers}
    assert None not in originals.values()
    state: dict[str, Tensor] = {}
    for number, original in enumerate(originals.values()):
        name = f"lora_unet_{str(original).replace('.', '_')}"
        state |= {f"{name}.lora_{part}.weight": torch.tensor([[float(number)]]) for part in ("down", "up")}
    # The reference is private, and the best there is.
    state = lora_conversion_utils._maybe_map_sgm_blocks_to_diffusers(state, unet.config)
    state, _ = lora_conversion_utils._convert_non_diffusers_lora_to_diffusers(state)
    read = {lora_files._plain(str(m[1])): int(t) for n, t in state.items() if (m := lora_files.PART.fullmatch(n))}
    assert read == {f"unet.{name}": number for number, name in enumerate(layers)}


WRONG: Mapping[str, tuple[Callable[[Base], dict[str, Tensor]], str]] = {
    "for another family": (
        lambda base: {
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.ones(4, 768),
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": torch.ones(16, 4),
        },
        "is made for SD 1.5, but the base is SDXL; choose a LoRA for SDXL",
    ),
    "of another shape": (
        lambda base: peft("unet", ATTENTION, (torch.ones(2, 9), torch.ones(8, 2))),
        r"does not fit: its parts for unet\.down.*to_q are \(2, 9\) and \(8, 2\), the base's layer is \(8, 8\)",
    ),
    "of two ranks": (
        lambda base: peft("unet", ATTENTION, (torch.ones(2, 8), torch.ones(8, 3))),
        "is no whole LoRA",
    ),
    "without its other half": (
        lambda base: dict(list(peft("unet", ATTENTION, (torch.ones(2, 8), torch.ones(8, 2))).items())[:1]),
        "is no whole LoRA",
    ),
    "for unknown layers": (
        lambda base: peft("unet", "double_blocks.0.to_q", (torch.ones(2, 8), torch.ones(8, 2))),
        "changes 1 layers that the base has not, such as unet.double_blocks.0.to_q",
    ),
    "for a layer that is none": (
        lambda base: peft("unet", "down_blocks.0", (torch.ones(2, 8), torch.ones(8, 2))),
        "changes 1 layers that the base has not",
    ),
    "half a LoHa": (
        lambda base: {"lora_unet_x.hada_w1_a": torch.ones(2, 2), "lora_unet_x.hada_w1_b": torch.ones(2, 2)},
        "the parts of lora_unet_x do not belong together, of its parts there are only w1_a, w1_b",
    ),
    "of a kind that is not read": (
        lambda base: {"lora_unet_x.glora_a1.weight": torch.ones(2, 2), "lora_unet_x.glora_b1.weight": torch.ones(2, 2)},
        "holds 2 tensors that this app cannot apply, such as lora_unet_x.glora_a1.weight; it applies LoRA, LoCon, LoHa",
    ),
    "not finite": (
        lambda base: peft("unet", ATTENTION, (torch.full((2, 8), float("nan")), torch.ones(8, 2))),
        "that are none",
    ),
    "no LoRA": (lambda base: {"conv_in.weight": torch.ones(2, 2)}, "is no LoRA"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_refused_and_nothing_changes(kind: str, loras: Path, xl: Base) -> None:
    state, message = WRONG[kind]
    save_file(state(xl), loras / "wrong.safetensors")
    write(loras / "good.safetensors", xl)
    use_loras(xl, [("good", 1.0)])
    before = of(xl)
    for request in ([("wrong", 1.0)], [("good", 0.5), ("wrong", 0.0)]):
        with pytest.raises(InputError, match=message):
            use_loras(xl, request)
    assert same(of(xl), before)


@pytest.fixture(scope="module")
def xl() -> Base:
    return tiny_base("sdxl")


def test_a_fault_halfway_leaves_the_base_as_it_was(xl: Base, loras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_loras(xl, [])
    before = of(xl)
    write(loras / "style.safetensors", xl)

    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Conv2d, "__init__", fail)
        with pytest.raises(torch.OutOfMemoryError):
            use_loras(xl, [("style", 1.0)])
    assert same(of(xl), before)
    assert not any(isinstance(module, Adapted) for module in xl.network.modules())


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_is_a_number(xl: Base, weight: float) -> None:
    with pytest.raises(InputError, match=r"weight of LoRA style is (nan|inf); give a number"):
        use_loras(xl, [("style", weight)])


def test_names_stay_inside_their_folders_and_paths_are_taken_as_they_are(loras: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    for path in (outside, loras / "inside.safetensors"):
        save_file({"a": torch.ones(1)}, path)
    assert find_lora("inside") == find_lora("inside.safetensors") == loras / "inside.safetensors"
    assert find_lora(str(outside)) == outside
    for name in ("../../outside.safetensors", "../outside", "missing", ""):
        with pytest.raises(
            InputError, match=r"no LoRA .*put its file into models/loras.*inside\.safetensors, .*lcm_lora"
        ):
            find_lora(name)


def test_a_catalogue_id_is_its_file_and_a_cut_file_is_told(loras: Path, own_folders: Path, xl: Base) -> None:
    with pytest.raises(MissingError, match=r"LCM-LoRA for SDXL needs pytorch_lora_weights\.safetensors"):
        find_lora("lcm_lora_sdxl")
    file = own_folders / "lcm_lora_sdxl" / "pytorch_lora_weights.safetensors"
    file.parent.mkdir()
    save_file({"a": torch.ones(1)}, file)
    assert find_lora("lcm_lora_sdxl") == file
    (loras / "cut.safetensors").write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="cut.safetensors"):
        use_loras(xl, [("cut", 1.0)])


def test_the_other_family_is_named(loras: Path, base: Base) -> None:
    width, title = {"sd15": (2048, "SDXL"), "sdxl": (1024, "SD 2.1")}[base.family]
    layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
    save_file(peft("unet", layer, (torch.ones(4, width), torch.ones(16, 4))), loras / "x.safetensors")
    with pytest.raises(InputError, match=f"is made for {title}, but the base is"):
        use_loras(base, [("x", 1.0)])


def test_a_linear_layer_is_a_convolution_on_single_pixels(base: Base, loras: Path) -> None:
    layer = "mid_block.attentions.0.proj_in"
    down, up = (part.flatten(1) for part in pair(base.network.get_submodule(layer)))
    save_file(peft("unet", layer, (down, up)), loras / "flat.safetensors")
    save_file(peft("unet", layer, (down[..., None, None], up[..., None, None])), loras / "deep.safetensors")
    use_loras(base, [("flat", 1.0), ("deep", 0.5)])
    assert_close(of(base), outputs(merged(base_without(base), ([("unet", layer, (down, up))], 1.5))))
    use_loras(base, [])
