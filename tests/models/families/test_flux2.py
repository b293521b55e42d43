"""FLUX.2's files: bases in folders and of one network, told apart from FLUX.1's by tensors alone; and LoRAs in all layouts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_flux2_lora_to_diffusers as to_diffusers
from safetensors.torch import save_file
from torch import Tensor
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

from models.catalogue.catalog import entry
from models.catalogue.fitting import made_for
from models.catalogue.local import LocalFile, family_of_shapes, kind_of
from models.catalogue.resolve import missing, resolve
from models.errors import DamagedError, InputError
from models.families import FAMILIES, family_of_network
from models.loader import Base, base_dtype, load_base, load_controlnet, load_vae, save_base
from models.lora.loras import use_loras
from models.tiny import tiny_base
from tests.models.families.flux_layout import State, authors_layout
from tests.models.layouts.gguf import write_gguf
from tests.models.lora.lora_layouts import ALPHA, RANK, WEIGHT, dotted, kohya, library, pair
from tests.models.networks import same

FACTS = FAMILIES["flux2"]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("flux2")


@pytest.fixture(scope="module")
def folder(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flux2")
    save_base(base, folder, torch.float32)
    return folder


def in_authors_names(state: State) -> State:
    """Return a network in the layout of its authors."""
    return {name: tensor.contiguous() for name, tensor in authors_layout(state, "flux2").items()}


def prefixed(state: State) -> State:
    return {f"model.diffusion_model.{name}": tensor for name, tensor in in_authors_names(state).items()}


def test_an_index_tells_whether_a_base_is_distilled(tmp_path: Path) -> None:
    save_base(tiny_base("flux2", is_distilled=False), tmp_path, torch.float32)
    loaded = load_base(str(tmp_path))
    assert not loaded.is_distilled
    assert loaded.defaults == resolve(str(tmp_path), "base").defaults == FACTS.undistilled
    index = tmp_path / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"is_distilled": True}), encoding="utf-8")
    assert load_base(str(tmp_path)).is_distilled
    assert resolve(str(tmp_path), "base").defaults == FACTS.defaults


def test_a_base_with_another_text_encoder_is_refused_before_it_is_read(base: Base, tmp_path: Path) -> None:
    """Such as dev, whose network is of the same class."""
    save_base(base, tmp_path, torch.float32)
    (tmp_path / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    index = tmp_path / "model_index.json"
    index.write_text(
        index.read_text().replace("Qwen3ForCausalLM", "Mistral3ForConditionalGeneration"), encoding="utf-8"
    )
    with pytest.raises(InputError, match="text_encoder is Mistral3ForConditionalGeneration, but this app knows Qwen3"):
        load_base(str(tmp_path))


def test_checkpoints_have_settings_of_their_own() -> None:
    defaults = [entry(id).defaults for id in ("flux2", "flux2_base")]
    assert [(one.guidance_scale, one.num_inference_steps) for one in defaults if one] == [(1, 4), (4, 50)]
    rows = [entry(id) for id in ("flux2", "flux2_base", "refcontrol_depth_flux2")]
    assert {(row.commercial, made_for(row)) for row in rows} == {("yes", ("flux2",))}


def test_half_precision_is_bfloat16() -> None:
    assert base_dtype("flux2", torch.float16) == torch.bfloat16


def test_sizes_in_the_catalogue_are_those_of_the_published_configs() -> None:
    encoder = Qwen3Config(
        hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8,
        head_dim=128, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        network: Any = Flux2Transformer2DModel(
            num_layers=5, num_single_layers=20, num_attention_heads=24, joint_attention_dim=7680, guidance_embeds=False
        )
        counts = [_count(part) for part in (network, Qwen3ForCausalLM(encoder), AutoencoderKLFlux2())]
    millions = FACTS.parameters
    assert [millions.network, millions.text_encoders, millions.vae] == pytest.approx(counts, rel=1e-3)
    assert entry("flux2").size == entry("flux2_base").size == pytest.approx(2e6 * sum(counts), rel=0.001)
    assert network.inner_dim == 3072
    linear = network.single_transformer_blocks[0].attn.to_out
    assert linear.in_features == 12288


def _count(network: torch.nn.Module) -> float:
    """In millions."""
    return sum(weight.numel() for weight in network.parameters()) / 1e6


@pytest.mark.parametrize("layout", [dict, in_authors_names, prefixed])
def test_a_file_of_the_network_alone_is_a_base(base: Base, own_folders: Path, tmp_path: Path, layout: Any) -> None:
    """The other parts are those of klein's folder. The file does not tell whether it is distilled, so guidance is read."""
    path, state = tmp_path / "mine.safetensors", layout(base.network.state_dict())
    save_file(state, path)
    assert LocalFile(path, "base").family == "flux2"
    assert (kind_of(state), family_of_network(state)) == ("base", "flux2")
    resolved = resolve(str(path), "base")
    assert [one.id for one in missing(resolved)] == ["flux2"]
    assert resolved.defaults == FACTS.defaults
    others(base, own_folders / "flux2")
    loaded = load_base(str(path))
    assert (loaded.family, loaded.is_distilled, loaded.defaults) == ("flux2", False, FACTS.defaults)
    for one, other in zip(loaded.networks, base.networks, strict=True):
        assert same(one, other)


