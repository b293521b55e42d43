"""Base models of the hub whose networks are cut into several files, from a hub on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel, ZImageTransformer2DModel
from safetensors.torch import load_file, save_file

from models.catalogue import own
from models.catalogue.hub_bases import base_row
from models.catalogue.resolve import download_steps, missing, resolve
from models.catalogue.weights import fetch_row
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
    assert download_all("who/tuned", "base") == ["who/tuned"] * 3  # the index of parts, those of files, the files
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
    assert len(rows) == 3
    sizes = {file.name: file.size for file in rows[-1].files if "-of-" in file.name}
    assert len(sizes) == 5 and all(sizes.values()), "an index tells the size of all"


def test_a_base_in_whole_files_needs_no_third_step(hub: Hub, tmp_path: Path) -> None:
    save_base(tiny_base("flux"), tmp_path / "base", torch.float32)
    put(hub, tmp_path / "base", "who/flux")
    assert download_all("who/flux", "base") == ["who/flux"] * 2
    assert isinstance(load_base("who/flux").network, FluxTransformer2DModel)


def test_a_noted_base_has_its_family_from_its_pipeline(hub: Hub, shards: Path) -> None:
    put(hub, shards, "who/tuned")
    row = own.add_repository("who/tuned")
    assert (row.kind, row.family) == ("base", "z_image")
    assert download_all("who/tuned", "base") == ["who/tuned"] * 2
    assert resolve("who/tuned", "base").family == "z_image" and load_base("who/tuned").family == "z_image"


def test_an_index_names_files_of_its_own_folder_alone(shards: Path) -> None:
    path = shards / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    names = ["a.safetensors", "../b.safetensors", "/etc/c.safetensors", "..\\d.safetensors", "e.bin"]
    path.write_text(json.dumps({"weight_map": {str(n): name for n, name in enumerate(names)}}), encoding="utf-8")
    found = {file.name for file in base_row("who/tuned", shards).files if file.name.startswith("transformer/")}
    assert found == {"transformer/config.json", f"transformer/{path.name}", "transformer/a.safetensors"}
