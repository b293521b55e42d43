"""Bases whose file holds the network alone: layouts, float8, GGUF, LoRAs on them, and what is missing or wrong."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.autoencoders import load_inner_vae
from models.catalogue.local import LocalFile, kind_of
from models.catalogue.resolve import NamedKind, missing, other_parts, resolve
from models.errors import DamagedError, InputError, MissingError
from models.families import FAMILIES
from models.family_facts import Family
from models.loader import Base, load_base, save_base, save_network
from models.lora.loras import use_loras
from models.tiny import tiny_base
from tests.models.layouts.gguf import write_gguf
from tests.models.layouts.original_names import original_vae

SHARDS = 3
FLOAT8 = torch.float8_e4m3fn


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("z_image")


@pytest.fixture
def others(own_folders: Path, base: Base) -> Path:
    """All parts but the network, named as the catalogue's base has them."""
    folder = own_folders / "z_image"
    save_base(base, folder, torch.float32)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    encoder = folder / "text_encoder"
    state = load_file(encoder / "model.safetensors")
    (encoder / "model.safetensors").unlink()
    names = [f"model-{number:05}-of-{SHARDS:05}.safetensors" for number in range(1, SHARDS + 1)]
    placed = {key: names[number % SHARDS] for number, key in enumerate(state)}
    for name in names:
        save_file(
            {key: tensor for key, tensor in state.items() if placed[key] == name}, encoder / name, {"format": "pt"}
        )
    index = {"metadata": {}, "weight_map": placed}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_text("{}", encoding="utf-8")  # what counts is in tokenizer.json
    return folder


def authors_layout(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of the original code, its three matrices of attention in one."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".attention.to_q." in name:
            three = [state[name.replace("to_q", f"to_{letter}")] for letter in "qkv"]
            found[name.replace("to_q", "qkv")] = torch.cat(three)
        elif ".attention.to_k." not in name and ".attention.to_v." not in name:
            for own, original in (
                ("attention.to_out.0", "attention.out"), ("norm_q", "q_norm"), ("norm_k", "k_norm"),
                ("all_x_embedder.2-1", "x_embedder"), ("all_final_layer.2-1", "final_layer"),
            ):  # fmt: skip
                name = name.replace(own, original)
            found[name] = tensor
    return found


def prefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"model.diffusion_model.{name}": tensor for name, tensor in authors_layout(state).items()}


def same(one: Any, other: Any) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def output(base: Base) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    latents = torch.randn((16, 1, 8, 8), generator=generator)
    words = torch.randn((5, base.network.config["cap_feat_dim"]), generator=generator)
    with torch.no_grad():
        return base.network([latents], torch.tensor([0.5]), [words], return_dict=False)[0][0]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("layout", [dict, authors_layout, prefixed])
def test_a_file_of_the_network_alone_is_a_base(base: Base, tmp_path: Path, layout: Any) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(layout(base.network.state_dict()), path)
    assert LocalFile(path, "base").family == "z_image"
    assert kind_of(layout(base.network.state_dict())) == "base"
    loaded = load_base(str(path))
    assert (loaded.id, loaded.family, loaded.defaults) == (str(path), "z_image", FAMILIES["z_image"].defaults)
    for one, other in zip(loaded.networks, base.networks, strict=True):
        assert same(one, other)


