"""FLUX.1's files: bases in folders and of one network, ControlNets told apart by tensors alone, and LoRAs in the authors' names."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxControlNetModel, FluxTransformer2DModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_kohya_flux_lora_to_diffusers as to_diffusers,
)
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.catalog import CATALOG, entry
from models.catalogue.local import LocalFile, family_of_shapes, kind_of
from models.catalogue.resolve import missing, resolve, start_conditioning_scale
from models.errors import DamagedError, InputError
from models.families import FAMILIES
from models.layouts.controlnet_files import load_controlnet_tensors
from models.loader import Base, base_dtype, load_base, load_controlnet, save_base, save_network
from models.lora.loras import use_loras
from models.tiny import tiny_base
from models.tiny.flux import KINDS, tiny_flux_controlnet, tiny_schnell
from models.tiny.qwen_image import tiny_qwen_image_controlnet
from tests.models.families.flux_layout import State, authors_layout, narrow_conversion, prefixed
from tests.models.layouts.gguf import write_gguf
from tests.models.lora.lora_layouts import ALPHA, RANK, WEIGHT, dotted, kohya, library, pair
from tests.models.networks import same


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("flux")


@pytest.fixture(scope="module")
def folder(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flux")
    save_base(base, folder, torch.float32)
    return folder


def test_checkpoints_have_settings_of_their_own() -> None:
    defaults = [entry(id).defaults for id in ("flux", "flux_schnell")]
    assert [(one.guidance_scale, one.num_inference_steps) for one in defaults if one] == [(3.5, 28), (1, 4)]
    assert [entry(id).commercial for id in ("flux", "flux_schnell")] == ["no", "yes"]
    rows = [row for row in CATALOG if row.family == "flux" and row.kind == "controlnet"]
    assert {row.commercial for row in rows} == {"no"}
    assert {row.id: start_conditioning_scale(row.id, "flux", "flux") for row in rows} == dict.fromkeys(
        (row.id for row in rows), 0.7
    )


def test_half_precision_is_bfloat16() -> None:
    assert base_dtype("flux", torch.float16) == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_a_controlnet_of_one_file(base: Base, tmp_path: Path, kind: str) -> None:
    made = tiny_flux_controlnet(kind)
    path = tmp_path / "any.safetensors"
    save_file(made.state_dict(), path)
    assert kind_of(made.state_dict()) == "controlnet"
    assert LocalFile(path, "controlnet").family == "flux"
    network: Any = load_controlnet(str(path), "flux", base_network=base.network)
    assert same(network, made)
    for name in load_controlnet_tensors(path, "flux", base.network).config:
        assert network.config[name] == made.config[name], name
    assert tuple(load_controlnet_tensors(path, "flux").config["axes_dims_rope"]) == (16, 56, 56)


@pytest.mark.parametrize("kind", KINDS)
def test_a_controlnet_in_a_folder(tmp_path: Path, kind: str) -> None:
    made = tiny_flux_controlnet(kind)
    save_network(made, tmp_path, torch.float32)
    assert resolve(str(tmp_path), "controlnet").family == "flux"
    network: Any = load_controlnet(str(tmp_path), "flux")
    assert same(network, made)
    assert network.config["num_mode"] == made.config["num_mode"]


def xlabs(state: State) -> State:
    """XLabs' own names."""
    hint = {"conv_in": 0, **{f"blocks.{number}": 2 * number + 2 for number in range(6)}, "conv_out": 14}
    found = authors_layout(state)
    for name, tensor in state.items():
        if name.startswith("input_hint_block."):
            layer, _, end = name.removeprefix("input_hint_block.").rpartition(".")
            found[f"input_hint_block.{hint[layer]}.{end}"] = tensor
        elif name.startswith(("controlnet_blocks.", "controlnet_x_embedder.")):
            found[name.replace("controlnet_x_embedder", "pos_embed_input")] = tensor
    return found


def test_a_controlnet_in_the_names_of_xlabs(base: Base, tmp_path: Path) -> None:
    made = tiny_flux_controlnet("pixels")
    state, path = xlabs(made.state_dict()), tmp_path / "any.safetensors"
    assert len(state) < len(made.state_dict())
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    assert (kind_of(state), LocalFile(path, "controlnet").family) == ("controlnet", "flux")
    assert same(load_controlnet(str(path), "flux", base_network=base.network), made)
    with pytest.raises(InputError, match=r"is a ControlNet for FLUX.1, but the base is SDXL"):
        load_controlnet(str(path), "sdxl")


