"""Autoencoders of one's own: every layout comes back bit for bit, and one of another kind of base is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.catalog import Family
from models.errors import DamagedError, InputError, MissingError
from models.loader import load_vae, save_network
from tests.models.downloads.hub import Hub, download_all
from tests.models.layouts.original_names import original_vae

OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def create(**more: Any) -> AutoencoderKL:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "block_out_channels": (32, 32, 32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    }
    return AutoencoderKL(**sizes | more).eval()


@pytest.fixture(scope="module")
def made() -> AutoencoderKL:
    return create()


@pytest.fixture(scope="module")
def taesd() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).eval()


def assert_same(one: Any, other: Any) -> None:
    torch.manual_seed(1)
    latents, picture = torch.randn(1, 4, 4, 4), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(one.decode(latents)[0], other.decode(latents)[0])
        pairs = [vae.encode(picture)[0] for vae in (one, other)]
        assert torch.equal(*(pair if isinstance(pair, Tensor) else pair.mode() for pair in pairs))


def written(state: dict[str, Tensor], layout: str) -> dict[str, Tensor]:
    if layout == "diffusers":
        return state
    if layout == "old diffusers":
        renames = {name: name for name in state}
        for new, old in OLD.items():
            renames = {name: other.replace(f".{new}.", f".{old}.") for name, other in renames.items()}
        return {renames[name]: tensor for name, tensor in state.items()}
    prefix = "first_stage_model." if layout == "prefixed" else ""
    return {prefix + name: tensor.contiguous() for name, tensor in original_vae(state).items()}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["original", "prefixed", "diffusers", "old diffusers"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_file_of_every_layout(made: AutoencoderKL, own_folders: Path, layout: str, family: Family) -> None:
    (own_folders / "vae").mkdir(parents=True)
    save_file(written(made.state_dict(), layout), own_folders / "vae" / "mine.safetensors")
    loaded = load_vae("mine.safetensors", family)
    assert_same(loaded, made)
    assert loaded.config["scaling_factor"] == (0.13025 if family == "sdxl" else 0.18215)


def test_a_pickle_with_more_than_the_autoencoder(made: AutoencoderKL, tmp_path: Path) -> None:
    state = written(made.state_dict(), "original") | {"loss.logvar": torch.ones(()), "loss.down.weight": torch.ones(1)}
    torch.save({"state_dict": state}, tmp_path / "vae.pt")
    assert_same(load_vae(str(tmp_path / "vae.pt"), "sd21"), made)


def test_a_tiny_one(taesd: AutoencoderTiny, tmp_path: Path) -> None:
    save_file(taesd.state_dict(), tmp_path / "taesd.safetensors")
    loaded = load_vae(str(tmp_path / "taesd.safetensors"), "sdxl", dtype=torch.float16)
    assert (loaded.dtype, loaded.config["scaling_factor"]) == (torch.float16, 1.0)
    assert_same(loaded.float(), taesd.half().float())


@pytest.mark.parametrize(("upcast", "dtype"), [(True, torch.float32), (False, torch.float16)])
def test_a_folder_says_whether_float16_is_too_narrow(tmp_path: Path, upcast: bool, dtype: torch.dtype) -> None:
    save_network(create(scaling_factor=0.13025, force_upcast=upcast), tmp_path)
    assert load_vae(str(tmp_path), "sdxl", dtype=torch.float16).dtype == dtype


def test_one_from_the_hub(hub: Hub, made: AutoencoderKL, tmp_path: Path) -> None:
    save_network(made, tmp_path, torch.float32)
    hub.files = {f"who/vae/{path.name}": path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert download_all("who/vae", "vae") == ["who/vae"]
    assert_same(load_vae("who/vae", "sd15"), made)


def test_other_latents_are_refused_before_the_weights_are_read(tmp_path: Path) -> None:
    config: dict[str, Any] = {"_class_name": "AutoencoderKL", "block_out_channels": [32] * 4, "latent_channels": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"scales its latents by 0.18215, but SDXL needs 0.13025; choose an autoenc"):
        load_vae(str(tmp_path), "sdxl")
    with pytest.raises(InputError, match=r"makes 4 channels of 1/8 .* the embedded model needs 16 of 1/8"):
        load_vae(str(tmp_path), "embedded")
    (tmp_path / "config.json").write_text(json.dumps(config | {"_class_name": "AutoencoderDC"}))
    with pytest.raises(InputError, match="is AutoencoderDC, but SDXL takes the autoencoders AutoencoderKL and"):
        load_vae(str(tmp_path), "sdxl")


def test_files_that_do_not_fit_are_refused(made: AutoencoderKL, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(create(latent_channels=16).state_dict(), path)
    with pytest.raises(InputError, match=r"x.safetensors makes 16 channels of 1/8 .* but SD 1.5 needs 4 of 1/8"):
        load_vae(str(path), "sd15")
    save_file({"emb_params": torch.ones(1, 768)}, path)
    with pytest.raises(InputError, match=r"x.safetensors is an embedding, not an autoencoder"):
        load_vae(str(path), "sd15")
    save_file({"a": torch.ones(1), "b": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"x.safetensors is no autoencoder: it has no decoder"):
        load_vae(str(path), "sd15")
    save_file({name: tensor for name, tensor in made.state_dict().items() if name != "quant_conv.bias"}, path)
    with pytest.raises(DamagedError, match="1 of its tensors are not those of an autoencoder, first quant_conv.bias"):
        load_vae(str(path), "sd15")


def test_an_unknown_name(own_folders: Path) -> None:
    with pytest.raises(InputError, match=r"There is no vae 'nonsense'; give a file, a folder"):
        load_vae("nonsense", "sd15")
    with pytest.raises(MissingError, match=r"who/vae needs"):
        load_vae("who/vae", "sd15")