@pytest.mark.usefixtures("others")
def test_float8_is_widened_by_its_scales(base: Base, tmp_path: Path) -> None:
    state: dict[str, Tensor] = dict(base.network.state_dict())
    expected = dict(state)
    for name in [name for name in state if name.endswith(".weight") and state[name].ndim == 2]:
        scale = state[name].abs().max() / 448
        state |= {name: (state[name] / scale).to(FLOAT8), name.replace(".weight", ".scale_weight"): scale}
        expected[name] = state[name].float() * scale
    save_file(state, tmp_path / "small.safetensors")
    loaded = load_base(str(tmp_path / "small.safetensors"))
    found = loaded.network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_other_parts_are_named_before_anything_is_read(own_folders: Path, base: Base, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(dict(base.network.state_dict()), path)
    (row,) = missing(resolve(str(path), "base"))
    assert row == other_parts("z_image")
    names = [file.name for file in row.files]
    assert "transformer/config.json" in names
    assert not any(name.startswith("transformer/diffusion") for name in names)
    assert row.size
    assert row.size / 1e9 == pytest.approx(8.2, abs=0.1)
    with pytest.raises(MissingError, match=r"Z-Image Turbo needs .*text_encoder/model-00001-of-00003\.safetensors"):
        load_base(str(path))
    assert not own_folders.exists()


@pytest.mark.usefixtures("others")
def test_a_file_that_lacks_tensors_is_damaged(base: Base, tmp_path: Path) -> None:
    state: dict[str, Tensor] = dict(base.network.state_dict())
    del state["layers.1.feed_forward.w1.weight"]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(DamagedError, match=r"gap\.safetensors .*its tensors are not those of the network of Z-Image"):
        load_base(str(tmp_path / "gap.safetensors"))


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("layout", [dict, authors_layout])
def test_quantised_weights_run_as_they_are_in_the_file(base: Base, tmp_path: Path, layout: Any) -> None:
    path = tmp_path / "small.gguf"
    kept = write_gguf(path, layout(base.network.state_dict()))
    assert LocalFile(path, "base").family == "z_image"
    loaded = load_base(str(path))
    layer = loaded.network.layers[0].feed_forward.w1
    assert (type(layer).__name__, layer.weight.dtype) == ("GGUFLinear", torch.uint8)
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, tmp_path / "whole.safetensors")
    torch.testing.assert_close(
        output(loaded), output(load_base(str(tmp_path / "whole.safetensors"))), rtol=0, atol=1e-5
    )


@pytest.mark.usefixtures("others")
def test_loras_act_beside_quantised_weights(base: Base, tmp_path: Path) -> None:
    kept = write_gguf(tmp_path / "small.gguf", base.network.state_dict())
    name = "layers.1.feed_forward.w1"
    out, channels = kept[f"{name}.weight"].shape
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((2, channels), (out, 2)))
    save_file(
        {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}, tmp_path / "a.safetensors"
    )
    save_file(kept | {f"{name}.weight": kept[f"{name}.weight"] + 0.5 * up @ down}, tmp_path / "merged.safetensors")
    loaded = load_base(str(tmp_path / "small.gguf"))
    plain = output(loaded)
    assert use_loras(loaded, [(str(tmp_path / "a.safetensors"), 0.5)]) == ()
    torch.testing.assert_close(
        output(loaded), output(load_base(str(tmp_path / "merged.safetensors"))), rtol=1e-4, atol=1e-4
    )
    use_loras(loaded, [])
    assert torch.equal(output(loaded), plain)

    save_file({f"transformer.{name}.diff": torch.ones(out, channels)}, tmp_path / "full.safetensors")
    with pytest.raises(InputError, match=r"full\.safetensors .*quantised.*choose a base in 16 bits"):
        use_loras(loaded, [(str(tmp_path / "full.safetensors"), 1.0)])


@pytest.mark.usefixtures("others")
def test_without_the_package_a_sentence_names_it(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "small.gguf", base.network.state_dict())
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gguf" else found(name, *rest))
    with pytest.raises(InputError, match=r"small\.gguf has quantised weights.*pip install gguf"):
        load_base(str(tmp_path / "small.gguf"))


@pytest.mark.usefixtures("others")
def test_what_is_no_gguf_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not what it says" * 10)
    with pytest.raises(DamagedError, match=r"bad\.gguf in .* is damaged: it is no whole GGUF file; delete it"):
        load_base(str(tmp_path / "bad.gguf"))


