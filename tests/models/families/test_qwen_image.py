"""Qwen-Image on disk: a base in a folder, and ControlNets in folders and of one file, told apart by configs and tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLQwenImage, QwenImageControlNetModel, QwenImageTransformer2DModel
from safetensors.torch import save_file

from models.catalogue.catalog import CATALOG, entry
from models.catalogue.local import LocalFile, kind_of
from models.catalogue.resolve import base_defaults, resolve, start_conditioning_scale
from models.configs import read_base_family
from models.errors import DamagedError, InputError
from models.families import FAMILIES, family_of
from models.layouts.controlnet_files import load_controlnet_tensors
from models.layouts.qwen_image_fun import QwenImageFunControl
from models.loader import Base, base_dtype, load_controlnet, load_vae, save_base, save_network
from models.lora.loras import use_loras
from models.tiny import tiny_base
from models.tiny.qwen_image import tiny_qwen_image_controlnet, tiny_qwen_image_union
from models.tiny.z_image import tiny_z_image_controlnet
from tests.models.networks import same


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("qwen_image")


@pytest.fixture(scope="module")
def folder(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen_image")
    save_base(base, folder, torch.float32)
    return folder


def test_its_config_shows_the_family(folder: Path) -> None:
    assert read_base_family("mine", folder) == "qwen_image"
    assert base_defaults(str(folder)) == ("qwen_image", FAMILIES["qwen_image"].defaults)
    assert family_of({"_class_name": "QwenImageControlNetModel"}) == "qwen_image"


def test_checkpoints_have_settings_of_their_own() -> None:
    ids = "qwen_image", "qwen_image_2512", "mine"
    assert [start_conditioning_scale("", id, "qwen_image") for id in ids] == [1.0, 0.8, 1.0]
    defaults = [entry(id).defaults for id in ids[:2]]
    assert [(one.guidance_scale, one.num_inference_steps) for one in defaults if one] == [(4, 30), (4, 50)]
    scales = {
        row.id: row.conditioning_scale for row in CATALOG if row.family == "qwen_image" and row.kind == "controlnet"
    }
    assert scales == {
        "controlnet_union_qwen_image": 1.0, "controlnet_inpaint_qwen_image": 1.0, "controlnet_fun_qwen_image": 0.8,
        "controlnet_fun_2602_qwen_image": 0.8,
    }  # fmt: skip


def test_half_precision_is_bfloat16() -> None:
    assert base_dtype("qwen_image", torch.float16) == torch.bfloat16
    assert base_dtype("qwen_image", torch.float32) == torch.float32


def test_an_autoencoder_comes_from_a_folder(base: Base, folder: Path, tmp_path: Path) -> None:
    assert same(load_vae(str(folder / "vae"), "qwen_image"), base.vae)
    with pytest.raises(
        InputError, match="is AutoencoderKLQwenImage, but Z-Image takes the autoencoders AutoencoderKL and"
    ):
        load_vae(str(folder / "vae"), "z_image")
    save_base(tiny_base("z_image"), tmp_path, torch.float32)
    with pytest.raises(
        InputError, match="is AutoencoderKL, but Qwen-Image takes the autoencoders AutoencoderKLQwenImage"
    ):
        load_vae(str(tmp_path / "vae"), "qwen_image")
    save_file(base.vae.state_dict(), tmp_path / "vae.safetensors")
    with pytest.raises(
        InputError, match=r"vae.safetensors is one file, but an autoencoder for Qwen-Image is read from a f"
    ):
        load_vae(str(tmp_path / "vae.safetensors"), "qwen_image")


@pytest.mark.parametrize("masked", [False, True])
def test_an_instantx_controlnet_of_one_file(base: Base, tmp_path: Path, masked: bool) -> None:
    made = tiny_qwen_image_controlnet(masked=masked)
    path = tmp_path / "any.safetensors"
    save_file(made.state_dict(), path)
    assert kind_of(made.state_dict()) == "controlnet"
    assert LocalFile(path, "controlnet").family == "qwen_image"
    network: Any = load_controlnet(str(path), "qwen_image", base_network=base.network)
    assert same(network, made)
    assert torch.equal(network.pos_embed.pos_freqs, made.pos_embed.pos_freqs)  # which no file holds
    names = ("in_channels", "num_layers", "attention_head_dim", "num_attention_heads", "joint_attention_dim")
    for name in (*names, "extra_condition_channels", "axes_dims_rope"):
        assert network.config[name] == made.config[name], name


@pytest.mark.parametrize("masked", [False, True])
def test_an_instantx_controlnet_in_a_folder(tmp_path: Path, masked: bool) -> None:
    made = tiny_qwen_image_controlnet(masked=masked)
    save_network(made, tmp_path, torch.float32)
    assert resolve(str(tmp_path), "controlnet").family == "qwen_image"
    assert same(load_controlnet(str(tmp_path), "qwen_image"), made)


UNION_NAMES = {
    "control_img_in.weight", "control_img_in.bias", "control_blocks.0.before_proj.weight", "control_blocks.0.before_proj.bias",
    "control_blocks.0.after_proj.weight", "control_blocks.1.after_proj.bias", "control_blocks.0.img_mod.1.weight",
    "control_blocks.1.txt_mod.1.bias", "control_blocks.0.attn.to_q.weight", "control_blocks.1.attn.add_k_proj.bias",
    "control_blocks.0.attn.norm_added_q.weight", "control_blocks.0.attn.to_out.0.weight",
    "control_blocks.1.attn.to_add_out.weight", "control_blocks.0.img_mlp.net.0.proj.weight",
    "control_blocks.1.txt_mlp.net.2.bias",
}  # fmt: skip
"""Some of the published file's."""