def others(base: Base, folder: Path) -> None:
    """Write all parts but the network, named as the catalogue's bases have them."""
    save_base(base, folder, torch.float32)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_text("{}", encoding="utf-8")  # what counts is in tokenizer.json
    encoder = folder / "text_encoder"
    (encoder / "model.safetensors").rename(encoder / "model-00001-of-00002.safetensors")
    save_file({"none": torch.zeros(1)}, encoder / "model-00002-of-00002.safetensors", {"format": "pt"})
    placed = dict.fromkeys(base.text_encoders[0].state_dict(), "model-00001-of-00002.safetensors")
    index = {"metadata": {}, "weight_map": placed}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def output(network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    tokens, words = (torch.randn(shape, generator=generator) for shape in ((1, 6, 128), (1, 5, 48)))
    with torch.no_grad():
        return network(
            tokens, words, torch.tensor([0.5]), torch.zeros(6, 4), torch.zeros(5, 4), return_dict=False
        )[0]  # fmt: skip


@pytest.mark.parametrize("layout", [dict, in_authors_names])
def test_quantised_weights_run_as_they_are_in_the_file(
    base: Base, own_folders: Path, tmp_path: Path, layout: Any
) -> None:
    others(base, own_folders / "flux2")
    path = tmp_path / "small.gguf"
    kept = write_gguf(path, layout(base.network.state_dict()))
    assert LocalFile(path, "base").family == "flux2"
    loaded = load_base(str(path))
    assert type(loaded.network.transformer_blocks[0].ff.linear_out).__name__ == "GGUFLinear"
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, tmp_path / "whole.safetensors")
    whole = load_base(str(tmp_path / "whole.safetensors"))
    torch.testing.assert_close(output(loaded.network), output(whole.network), rtol=0, atol=1e-5)


def test_files_of_eight_bits_are_widened(base: Base, own_folders: Path, tmp_path: Path) -> None:
    others(base, own_folders / "flux2")
    small = {
        name: tensor.to(torch.float8_e4m3fn) if tensor.ndim > 1 else tensor
        for name, tensor in in_authors_names(base.network.state_dict()).items()
    }
    save_file(small, tmp_path / "small.safetensors")
    loaded = load_base(str(tmp_path / "small.safetensors"))
    assert loaded.network.dtype == torch.float32
    assert (output(loaded.network) - output(base.network)).abs().max() < 0.2


def test_bases_of_flux_1_and_2_are_told_apart() -> None:
    for family in ("flux", "chroma", "qwen_image", "z_image"):
        assert family_of_network(tiny_base(family).network.state_dict()) == family
    assert family_of_network(authors_layout(tiny_base("flux").network.state_dict())) == "flux"


