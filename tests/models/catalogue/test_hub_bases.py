"""Base models of the hub whose networks are cut into several files, from a hub on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel, ZImageTransformer2DModel
from safetensors.torch import load_file, save_file

from models.catalogue import own
from models.catalogue.catalog import entry
from models.catalogue.hub_bases import base_row
from models.catalogue.resolve import base_defaults, download_steps, missing, resolve, row_of_base
from models.catalogue.sizes import expected_sizes
from models.catalogue.weights import fetch_row
from models.errors import InputError
from models.loader import load_base, save_base
from models.tiny import tiny_base
from tests.models.downloads.hub import Hub, download_all


def cut(folder: Path, stem: str, count: int) -> None:
    """Cut a network's one file into several, as the libraries write large ones."""
    whole = folder / f"{stem}.safetensors"
    state = load_file(whole)
    whole.unlink()
    names = [f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    places = {key: names[number % count] for number, key in enumerate(state)}
    for name in names:
        save_file({key: state[key] for key in state if places[key] == name}, folder / name, {"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def put(hub: Hub, folder: Path, repo: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    hub.files |= {f"{repo}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    save_base(tiny_base("z_image"), tmp_path / "base", torch.float32)
    cut(tmp_path / "base" / "transformer", "diffusion_pytorch_model", 3)
    cut(tmp_path / "base" / "text_encoder", "model", 2)
    return tmp_path / "base"


def test_a_base_in_several_files_comes_step_by_step(hub: Hub, shards: Path) -> None:
    put(hub, shards, "who/tuned")
    assert (
        download_all("who/tuned", "base") == ["who/tuned"] * 4
    )  # the index of parts, configs, those of files, the files
    found = resolve("who/tuned", "base")
    assert (found.family, missing(found)) == ("z_image", ())
    loaded = load_base("who/tuned").network
    assert isinstance(loaded, ZImageTransformer2DModel)
    own_state = tiny_base("z_image").network.state_dict()
    assert all(torch.equal(tensor, own_state[name]) for name, tensor in loaded.state_dict().items())
    assert list(download_steps("who/tuned")) == []


def test_a_download_by_id_alone_ends_with_the_shards(hub: Hub, shards: Path) -> None:
    put(hub, shards, "who/tuned")
    rows = [row for row in download_steps("who/tuned") if fetch_row(row)]
    assert len(rows) == 4
    sizes = {file.name: file.size for file in rows[-1].files if "-of-" in file.name}
    assert len(sizes) == 5 and all(sizes.values()), "an index tells the size of all"


def test_a_base_in_whole_files_needs_no_fourth_step(hub: Hub, tmp_path: Path) -> None:
    save_base(tiny_base("flux"), tmp_path / "base", torch.float32)
    put(hub, tmp_path / "base", "who/flux")
    assert download_all("who/flux", "base") == ["who/flux"] * 3
    assert isinstance(load_base("who/flux").network, FluxTransformer2DModel)


def test_a_noted_base_has_its_family_from_its_pipeline(hub: Hub, shards: Path) -> None:
    put(hub, shards, "who/tuned")
    row = own.add_repository("who/tuned")
    assert (row.kind, row.family) == ("base", "z_image")
    assert download_all("who/tuned", "base") == ["who/tuned"] * 3
    assert resolve("who/tuned", "base").family == "z_image" and load_base("who/tuned").family == "z_image"


def test_an_index_names_files_of_its_own_folder_alone(shards: Path) -> None:
    path = shards / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    names = ["a.safetensors", "../b.safetensors", "/etc/c.safetensors", "..\\d.safetensors", "e.bin"]
    path.write_text(json.dumps({"weight_map": {str(n): name for n, name in enumerate(names)}}), encoding="utf-8")
    found = {file.name for file in base_row("who/tuned", shards).files if file.name.startswith("transformer/")}
    assert found == {"transformer/config.json", f"transformer/{path.name}", "transformer/a.safetensors"}


def small_files(hub: Hub, network: dict[str, Any], parts: dict[str, list[str]] | None = None) -> None:
    """Put the small files of a copy of SD 3.5, with the config of another network, on the hub."""
    index = {
        "_class_name": "StableDiffusion3Pipeline",
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    } | (parts or {})
    configs = {name: {} for name in index if name != "_class_name"} | {"transformer": network}
    hub.files = {"who/copy/model_index.json": json.dumps(index).encode()}
    hub.files |= {f"who/copy/{part}/config.json": json.dumps(config).encode() for part, config in configs.items()}


MEDIUM = {
    "_class_name": "SD3Transformer2DModel", "num_layers": 24, "num_attention_heads": 24, "attention_head_dim": 64,
    "dual_attention_layers": list(range(13)), "pos_embed_max_size": 384, "sample_size": 128,
}  # fmt: skip


def configs_of(id: str) -> None:
    """Download what the first two steps bring: the index and the configs."""
    for _ in range(2):
        (row,) = missing(resolve(id, "base"))
        fetch_row(row)


def test_the_config_alone_shows_which_base_of_its_family_a_copy_is(hub: Hub) -> None:
    small_files(hub, MEDIUM)
    assert row_of_base("who/copy") is None
    configs_of("who/copy")
    assert hub.transfers() == []
    assert row_of_base("who/copy") == entry("sd3_medium")
    found = resolve("who/copy", "base")
    assert (found.family, found.defaults) == ("sd3", entry("sd3_medium").defaults)
    sizes, medium = (expected_sizes(id, "sd3", (), 2) for id in ("who/copy", "sd3_medium"))
    assert sizes.network == pytest.approx(medium.network, rel=0.02)
    assert sizes.network < expected_sizes("sd3", "sd3", (), 2).network / 2


def test_a_folder_shows_which_base_of_its_family_it_is(tmp_path: Path) -> None:
    for name, config, row in (
        ("medium", MEDIUM, "sd3_medium"),
        ("large", MEDIUM | {"num_layers": 38}, "sd3"),
        ("quick", {"_class_name": "FluxTransformer2DModel", "guidance_embeds": False}, "flux_schnell"),
        ("dev", {"_class_name": "FluxTransformer2DModel", "guidance_embeds": True}, "flux"),
    ):
        (tmp_path / name / "transformer").mkdir(parents=True)
        (tmp_path / name / "model_index.json").write_text("{}")
        (tmp_path / name / "transformer" / "config.json").write_text(json.dumps(config))
        assert row_of_base(str(tmp_path / name)) == entry(row)
        steps = (base_defaults(str(tmp_path / name))[1], entry(row).defaults)
        assert len({one.num_inference_steps for one in steps if one}) == 1


@pytest.mark.parametrize(
    ("network", "parts", "sentence"),
    [
        ({"_class_name": "LTXVideoTransformer3DModel"}, {}, "who/copy is none of the kinds of model this app knows"),
        (MEDIUM, {"text_encoder_2": [None, None]}, "who/copy has 1 text encoders, which is not how a SD 3.5 model is made"),
        (MEDIUM, {"vae": ["diffusers", "AutoencoderDC"]}, "The model's vae is AutoencoderDC, but this app knows AutoencoderKL only"),
        (MEDIUM, {"transformer": [None, None]}, "who/copy is none of the kinds of model this app knows"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_refused_before_anything_large_is_here(
    hub: Hub, network: dict[str, Any], parts: dict[str, list[str]], sentence: str
) -> None:
    small_files(hub, network, parts)
    with pytest.raises(InputError, match=sentence):
        download_all("who/copy", "base")
    assert hub.transfers() == []
