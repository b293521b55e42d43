"""ControlNets of one file whose meaning is not only in their tensors: facts next to them, and weights that are the base's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.catalog import Family
from models.catalogue.local import local_files
from models.errors import InputError, OutOfMemoryError
from models.layouts.control_base import MARKS
from models.loader import is_completed_by_base, load_controlnet
from models.lora.layers import create_layer
from models.lora.loras import plain_state
from tests.models.layouts.original_names import SIZES, original_layout
from tests.models.layouts.test_checkpoints import assert_same, create, residuals
from tests.models.layouts.test_one_file import create_unet

pytestmark = pytest.mark.slow

SHUFFLE = "control_v11e_sd15_shuffle"
POOLED_YAML = "model:\n  target: cldm.cldm.ControlLDM\n  params:\n    global_average_pooling: True\n"


def load(path: Path, family: Family = "sd15", unet: Any = None) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return load_controlnet(str(path), family, base_network=unet, on_note=notes.append), notes


def pools(network: Any) -> bool:
    return network.config["global_pool_conditions"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in original_layout(create("sd15").state_dict()).items()}


def test_the_yaml_next_to_a_pickle_tells_its_pooling(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    assert not pools(load(path)[0])
    for suffix in (".yaml", ".yml"):
        path.with_suffix(suffix).write_text(POOLED_YAML)
        network, notes = load(path)
        assert pools(network)
        assert not notes
        path.with_suffix(suffix).unlink()
    (tmp_path / "another.yaml").write_text(POOLED_YAML)
    assert not pools(load(path)[0])


@pytest.mark.parametrize("key", ["global_average_pooling", "global_pool_conditions"])
def test_metadata_tell_its_pooling(state: dict[str, Tensor], tmp_path: Path, key: str) -> None:
    save_file(state, tmp_path / "mine.safetensors", {key: "True"})
    network, notes = load(tmp_path / "mine.safetensors")
    assert pools(network)
    assert not notes


def test_a_config_tells_it_where_it_means_this_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    config = {"_class_name": "ControlNetModel", "global_pool_conditions": True, "controlnet_conditioning_channel_order": "bgr"}  # fmt: skip
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    save_file(state, path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    network, notes = load(path)
    assert pools(network)
    assert network.config["controlnet_conditioning_channel_order"] == "bgr"
    assert not notes
    save_file({"a": torch.ones(1)}, tmp_path / "neighbour.safetensors")
    assert not pools(load(path)[0])
    path.with_suffix(".json").write_text(json.dumps(config))
    assert pools(load(path)[0])


@pytest.mark.parametrize(
    ("name", "pooled", "note"),
    [
        (
            f"{SHUFFLE}.pth",
            True,
            f"{SHUFFLE}.pth is taken for Shuffle for SD 1.5 by its name, so its residuals are averaged",
        ),
        ("control_v11e_sd15_shuffle_fp16.pth", True, "is taken for Shuffle for SD 1.5 by its name"),
        ("Control-v11e-sd15-shuffle [526bfdae].pth", True, "is taken for Shuffle for SD 1.5 by its name"),
        ("my shuffled colours.pth", False, "may be a shuffle ControlNet, whose residuals are averaged over the whole"),
        ("control_v11e_sd15_shuffled.pth", False, "may be a shuffle ControlNet"),
    ],
)
def test_a_name_alone_is_told(state: dict[str, Tensor], tmp_path: Path, name: str, pooled: bool, note: str) -> None:
    torch.save(state, tmp_path / name)
    network, notes = load(tmp_path / name)
    assert pools(network) == pooled
    assert len(notes) == 1
    assert note in notes[0]
    (tmp_path / name).with_suffix(".yaml").write_text("params:\n  global_average_pooling: False\n")
    network, notes = load(tmp_path / name)
    assert not pools(network)
    assert not notes


def test_the_first_normals_read_their_map_with_red_and_blue_exchanged(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "control_sd15_normal.pth")
    torch.save(state, tmp_path / "control_sd15_normalbae.pth")
    network, notes = load(tmp_path / "control_sd15_normal.pth")
    assert network.config["controlnet_conditioning_channel_order"] == "bgr"
    assert notes == ["control_sd15_normal.pth is taken for Normals, first version, for SD 1.5 by its name, so red and blue of its map are exchanged, as in its training."]  # fmt: skip
    network, notes = load(tmp_path / "control_sd15_normalbae.pth")
    assert (network.config["controlnet_conditioning_channel_order"], notes) == ("rgb", [])


def test_only_the_middle_block_acts_where_the_yaml_has_it(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "mine.pth")
    (tmp_path / "mine.yaml").write_text("    only_mid_control: True\n")
    network, notes = load(tmp_path / "mine.pth")
    *outer, middle = residuals(network, "sd15")
    assert not any(residual.any() for residual in outer)
    assert torch.equal(middle, residuals(create("sd15"), "sd15")[-1])
    assert notes == ["Only the middle block of mine.pth acts: only_mid_control is set next to it."]


@pytest.mark.parametrize("text", ["global_average_pooling: [", "- " * 600_000, "\0\xff"])
def test_an_odd_yaml_tells_nothing(state: dict[str, Tensor], tmp_path: Path, text: str) -> None:
    torch.save(state, tmp_path / "mine.pth")
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "mine.json").write_text("[" * 100_000)
    network, notes = load(tmp_path / "mine.pth")
    assert not pools(network)
    assert not notes


def encoder_of(unet: Any, in_channels: int = 4) -> ControlNetModel:
    """A ControlNet with the encoder of a U-Net, and visible layers of its own."""
    made = create(_family(unet))
    shared = {name: tensor for name, tensor in plain_state(unet).items() if name in made.state_dict()}
    shared["conv_in.weight"] = shared["conv_in.weight"][:, :in_channels]
    made.load_state_dict(shared, strict=False)
    return made


def _family(unet: Any) -> Family:
    widths: dict[int, Family] = {768: "sd15", 1024: "sd21", 2048: "sdxl"}
    return widths[unet.config["cross_attention_dim"]]


def control_lora(unet: Any, rank: int) -> tuple[ControlNetModel, dict[str, Tensor]]:
    """The whole ControlNet, and the file that holds what the base's weights lack: ranks differ from layer to layer."""
    made, file = encoder_of(unet), {}
    generator = torch.Generator().manual_seed(rank)
    shared = plain_state(unet).keys()
    for number, (name, tensor) in enumerate(made.state_dict().items()):
        if name not in shared:
            file[name] = tensor.clone()
        elif tensor.ndim > 1:
            of_this = min(rank + number % 3, len(tensor), tensor[0].numel())
            up = torch.randn((len(tensor), of_this), generator=generator) * 0.05
            down = torch.randn((of_this, *tensor.shape[1:]), generator=generator) * 0.3
            tensor += (up @ down.flatten(1)).reshape(tensor.shape)
            ones = [1] * (tensor.ndim - 2)
            file |= {f"{name}:up": up.reshape(*up.shape, *ones), f"{name}:down": down}
        elif number % 2:  # the others are as in the base, and left out
            tensor += 0.1
            file[name] = tensor.clone()
    factors = {part: {n.removesuffix(f":{part}"): t for n, t in file.items() if n.endswith(f":{part}")} for part in ("up", "down")}  # fmt: skip
    found = original_layout({name: tensor for name, tensor in file.items() if ":" not in name})
    for part, tensors in factors.items():
        found |= {name.removesuffix("weight") + part: t for name, t in original_layout(tensors).items()}
    return made, {name: tensor.contiguous() for name, tensor in found.items()} | {"lora_controlnet": torch.tensor([])}


