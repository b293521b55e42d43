"""Z-Image on disk: a base in a folder, and the authors' ControlNets of one file, told apart by their tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.catalog import CATALOG, entry
from models.catalogue.local import LocalFile, kind_of
from models.catalogue.resolve import base_defaults, resolve, start_conditioning_scale
from models.configs import read_base_family
from models.errors import DamagedError, InputError
from models.families import FAMILIES, family_of
from models.layouts.controlnet_files import load_controlnet_tensors
from models.loader import Base, base_dtype, load_controlnet, load_vae, save_base, save_network
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet
from models.tiny.z_image import CONTROL_LAYOUTS, tiny_z_image_controlnet
from tests.models.networks import same


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("z_image")


@pytest.fixture(scope="module")
def folder(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("z_image")
    save_base(base, folder, torch.float32)
    return folder


def test_its_config_shows_the_family(folder: Path) -> None:
    assert read_base_family("mine", folder) == "z_image"
    assert base_defaults(str(folder)) == ("z_image", FAMILIES["z_image"].defaults)
    assert family_of({"_class_name": "ZImageControlNetModel"}) == "z_image"
    assert family_of({"_class_name": "LTXVideoTransformer3DModel", "in_channels": 16}) is None


def test_checkpoints_have_settings_of_their_own() -> None:
    """Guidance is one more than in diffusers' pipelines, where the side of the negative prompt is left out at 0."""
    scales = [start_conditioning_scale("", base, "z_image") for base in ("z_image", "z_image_base", "mine")]
    assert scales == [0.75, 0.9, 0.75]
    assert start_conditioning_scale("controlnet_tile_z_image", "z_image_base", "z_image") == 0.85
    assert start_conditioning_scale("", "sd15", "sd15") == start_conditioning_scale("", "who/model", None) == 1
    defaults = [entry(id).defaults for id in ("z_image", "z_image_base")]
    assert [(one.guidance_scale, one.num_inference_steps) for one in defaults if one] == [(1, 8), (5, 25)]
    assert all(row.conditioning_scale for row in CATALOG if row.family == "z_image" and row.kind == "controlnet")
    size = entry("z_image").size
    assert size
    assert size / 1e9 == pytest.approx(32.8, abs=0.1)


def test_half_precision_is_bfloat16() -> None:
    assert base_dtype("z_image", torch.float16) == torch.bfloat16
    assert base_dtype("z_image", torch.float32) == torch.float32
    assert base_dtype("sdxl", torch.float16) == torch.float16


def test_an_autoencoder_of_one_file_has_the_familys_shift(tmp_path: Path) -> None:
    """The published one has no convolutions between encoder, latents and decoder."""
    create: Any = AutoencoderKL
    made = create(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    save_file(made.state_dict(), tmp_path / "vae.safetensors")
    vae = load_vae(str(tmp_path / "vae.safetensors"), "z_image")
    assert same(vae, made)
    assert (vae.config["shift_factor"], vae.config["scaling_factor"]) == (0.1159, 0.3611)


def authors_file(layout: str, path: Path) -> Path:
    """A file as the authors publish it: that of version 2.0 has layers for the refiner too, the first projection zero."""
    state = dict(tiny_z_image_controlnet(layout).state_dict())
    if layout == "2.0":
        other = tiny_z_image_controlnet("2.1").state_dict()
        state |= {name: tensor for name, tensor in other.items() if name.startswith("control_noise_refiner.")}
        for name in ("weight", "bias"):
            state[f"control_noise_refiner.0.before_proj.{name}"] = torch.zeros_like(
                state[f"control_noise_refiner.0.before_proj.{name}"]
            )
    save_file(state, path)
    return path


CONFIGS = {
    "1": ([0, 2], 16, None),
    "2.0": ([0, 1, 2, 3], 33, "control_layers"),
    "2.1": ([0, 1, 2, 3], 33, "control_noise_refiner"),
    "lite": ([0, 2], 33, "control_noise_refiner"),
}


@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_a_controlnet_of_one_file(base: Base, tmp_path: Path, layout: str) -> None:
    path = authors_file(layout, tmp_path / "any.safetensors")
    assert kind_of(tiny_z_image_controlnet(layout).state_dict()) == "controlnet"
    assert LocalFile(path, "controlnet").family == "z_image"
    network: Any = load_controlnet(str(path), "z_image", base_network=base.network)
    names = "control_layers_places", "control_in_dim", "add_control_noise_refiner"
    assert tuple(network.config[name] for name in names) == CONFIGS[layout]
    made = tiny_z_image_controlnet(layout)
    assert same(network, made)
    assert (network.config["dim"], network.config["n_heads"]) == (made.config["dim"], made.config["n_heads"])


@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_a_controlnet_of_one_file_as_diffusers_saves_it(base: Base, tmp_path: Path, layout: str) -> None:
    """Version 2.0 then lacks the layers for the refiner, which nothing reads."""
    made = tiny_z_image_controlnet(layout)
    save_file(made.state_dict(), tmp_path / "any.safetensors")
    network: Any = load_controlnet(str(tmp_path / "any.safetensors"), "z_image", base_network=base.network)
    names = "control_in_dim", "add_control_noise_refiner", "control_refiner_layers_places", "n_refiner_layers"
    assert [network.config[name] for name in names] == [made.config[name] for name in names]
    assert same(network, made)


def test_version_1_without_its_refiner_is_damaged(base: Base, tmp_path: Path) -> None:
    state = tiny_z_image_controlnet("1").state_dict()
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("control_noise_refiner.")}
    save_file(kept, tmp_path / "any.safetensors")
    with pytest.raises(DamagedError):
        load_controlnet(str(tmp_path / "any.safetensors"), "z_image", base_network=base.network)