def test_another_size_of_the_family_is_refused(base: Base, own_folders: Path, tmp_path: Path) -> None:
    others(base, own_folders / "flux2")
    state = in_authors_names(base.network.state_dict())
    del state["single_blocks.2.linear1.weight"]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(DamagedError, match=r"tensors are not those of the network of FLUX\.2"):
        load_base(str(tmp_path / "gap.safetensors"))


def test_there_are_no_controlnets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"any is given as a ControlNet, but FLUX\.2 has none: it reads maps itself"):
        load_controlnet("any", "flux2")


def test_an_autoencoder_of_another_family_is_refused(base: Base, tmp_path: Path) -> None:
    save_base(tiny_base("flux"), tmp_path / "flux", torch.float32)
    with pytest.raises(
        InputError, match=r"is AutoencoderKL, but FLUX\.2 takes the autoencoders AutoencoderKLFlux2 only"
    ):
        load_vae(str(tmp_path / "flux" / "vae"), "flux2")
    save_base(base, tmp_path / "flux2", torch.float32)
    assert same(load_vae(str(tmp_path / "flux2" / "vae"), "flux2"), base.vae)


DOUBLE, SINGLE = "transformer_blocks.1", "single_transformer_blocks.2"
FUSED = {
    "double_blocks.1.img_attn.qkv": [f"{DOUBLE}.attn.to_{letter}" for letter in "qkv"],
    "double_blocks.1.txt_attn.qkv": [f"{DOUBLE}.attn.add_{letter}_proj" for letter in "qkv"],
    "double_blocks.1.img_attn.proj": [f"{DOUBLE}.attn.to_out.0"],
    "double_blocks.1.txt_mlp.2": [f"{DOUBLE}.ff_context.linear_out"],
    "double_blocks.1.img_mlp.0": [f"{DOUBLE}.ff.linear_in"],
    "single_blocks.2.linear1": [f"{SINGLE}.attn.to_qkv_mlp_proj"],
    "single_blocks.2.linear2": [f"{SINGLE}.attn.to_out"],
    "double_stream_modulation_img.lin": ["double_stream_modulation_img.linear"],
    "single_stream_modulation.lin": ["single_stream_modulation.linear"],
    "img_in": ["x_embedder"],
    "time_in.in_layer": ["time_guidance_embed.timestep_embedder.linear_1"],
}
"""Layers of the authors' code, with those of diffusers."""


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
    name, merged = f"{SINGLE}.attn.to_qkv_mlp_proj", copy.deepcopy(base.network)
    out, channels = merged.get_submodule(name).weight.shape
    down, up = pair(out, channels, 0)
    merged.get_submodule(name).weight.data += WEIGHT * up @ down
    save_file(library(name, down, up), tmp_path / "a.safetensors")
    assert use_loras(base, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(base.network), output(merged), rtol=1e-5, atol=1e-5)
    use_loras(base, [])


def test_names_are_read_as_the_library_reads_them() -> None:
    for original, own in FUSED.items():
        found = to_diffusers(dotted(original, torch.ones(RANK, 8), torch.ones(3 * len(own), RANK)))
        names = {name.removeprefix("transformer.") for name in found}
        assert names == {f"{name}.lora_{side}.weight" for name in own for side in "AB"}


def shapes_of(state: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_loras_of_flux_1_and_2_are_told_apart() -> None:
    """Both have single blocks, and the same width; the layers in them read other numbers."""
    up, narrow = torch.zeros(8, RANK), torch.zeros(RANK, 3072)
    for wide, family in ((12288, "flux2"), (15360, "flux")):
        state = kohya("single_blocks.0.linear1", narrow, up) | kohya(
            "single_blocks.0.linear2", torch.zeros(RANK, wide), up
        )
        assert family_of_shapes("lora", shapes_of(state)) == family
    for layer in (f"{SINGLE}.attn.to_qkv_mlp_proj", "double_stream_modulation_img.linear"):
        assert family_of_shapes("lora", shapes_of(library(layer, narrow, up))) == "flux2"
    assert family_of_shapes("lora", shapes_of(library(f"{SINGLE}.attn.to_q", narrow, up))) == "flux"