def test_another_family_is_refused(tmp_path: Path) -> None:
    save_file(tiny_flux_controlnet().state_dict(), tmp_path / "flux.safetensors")
    with pytest.raises(InputError, match=r"^flux.safetensors is a ControlNet for FLUX.1, but the base is SDXL; choose"):
        load_controlnet(str(tmp_path / "flux.safetensors"), "sdxl")
    save_file(tiny_qwen_image_controlnet().state_dict(), tmp_path / "qwen.safetensors")
    with pytest.raises(InputError, match=r"is a ControlNet for Qwen-Image, but the base is FLUX.1; choose"):
        load_controlnet(str(tmp_path / "qwen.safetensors"), "flux")
    save_network(tiny_flux_controlnet(), tmp_path / "folder", torch.float32)
    with pytest.raises(InputError, match=r"was made for FLUX.1 and cannot steer SD 1\.5"):
        load_controlnet(str(tmp_path / "folder"), "sd15")


def test_a_file_that_lacks_tensors_is_damaged(base: Base, tmp_path: Path) -> None:
    state = dict(tiny_flux_controlnet("union").state_dict())
    del state["controlnet_blocks.1.bias"]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(DamagedError, match=r"1 of its tensors are not those of a ControlNet for FLUX\.1"):
        load_controlnet(str(tmp_path / "gap.safetensors"), "flux", base_network=base.network)


def test_sizes_in_the_catalogue_are_those_of_the_published_configs() -> None:
    configs: dict[str, dict[str, Any]] = {
        "controlnet_union_flux": {"num_layers": 6, "num_single_layers": 0},
        "controlnet_instantx_flux": {"num_layers": 5, "num_single_layers": 10, "num_mode": 10},
        "controlnet_xlabs_canny_flux": {"num_layers": 2, "num_single_layers": 0, "conditioning_embedding_channels": 16},
    }
    with torch.device("meta"):
        sizes = {id: _bytes(FluxControlNetModel(guidance_embeds=True, **config)) for id, config in configs.items()}
        dev, schnell = (_bytes(FluxTransformer2DModel(guidance_embeds=reads)) for reads in (True, False))
    assert {id: entry(id).size for id in sizes} == pytest.approx(sizes, rel=0.002)
    millions = FAMILIES["flux"].parameters
    assert 2e6 * millions.network == pytest.approx(dev, rel=1e-4)
    assert 2e6 * millions.controlnet == pytest.approx(sizes["controlnet_union_flux"], rel=1e-4)
    others = 2e6 * (millions.text_encoders + millions.vae)
    assert entry("flux").size == pytest.approx(dev + others, rel=0.001)
    assert entry("flux_schnell").size == pytest.approx(schnell + others, rel=0.001)


def _bytes(network: torch.nn.Module) -> int:
    """In 16 bits."""
    return 2 * sum(weight.numel() for weight in network.parameters())


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_conversion(monkeypatch, "flux")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("guided", [True, False], ids=["dev", "schnell"])
@pytest.mark.parametrize("layout", [dict, authors_layout, prefixed])
def test_a_file_of_the_network_alone_is_a_base(own_folders: Path, tmp_path: Path, layout: Any, guided: bool) -> None:
    """The other parts are those of dev's folder, or of schnell's."""
    made = tiny_base("flux") if guided else tiny_schnell()
    row = entry("flux" if guided else "flux_schnell")
    path = tmp_path / "mine.safetensors"
    save_file(layout(made.network.state_dict()), path)
    assert LocalFile(path, "base").family == "flux"
    assert kind_of(layout(made.network.state_dict())) == "base"
    resolved = resolve(str(path), "base")
    assert [one.id for one in missing(resolved)] == [row.id]
    assert resolved.defaults == row.defaults
    others(made, own_folders / row.id)
    loaded = load_base(str(path))
    assert loaded.family == "flux"
    assert loaded.network.config["guidance_embeds"] == guided
    for one, other in zip(loaded.networks, made.networks, strict=True):
        assert same(one, other)


def others(base: Base, folder: Path) -> None:
    """Write all parts but the network, named as the catalogue's bases have them."""
    save_base(base, folder, torch.float32)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_text("{}", encoding="utf-8")  # what counts is in tokenizer.json
    encoder = folder / "text_encoder_2"
    (encoder / "model.safetensors").rename(encoder / "model-00001-of-00002.safetensors")
    save_file({"none": torch.zeros(1)}, encoder / "model-00002-of-00002.safetensors", {"format": "pt"})
    placed = dict.fromkeys(base.text_encoders[1].state_dict(), "model-00001-of-00002.safetensors")
    index = {"metadata": {}, "weight_map": placed}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("layout", [dict, authors_layout])
def test_quantised_weights_run_as_they_are_in_the_file(
    base: Base, own_folders: Path, tmp_path: Path, layout: Any
) -> None:
    others(base, own_folders / "flux")
    path = tmp_path / "small.gguf"
    kept = write_gguf(path, layout(base.network.state_dict()))
    assert LocalFile(path, "base").family == "flux"
    loaded = load_base(str(path))
    assert type(loaded.network.transformer_blocks[0].ff.net[2]).__name__ == "GGUFLinear"
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, tmp_path / "whole.safetensors")
    whole = load_base(str(tmp_path / "whole.safetensors"))
    torch.testing.assert_close(output(loaded.network), output(whole.network), rtol=0, atol=1e-5)