@pytest.mark.parametrize("layout", CONTROL_LAYOUTS)
def test_a_controlnet_in_a_folder(tmp_path: Path, layout: str) -> None:
    save_network(tiny_z_image_controlnet(layout), tmp_path, torch.float32)
    assert resolve(str(tmp_path), "controlnet").family == "z_image"
    assert same(load_controlnet(str(tmp_path), "z_image"), tiny_z_image_controlnet(layout))


def test_places_divide_the_layers_of_the_published_base(tmp_path: Path) -> None:
    """Without the base: 6 places of version 1, 15 of 2.1 and 3 of lite."""
    found = {1: [0], 3: [0, 10, 20], 6: [0, 5, 10, 15, 20, 25], 15: list(range(0, 30, 2))}
    for count, places in found.items():
        state = {f"control_layers.{n}.after_proj.weight": torch.ones(1) for n in range(count)}
        state |= {"control_all_x_embedder.2-1.weight": torch.ones(8, 64)}
        state |= {"control_layers.0.attention.norm_q.weight": torch.ones(4)}
        save_file(state, tmp_path / "x.safetensors")
        config = load_controlnet_tensors(tmp_path / "x.safetensors", "z_image").config
        assert config["control_layers_places"] == places


def test_another_family_is_refused_before_the_tensors_are_read(tmp_path: Path) -> None:
    path = authors_file("2.1", tmp_path / "net.safetensors")
    content = bytearray(path.read_bytes())
    content[-4000:] = b"\xff" * 4000  # not a number: reading would fail otherwise
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^net.safetensors is a ControlNet for Z-Image, but the base is SDXL; choose"):
        load_controlnet(str(path), "sdxl")
    with pytest.raises(DamagedError):
        load_controlnet(str(path), "z_image", base_network=tiny_base("z_image").network)
    save_network(tiny_z_image_controlnet("1"), tmp_path / "folder", torch.float32)
    with pytest.raises(InputError, match=r"was made for Z-Image and cannot steer SD 1\.5"):
        load_controlnet(str(tmp_path / "folder"), "sd15")


def test_networks_for_a_u_net_are_refused(tmp_path: Path) -> None:
    made = tiny_controlnet(tiny_base("sd15"))
    wordless: dict[str, Tensor] = {name: t for name, t in made.state_dict().items() if "attn" not in name}
    save_file(wordless, tmp_path / "wordless.safetensors")
    with pytest.raises(InputError, match=r"is a ControlNet for a U-Net, but the base is Z-Image"):
        load_controlnet(str(tmp_path / "wordless.safetensors"), "z_image")
    save_network(made, tmp_path / "folder", torch.float32)
    with pytest.raises(InputError, match=r"was made for SD 1\.5 and cannot steer Z-Image"):
        load_controlnet(str(tmp_path / "folder"), "z_image")


def test_a_file_that_lacks_tensors_is_damaged(tmp_path: Path) -> None:
    state = dict(tiny_z_image_controlnet("2.1").state_dict())
    del state["control_layers.1.after_proj.weight"]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(DamagedError, match=r"1 of its tensors are not those of a ControlNet for Z-Image"):
        load_controlnet(str(tmp_path / "gap.safetensors"), "z_image", base_network=tiny_base("z_image").network)