def test_the_union_of_one_file(base: Base, tmp_path: Path) -> None:
    made = tiny_qwen_image_union()
    state = made.state_dict()
    assert set(state) >= UNION_NAMES
    assert "control_blocks.1.before_proj.weight" not in state
    assert all(name.startswith(("control_img_in.", "control_blocks.")) for name in state)
    path = tmp_path / "any.safetensors"
    save_file(state, path)
    assert kind_of(state) == "controlnet"
    assert LocalFile(path, "controlnet").family == "qwen_image"
    network: Any = load_controlnet(str(path), "qwen_image", base_network=base.network)
    assert isinstance(network, QwenImageFunControl)
    assert same(network, made)
    assert list(network.config["control_layers"]) == list(made.config["control_layers"]) == [0, 2]


def test_the_published_union_has_the_size_in_the_catalogue(tmp_path: Path) -> None:
    with torch.device("meta"):
        published = QwenImageFunControl()
    parameters = sum(weight.numel() for weight in published.parameters())
    assert entry("controlnet_fun_qwen_image").size == pytest.approx(2 * parameters, rel=0.005)
    state = {f"control_blocks.{n}.after_proj.weight": torch.ones(1) for n in range(5)}
    state |= {"control_blocks.0.img_mod.1.weight": torch.ones(1), "control_img_in.weight": torch.ones(8, 132)}
    state |= {"control_blocks.0.attn.norm_q.weight": torch.ones(4)}
    save_file(state, tmp_path / "x.safetensors")
    config = load_controlnet_tensors(tmp_path / "x.safetensors", "qwen_image").config
    assert config == {
        "control_layers": [0, 12, 24, 36, 48], "control_in_dim": 132, "num_attention_heads": 2, "attention_head_dim": 4,
    }  # fmt: skip


def test_another_family_is_refused(tmp_path: Path) -> None:
    save_file(tiny_qwen_image_union().state_dict(), tmp_path / "union.safetensors")
    with pytest.raises(
        InputError, match=r"^union.safetensors is a ControlNet for Qwen-Image, but the base is SDXL; choose"
    ):
        load_controlnet(str(tmp_path / "union.safetensors"), "sdxl")
    save_file(tiny_z_image_controlnet("1").state_dict(), tmp_path / "z.safetensors")
    with pytest.raises(
        InputError, match=r"^z.safetensors is a ControlNet for Z-Image, but the base is Qwen-Image; choose"
    ):
        load_controlnet(str(tmp_path / "z.safetensors"), "qwen_image")
    save_network(tiny_qwen_image_controlnet(), tmp_path / "folder", torch.float32)
    with pytest.raises(InputError, match=r"was made for Qwen-Image and cannot steer SD 1\.5"):
        load_controlnet(str(tmp_path / "folder"), "sd15")
    other = {"controlnet_x_embedder.weight": torch.ones(2, 2), "controlnet_blocks.0.weight": torch.ones(2, 2)}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="is a ControlNet for SD 3 or another transformer"):
        load_controlnet(str(tmp_path / "other.safetensors"), "qwen_image")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (tiny_qwen_image_union, "control_blocks.1.after_proj.weight"),
        (tiny_qwen_image_controlnet, "controlnet_blocks.1.bias"),
    ],
)
def test_a_file_that_lacks_tensors_is_damaged(base: Base, tmp_path: Path, make: Any, name: str) -> None:
    state = dict(make().state_dict())
    del state[name]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(DamagedError, match=r"1 of its tensors are not those of a ControlNet for Qwen-Image"):
        load_controlnet(str(tmp_path / "gap.safetensors"), "qwen_image", base_network=base.network)


def test_parameters_are_those_of_the_published_configs() -> None:
    with torch.device("meta"):
        networks = QwenImageTransformer2DModel(), QwenImageControlNetModel(num_layers=5), AutoencoderKLQwenImage()
    found = tuple(sum(weight.numel() for weight in network.parameters()) / 1e6 for network in networks)
    millions = FAMILIES["qwen_image"].parameters
    assert found == pytest.approx((millions.network, millions.controlnet, millions.vae), rel=0.001)


@pytest.mark.parametrize(
    ("layer", "halves"),
    [
        ("transformer.transformer_blocks.0.attn.to_q.{}.weight", ("lora_A", "lora_B")),
        ("lora_unet_transformer_blocks_0_attn_to_q.{}.weight", ("lora_down", "lora_up")),
        ("diffusion_model.transformer_blocks.0.attn.to_q.{}.weight", ("lora_A", "lora_B")),
    ],
    ids=["peft", "kohya", "ComfyUI"],
)
def test_loras_act_in_every_layout(tmp_path: Path, layer: str, halves: tuple[str, str]) -> None:
    made = tiny_base("qwen_image")
    plain = made.network.transformer_blocks[0].attn.to_q
    channels = plain.in_features
    shapes = (2, channels), (plain.out_features, 2)
    file = tmp_path / "lora.safetensors"
    state = {layer.format(half): torch.rand(shape) for half, shape in zip(halves, shapes, strict=True)}
    save_file(state, file)
    states = torch.rand(1, channels)
    before = plain(states)
    assert use_loras(made, [(str(file), 1.0)]) == ()
    assert not torch.equal(made.network.transformer_blocks[0].attn.to_q(states), before)