def test_controlnets_and_other_networks_are_no_bases() -> None:
    for kind in KINDS:
        assert kind_of(tiny_flux_controlnet(kind).state_dict()) == "controlnet"
    assert kind_of(xlabs(tiny_flux_controlnet("pixels").state_dict())) == "controlnet"


DOUBLE, SINGLE = "transformer_blocks.1", "single_transformer_blocks.2"


def output(network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    tokens, words, pooled = (torch.randn(shape, generator=generator) for shape in ((1, 6, 64), (1, 5, 16), (1, 16)))
    with torch.no_grad():
        return network(
            tokens, words, pooled, torch.tensor([0.5]), torch.zeros(6, 3), torch.zeros(5, 3), torch.tensor([3.5]),
            return_dict=False,
        )[0]  # fmt: skip


FUSED = {
    "double_blocks.1.img_attn.qkv": [f"{DOUBLE}.attn.to_{letter}" for letter in "qkv"],
    "double_blocks.1.txt_attn.qkv": [f"{DOUBLE}.attn.add_{letter}_proj" for letter in "qkv"],
    "double_blocks.1.img_attn.proj": [f"{DOUBLE}.attn.to_out.0"],
    "double_blocks.1.txt_mlp.2": [f"{DOUBLE}.ff_context.net.2"],
    "double_blocks.1.img_mod.lin": [f"{DOUBLE}.norm1.linear"],
    "single_blocks.2.linear1": [*(f"{SINGLE}.attn.to_{letter}" for letter in "qkv"), f"{SINGLE}.proj_mlp"],
    "single_blocks.2.linear2": [f"{SINGLE}.proj_out"],
    "single_blocks.2.modulation.lin": [f"{SINGLE}.norm.linear"],
}
"""Layers of the authors' code, with those of diffusers; the four of `linear1` are of unequal sizes."""


@pytest.mark.parametrize("writer", [kohya, dotted])
def test_loras_in_the_authors_names_equal_weights_merged_by_hand(base: Base, tmp_path: Path, writer: Any) -> None:
    merged, plain = copy.deepcopy(base.network), output(base.network)
    state: State = {}
    scale = WEIGHT * (ALPHA / RANK if writer is kohya else 1)
    for seed, (original, own) in enumerate(FUSED.items()):
        shapes = [merged.get_submodule(name).weight.shape for name in own]
        down, up = pair(sum(shape[0] for shape in shapes), shapes[0][1], seed)
        state |= writer(original, down, up)
        changes = (scale * up @ down).split([shape[0] for shape in shapes])
        for name, change in zip(own, changes, strict=True):
            merged.get_submodule(name).weight.data += change
    save_file(state, tmp_path / "a.safetensors")
    assert use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(base.network), output(merged), rtol=1e-5, atol=1e-5)
    assert (output(base.network) - plain).abs().max() > 0.01
    use_loras(base, [])
    assert torch.equal(output(base.network), plain)


def test_a_lora_in_the_librarys_names(base: Base, tmp_path: Path) -> None:
    name, merged = f"{SINGLE}.proj_mlp", copy.deepcopy(base.network)
    out, channels = merged.get_submodule(name).weight.shape
    down, up = pair(out, channels, 0)
    merged.get_submodule(name).weight.data += WEIGHT * up @ down
    save_file(library(name, down, up), tmp_path / "a.safetensors")
    assert use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(base.network), output(merged), rtol=1e-5, atol=1e-5)
    use_loras(base, [])


def test_names_are_read_as_the_library_reads_them() -> None:
    for original, own in FUSED.items():
        rows = {"linear1": 3 * 3072 + 12288}.get(original.rpartition(".")[2], 3 * len(own))
        state = kohya(original, torch.ones(RANK, 8), torch.ones(rows, RANK))
        found = {name.removeprefix("transformer.") for name in to_diffusers(state)}
        assert found == {f"{name}.lora_{side}.weight" for name in own for side in "AB"}


def test_the_family_of_a_lora_is_shown_by_names_and_widths() -> None:
    def shapes(state: State) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in state.items()}

    down, up = torch.zeros(RANK, 3072), torch.zeros(8, RANK)
    files = (kohya("single_blocks.0.linear1", down, up), dotted("double_blocks.0.img_attn.qkv", down, up))
    files += (library(f"{SINGLE}.attn.to_q", down, up),)
    assert {family_of_shapes("lora", shapes(state)) for state in files} == {"flux"}
    assert family_of_shapes("lora", shapes(library("transformer_blocks.0.img_mlp.net.2", down, up))) == "qwen_image"
    assert family_of_shapes("lora", shapes(library(f"{SINGLE}.attn.to_q", torch.zeros(RANK, 8), up))) is None
