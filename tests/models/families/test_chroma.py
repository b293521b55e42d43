"""Chroma's files, and those of FLUX.1 that fit it."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ChromaTransformer2DModel
from safetensors.torch import save_file
from torch import Tensor

from cnet_app.registry.conditions import controlnet_id, start_scale
from models.catalogue.catalog import entry
from models.catalogue.fitting import fits, fitting_rows
from models.catalogue.local import LocalFile, kind_of
from models.catalogue.resolve import missing, resolve
from models.errors import InputError
from models.families import FAMILIES, family_of_network, takers
from models.loader import Base, load_base, load_controlnet, save_base, save_network
from models.lora.loras import use_loras
from models.modules import load_tokenizer
from models.tiny import tiny_base
from models.tiny.flux import KINDS, tiny_flux_controlnet
from models.tiny.qwen_image import tiny_qwen_image_controlnet
from tests.models.families.flux_layout import authors_layout, narrow_conversion
from tests.models.networks import same


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("chroma")


def authors(state: Any) -> dict[str, Tensor]:
    return authors_layout(state, "chroma")


@pytest.mark.parametrize("layout", [dict, authors])
def test_a_file_of_the_network_alone_is_a_base(
    base: Base, own_folders: Path, tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow_conversion(monkeypatch, "chroma")
    path = tmp_path / "mine.safetensors"
    state = layout(base.network.state_dict())
    save_file(state, path)
    assert (kind_of(state), family_of_network(state), LocalFile(path, "base").family) == ("base", "chroma", "chroma")
    assert [row.id for row in missing(resolve(str(path), "base"))] == ["chroma"]
    folder = own_folders / "chroma"
    save_base(base, folder, torch.float32)
    encoder = folder / "text_encoder"
    (encoder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    save_file({"none": torch.zeros(1)}, encoder / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file({"none": torch.zeros(1)}, encoder / "model-00002-of-00002.safetensors", {"format": "pt"})
    loaded = load_base(str(path))
    assert same(loaded.network, base.network)
    assert torch.equal(output(loaded.network), output(base.network))


@pytest.mark.parametrize("kind", KINDS)
def test_controlnets_of_flux_fit(base: Base, tmp_path: Path, kind: str) -> None:
    made = tiny_flux_controlnet(kind)
    path = tmp_path / "any.safetensors"
    save_file(made.state_dict(), path)
    assert same(load_controlnet(str(path), "chroma", base_network=base.network), made)
    save_network(made, tmp_path / "folder", torch.float32)
    assert same(load_controlnet(str(tmp_path / "folder"), "chroma"), made)
    assert fits(LocalFile(path, "controlnet"), "chroma")
    assert not fits(LocalFile(path, "controlnet"), "qwen_image")


def test_those_of_other_families_do_not(base: Base, tmp_path: Path) -> None:
    save_file(tiny_qwen_image_controlnet().state_dict(), tmp_path / "qwen.safetensors")
    with pytest.raises(InputError, match="is a ControlNet for Qwen-Image, but the base is Chroma; choose"):
        load_controlnet(str(tmp_path / "qwen.safetensors"), "chroma", base_network=base.network)
    save_network(tiny_qwen_image_controlnet(), tmp_path / "folder", torch.float32)
    with pytest.raises(InputError, match="was made for Qwen-Image and cannot steer Chroma"):
        load_controlnet(str(tmp_path / "folder"), "chroma")
    with pytest.raises(InputError, match=r"for SDXL was made for SDXL and cannot steer Chroma|cannot steer Chroma"):
        resolve("controlnet_canny_sdxl", "controlnet", "chroma")


def test_conditions_have_the_controlnets_of_flux() -> None:
    assert takers("flux") == ("flux", "chroma")
    assert takers("chroma") == ("chroma",)
    assert controlnet_id("canny", "chroma") == controlnet_id("canny", "flux") == "controlnet_union_flux"
    assert start_scale("canny", None, "chroma", "chroma") == 0.7
    assert fitting_rows("controlnet", "chroma") == fitting_rows("controlnet", "flux")
    with pytest.raises(InputError, match="Shuffle has no ControlNet for Chroma"):
        controlnet_id("shuffle", "chroma")


def test_the_size_in_the_catalogue_is_that_of_the_published_config() -> None:
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in ChromaTransformer2DModel().parameters())
    millions = FAMILIES["chroma"].parameters
    assert parameters == pytest.approx(1e6 * millions.network, rel=1e-4)
    assert entry("chroma").size == pytest.approx(
        2e6 * (millions.network + millions.text_encoders + millions.vae), rel=0.001
    )


RANK, WEIGHT = 3, 0.7


def output(network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    tokens, words = (torch.randn(shape, generator=generator) for shape in ((1, 6, 64), (1, 5, 16)))
    with torch.no_grad():
        return network(tokens, words, torch.tensor([0.5]), torch.zeros(6, 3), torch.zeros(5, 3), return_dict=False)[0]


def test_loras_of_flux_act_on_the_layers_that_are_there(base: Base, tmp_path: Path) -> None:
    """FLUX.1's own layers of modulation are not."""
    merged, plain = copy.deepcopy(base.network), output(base.network)
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    own = {
        "double_blocks.1.img_attn.qkv": [f"transformer_blocks.1.attn.to_{letter}" for letter in "qkv"],
        "distilled_guidance_layer.layers.0.in_layer": ["distilled_guidance_layer.layers.0.linear_1"],
    }
    for original, names in own.items():
        shapes = [merged.get_submodule(name).weight.shape for name in names]
        rows = sum(shape[0] for shape in shapes)
        down, up = (torch.randn(shape, generator=generator) for shape in ((RANK, shapes[0][1]), (rows, RANK)))
        state |= {f"diffusion_model.{original}.lora_A.weight": down, f"diffusion_model.{original}.lora_B.weight": up}
        for name, change in zip(names, (WEIGHT * up @ down).split([shape[0] for shape in shapes]), strict=True):
            merged.get_submodule(name).weight.data += change
    modulation = torch.zeros(RANK, 32), torch.zeros(192, RANK)
    for side, tensor in zip("AB", modulation, strict=True):
        state[f"diffusion_model.double_blocks.1.img_mod.lin.lora_{side}.weight"] = tensor
    save_file(state, tmp_path / "a.safetensors")
    (note,) = use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)])
    assert note.startswith(
        "1 layers of LoRA a.safetensors were left out, such as diffusion_model.double_blocks.1.img_mod.lin"
    )
    torch.testing.assert_close(output(base.network), output(merged), rtol=1e-5, atol=1e-5)
    assert (output(base.network) - plain).abs().max() > 1e-3
    use_loras(base, [])
    assert torch.equal(output(base.network), plain)


def test_a_tokenizer_of_sentencepiece_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else find(name))
    (tmp_path / "spiece.model").write_bytes(b"")
    with pytest.raises(InputError, match=r"is spiece\.model, which needs the package sentencepiece; run pip install"):
        load_tokenizer(tmp_path, "T5TokenizerFast")