@pytest.mark.parametrize("ending", ["gguf", "safetensors"])
def test_a_cut_base_is_named_damaged_before_any_download(base: Base, tmp_path: Path, ending: str) -> None:
    """Here no vocabulary is: the file is refused before that is asked for."""
    path = tmp_path / f"cut.{ending}"
    state = base.network.state_dict()
    write_gguf(path, state) if ending == "gguf" else save_file(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    for call in (lambda: resolve(str(path), "base"), lambda: load_base(str(path))):
        with pytest.raises(
            DamagedError, match=rf"^cut\.{ending} in .* is damaged: it .*; delete it and download it again"
        ):
            call()


def test_without_the_package_it_is_named_before_any_download(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(tmp_path / "small.gguf", base.network.state_dict())
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gguf" else found(name, *rest))
    with pytest.raises(InputError, match=r"^small\.gguf has quantised weights.*pip install gguf"):
        resolve(str(tmp_path / "small.gguf"), "base")


def test_a_whole_file_of_another_kind_asks_for_no_vocabulary(tmp_path: Path) -> None:
    save_file({"a.weight": torch.ones(2)}, tmp_path / "strange.safetensors")
    assert resolve(str(tmp_path / "strange.safetensors"), "base").rows == ()
    save_file({"x.lora_down.weight": torch.ones(2, 2)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match=r"^lora\.safetensors is a LoRA, not a base model; put it into models/loras"):
        resolve(str(tmp_path / "lora.safetensors"), "base")


@pytest.mark.parametrize("kind", ["lora", "vae", "controlnet"])
def test_a_cut_file_beside_the_base_is_damaged_when_it_is_resolved(tmp_path: Path, kind: NamedKind) -> None:
    save_file({"x.lora_down.weight": torch.ones(2, 2)}, tmp_path / "cut.safetensors")
    path = tmp_path / "cut.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DamagedError, match=r"^cut\.safetensors in .* is damaged"):
        resolve(str(path), kind)


def all_in_one(base: Base) -> dict[str, Tensor]:
    """A file with every part but the tokenizer, under the names that ComfyUI writes."""
    found = prefixed(base.network.state_dict())
    found |= {f"vae.{name}": tensor for name, tensor in original_vae(base.vae.state_dict()).items()}
    encoder = base.text_encoders[0].state_dict()
    return found | {f"text_encoders.qwen3_4b.transformer.model.{name}": tensor for name, tensor in encoder.items()}


def test_parts_inside_a_file_are_not_downloaded(base: Base, own_folders: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_file(all_in_one(base), path)
    (row,) = missing(resolve(str(path), "base"))
    assert row.size == 0
    folder = own_folders / "z_image"
    save_base(base, folder, torch.float32)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_text("{}", encoding="utf-8")
    loaded = load_base(str(path))
    for one, other in zip(loaded.networks, base.networks, strict=True):
        assert same(one, other)
    names = "scaling_factor", "shift_factor", "latent_channels", "norm_num_groups"
    assert [loaded.vae.config[name] for name in names] == [base.vae.config[name] for name in names]
    words = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        one, other = (
            made.text_encoders[0](words, output_hidden_states=True).hidden_states[-2] for made in (loaded, base)
        )
    assert torch.equal(one, other)


@pytest.mark.parametrize(("left_out", "gigabytes"), [("vae.", 0.17), ("text_encoders.", 8.05)])
def test_parts_that_a_file_lacks_are_downloaded(base: Base, tmp_path: Path, left_out: str, gigabytes: float) -> None:
    state = {name: tensor for name, tensor in all_in_one(base).items() if not name.startswith(left_out)}
    save_file(state, tmp_path / "some.safetensors")
    (row,) = missing(resolve(str(tmp_path / "some.safetensors"), "base"))
    assert row.size
    assert row.size / 1e9 == pytest.approx(gigabytes, abs=0.01)


@pytest.mark.parametrize("family", ["flux", "sd3", "chroma"])
def test_the_autoencoder_inside_a_file_serves_other_families_too(
    tmp_path: Path, own_folders: Path, family: Family
) -> None:
    base = tiny_base(family)
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in base.network.state_dict().items()}
    state |= {f"first_stage_model.{name}": one for name, one in original_vae(base.vae.state_dict()).items()}
    path = tmp_path / "all.safetensors"
    save_file(state, path)
    (row,) = missing(resolve(str(path), "base"))
    assert not [file.name for file in row.files if file.name.startswith("vae/diffusion")]
    assert "vae/config.json" in [file.name for file in row.files]
    save_network(base.vae, tmp_path / "vae", torch.float32)
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    vae = load_inner_vae(path, "first_stage_model.", family, tmp_path / "vae", torch.float32, "cpu")
    assert same(vae, base.vae)