@dataclass(frozen=True)
class Lora:
    """A base, a whole ControlNet, and the file of what it has more than the base."""

    family: Family
    unet: Any
    made: ControlNetModel
    file: dict[str, Tensor]


@pytest.fixture(
    scope="module", params=[("sdxl", 4), ("sdxl", 1), ("sd15", 8)], ids=lambda param: f"{param[0]}-{param[1]}"
)
def lora(request: pytest.FixtureRequest) -> Lora:
    family, rank = request.param
    torch.manual_seed(0)
    unet = create_unet(family)
    return Lora(family, unet, *control_lora(unet, rank))


@pytest.mark.parametrize("prefix", ["", "control_model."])
def test_a_control_lora_is_added_to_its_base(tmp_path: Path, lora: Lora, prefix: str) -> None:
    family, unet = lora.family, lora.unet
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    path = tmp_path / "control-lora-canny-rank128.safetensors"
    save_file({name if name in MARKS else prefix + name: tensor for name, tensor in lora.file.items()}, path)
    assert is_completed_by_base(str(path), family)
    network, notes = load(path, family, unet)
    assert not notes
    for one, other in zip(residuals(network, family), residuals(lora.made, family), strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    after = unet.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_control_lora_on_an_inpainting_base_in_half_precision_with_a_lora(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = create_unet("sd15", in_channels=9)
    made, file = control_lora(unet, 4)
    save_file({name: tensor.half() for name, tensor in file.items()}, tmp_path / "any.safetensors")
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    unet.set_submodule(layer, _loud(unet.get_submodule(layer)))
    network, _ = load(tmp_path / "any.safetensors", "sd15", unet)
    for one, other in zip(residuals(network, "sd15"), residuals(made, "sd15"), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.02)


def _loud(layer: Any) -> Any:
    """The layer with a LoRA that would be seen."""
    from models.lora.files import LoraFile
    from models.lora.updates import Update

    update = Update("low_rank", {"down": torch.ones(1, layer.in_features), "up": torch.ones(layer.out_features, 1)})
    return create_layer(layer, [(LoraFile("loud", Path("loud"), 0, {}), update, 100.0)])


@pytest.mark.parametrize("diffusers", [False, True])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_difference_is_added_to_its_base(tmp_path: Path, family: Family, diffusers: bool) -> None:
    torch.manual_seed(0)
    unet, made = create_unet(family), create(family)
    plain = plain_state(unet)
    difference = {name: tensor - plain[name] if name in plain else tensor for name, tensor in made.state_dict().items()}
    state = difference if diffusers else {f"control_model.{n}": t for n, t in original_layout(difference).items()}
    path = tmp_path / "any.safetensors"
    save_file({name: t.contiguous() for name, t in state.items()} | {"difference": torch.tensor([])}, path)
    assert is_completed_by_base(str(path), family)
    network, _ = load(path, family, unet)
    for one, other in zip(residuals(network, family), residuals(made, family), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_its_base_cannot_complete_is_refused(tmp_path: Path) -> None:
    unet = create_unet("sdxl")
    _, file = control_lora(unet, 2)
    path = tmp_path / "lora.safetensors"
    save_file(file, path)
    with pytest.raises(
        InputError,
        match=r"lora\.safetensors is a Control-LoRA, which holds a part of its weights only; load it with its base",
    ):
        load(path, "sdxl")
    with pytest.raises(InputError, match=r"is a ControlNet for SDXL, but the base is SD 1\.5"):
        load(path, "sd15", create_unet("sd15"))
    with pytest.raises(OutOfMemoryError, match="needs more memory than is free here"):
        load(path, "sdxl", unet.to("meta"))
    file["input_blocks.1.0.in_layers.2.up"] = torch.ones(64, 9, 1, 1)
    save_file(file, path)
    with pytest.raises(
        InputError, match=r"does not fit this base: its input_blocks\.1\.0\.in_layers\.2 has another shape"
    ):
        load(path, "sdxl", create_unet("sdxl"))


def test_a_whole_controlnet_needs_no_base(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "whole.safetensors")
    assert not is_completed_by_base(str(tmp_path / "whole.safetensors"), "sd15")


SMALLER: Mapping[str, dict[str, Any]] = {
    "small": {"down_block_types": ("DownBlock2D",) * 3, "mid_block_type": "UNetMidBlock2D"},
    "mid": {"transformer_layers_per_block": (1, 1, 1)},
    "without its last": {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")},
}


def smaller(kind: str) -> ControlNetModel:
    torch.manual_seed(0)
    made = ControlNetModel(**SIZES["sdxl"] | SMALLER[kind])
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return made.eval()


@pytest.mark.parametrize(
    ("kind", "original"), [("small", False), ("mid", False), ("mid", True), ("without its last", False)]
)
def test_sdxl_with_fewer_transformer_blocks(own_folders: Path, kind: str, original: bool) -> None:
    made = smaller(kind)
    state = original_layout(made.state_dict()) if original else made.state_dict()
    folder = own_folders / "controlnets"
    folder.mkdir(parents=True)
    save_file({name: t.contiguous() for name, t in state.items()}, folder / "any.safetensors")
    assert [file.family for file in local_files("controlnet")] == ["sdxl"]
    network, notes = load(Path("any.safetensors"), "sdxl")
    assert not notes
    assert_same(network, made, "sdxl")
    with pytest.raises(InputError, match=r"is a ControlNet for SDXL, but the base is SD 1\.5"):
        load(folder / "any.safetensors", "sd15")


def test_one_that_reads_neither_words_nor_sizes_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = SIZES["sd15"] | {
        "down_block_types": ("DownBlock2D",) * 4,
        "mid_block_type": "UNetMidBlock2D",
    }
    made = ControlNetModel(**sizes)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    save_file(made.state_dict(), tmp_path / "bare.safetensors")
    network, notes = load(tmp_path / "bare.safetensors")
    assert_same(network, made.eval(), "sd15")
    assert notes == ["bare.safetensors reads no words, so that it may be made for another base."]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight", "a ControlNet-LLLite"),
        ("control_add_embedding.linear_1.weight", "a union ControlNet"),
        ("image_proj.proj.weight", "an IP-Adapter"),
        ("down_blocks.0.motion_modules.0.temporal_transformer.norm.weight", "a SparseCtrl for videos"),
        ("controlnet_x_embedder.weight", "a ControlNet for SD 3 or another transformer"),
        ("control_model.enc_zero_convs_out.0.0.weight", "a ControlNet-XS"),
    ],
)
def test_other_kinds_of_control_are_called_by_their_names(tmp_path: Path, name: str, kind: str) -> None:
    save_file({name: torch.ones(2, 2)}, tmp_path / "any.safetensors")
    with pytest.raises(InputError, match=rf"any\.safetensors is {kind}, which this app does not load as one file; \w+"):
        load(tmp_path / "any.safetensors", "sdxl")


@pytest.mark.parametrize("format", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_equals_the_same_numbers_in_full(state: dict[str, Tensor], tmp_path: Path, format: torch.dtype) -> None:
    narrow = {name: tensor.to(format) for name, tensor in state.items()}
    save_file(narrow, tmp_path / "narrow.safetensors")
    save_file({name: tensor.float() for name, tensor in narrow.items()}, tmp_path / "wide.safetensors")
    one, other = (residuals(load(tmp_path / f"{name}.safetensors")[0], "sd15") for name in ("narrow", "wide"))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("end", ["scale_weight", "weight_scale"])
def test_float8_with_scales_of_their_own(state: dict[str, Tensor], tmp_path: Path, end: str) -> None:
    narrow: dict[str, Tensor] = {"scaled_fp8": torch.empty(0, dtype=torch.float8_e4m3fn)}
    wide: dict[str, Tensor] = {}
    for name, tensor in state.items():
        narrow[name] = wide[name] = tensor
        if tensor.ndim == 2:
            layer, scale = name.removesuffix(".weight"), tensor.abs().max() / 400
            narrow[name] = (tensor / scale).to(torch.float8_e4m3fn)
            narrow |= {f"{layer}.{end}": scale, f"{layer}.scale_input": torch.ones(1)}
            wide[name] = narrow[name].float() * scale
    save_file(narrow, tmp_path / "narrow.safetensors")
    save_file(wide, tmp_path / "wide.safetensors")
    one, other = (residuals(load(tmp_path / f"{name}.safetensors")[0], "sd15") for name in ("narrow", "wide"))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_four_bits_are_refused_by_their_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    packed = {"time_embed.0.weight": torch.ones(8, 1).byte(), "time_embed.0.weight.absmax": torch.ones(2)}
    save_file(state | packed, tmp_path / "small.safetensors")
    with pytest.raises(InputError, match=r"small\.safetensors is stored in 4 bits, which this app does not read"):
        load(tmp_path / "small.safetensors")
