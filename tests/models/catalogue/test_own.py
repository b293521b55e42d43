"""Repositories that a user adds to the catalogue, and what is said of all else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from models.catalogue.catalog import CATALOG
from models.catalogue.own import add_repository, known, known_rows, own_rows, refuse_file
from models.catalogue.weights import fetch_row
from models.errors import InputError, MissingError, WeightsError
from tests.models.downloads.hub import Hub

WHOLE = save({"weight": np.arange(12, dtype=np.float16)})
NET = "diffusion_pytorch_model.safetensors"


def config(name: str, **more: object) -> bytes:
    return json.dumps({"_class_name": name, **more}).encode()


def test_a_controlnet_is_told_by_its_config_and_remembered(hub: Hub) -> None:
    hub.files = {
        "who/edges/config.json": config("ControlNetModel", cross_attention_dim=1024),
        f"who/edges/{NET}": WHOLE,
    }
    row = add_repository("who/edges")
    assert (row.id, row.repo, row.kind, row.family) == ("who/edges", "who/edges", "controlnet", "sd21")
    assert own_rows() == (row,)
    assert known_rows() == (*CATALOG, row)
    assert known("who/edges") == row
    assert row.use.startswith("Not known here")
    assert (fetch_row(row) / NET).read_bytes() == WHOLE
    assert not [asked for asked in hub.asked if "index" in asked and "GET" in asked]


@pytest.mark.parametrize(
    ("name", "kind", "family"),
    [
        ("T2IAdapter", "adapter", None),
        ("AutoencoderKL", "vae", None),
        ("AutoencoderTiny", "vae", None),
        ("AutoencoderKLFlux2", "vae", None),
        ("FluxControlNetModel", "controlnet", "flux"),
        ("SD3ControlNetModel", "controlnet", "sd3"),
    ],
)
def test_other_kinds_are_told_by_their_config(hub: Hub, name: str, kind: str, family: str | None) -> None:
    hub.files = {"who/net/config.json": config(name)}
    row = add_repository("who/net")
    assert (row.kind, row.family) == (kind, family)


def test_a_base_has_the_parts_its_index_names(hub: Hub) -> None:
    parts = {
        key: ["some", "Class"] for key in ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "scheduler")
    }
    hub.files = {"who/base/model_index.json": config("StableDiffusionXLPipeline", **parts)}
    row = add_repository("who/base")
    assert (row.kind, row.family) == ("base", "sdxl")
    assert {file.name.split("/")[0] for file in row.files} == {*parts, "model_index.json"}
    assert own_rows() == (row,)


def test_offline_the_kind_can_be_said() -> None:
    assert add_repository("who/edges", "controlnet").kind == "controlnet"
    with pytest.raises(MissingError, match="offline"):
        add_repository("who/other")
    assert [row.id for row in own_rows()] == ["who/edges"]


def test_what_cannot_be_loaded_is_refused(hub: Hub) -> None:
    hub.files = {"who/flux/config.json": config("FluxTransformer2DModel"), "who/odd/config.json": b"[]"}
    with pytest.raises(InputError, match="who/flux holds FluxTransformer2DModel, but what can be added is one of: T2I"):
        add_repository("who/flux")
    with pytest.raises(
        InputError, match="config of who/odd cannot be read; name its kind with `models add who/odd --kind`"
    ):
        add_repository("who/odd")
    assert own_rows() == ()


@pytest.mark.parametrize("repo", ["edges", "../edges", "who/..", "a/b/c", "who/ed ges", "https://huggingface.co/a/b"])
def test_what_is_no_repository_is_refused(repo: str) -> None:
    with pytest.raises(InputError, match="names no repository; give owner/name"):
        add_repository(repo)


def test_what_the_catalogue_has_is_not_added_again() -> None:
    with pytest.raises(InputError, match="in the catalogue already, as controlnet_canny_sdxl"):
        add_repository("diffusers/controlnet-canny-sdxl-1.0")


@pytest.mark.parametrize(
    "said",
    [
        '"controlnet"',
        "{}",
        '{"kind": "annotator"}',
        '{"kind": ["vae"]}',
        '{"kind": "vae", "family": "sd9"}',
        '{"kind": "base", "components": ["../unet"]}',
        '{"kind": "base", "components": 3}',
    ],
)
def test_notes_that_make_no_sense_are_told(own_folders: Path, said: str) -> None:
    own_folders.mkdir()
    (own_folders / "models.json").write_text(f'{{"who/edges": {said}}}')
    with pytest.raises(WeightsError, match=r"models\.json in .* cannot be read; repair it"):
        own_rows()


def test_a_file_is_told_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save({"control_model.zero_convs.0.0.weight": np.zeros(1, np.float16)}))
    assert str(refuse_file(path)) == (
        "mine.safetensors is a file; put it into models/controlnets (a ControlNet), where it is found by its name."
    )
    path.write_bytes(b"half")
    assert "mine.safetensors in " in str(refuse_file(path)) and "is damaged" in str(refuse_file(path))
    (tmp_path / "mine.pth").write_bytes(b"tensors")
    assert "put it into models/checkpoints (a base model) or models/controlnets" in str(
        refuse_file(tmp_path / "mine.pth")
    )
    assert "is a folder; give its path" in str(refuse_file(tmp_path))
    (tmp_path / "notes.txt").write_bytes(b"text")
    assert "notes.txt holds no model" in str(refuse_file(tmp_path / "notes.txt"))
