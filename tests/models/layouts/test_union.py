"""Union ControlNets through a folder: one network for all of its inputs, gone when none is in use."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetUnionModel

from models.errors import InputError
from models.layouts.union import UnionInput, load_union
from models.loader import load_controlnet, save_network
from models.tiny import tiny_base
from models.tiny.unets import tiny_union


@pytest.fixture(scope="module")
def union() -> ControlNetUnionModel:
    return tiny_union(tiny_base("sdxl"))


@pytest.fixture(scope="module")
def folder(union: ControlNetUnionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("union")
    save_network(union, path, torch.float32)
    return path


def test_a_row_names_the_kind_of_map(union: ControlNetUnionModel, own_folders: Path) -> None:
    save_network(union, own_folders / "controlnet_union_sdxl", torch.float32)
    loaded = load_controlnet("controlnet_union_sdxl", "sdxl")
    assert isinstance(loaded, UnionInput)
    assert loaded.control_type == 4

    sample, text, image = torch.randn(2, 4, 8, 8), torch.randn(2, 16, 32), torch.rand(1, 3, 64, 64)
    added = {"text_embeds": torch.randn(2, 16), "time_ids": torch.zeros(2, 6)}
    kinds = torch.zeros(2, 6)
    kinds[:, 4] = 1
    with torch.inference_mode():
        down, middle = loaded.knowing(union.controlnet_cond_embedding(image), 1.0)(
            sample, 5, text, added_cond_kwargs=added
        )
        both = image.expand(2, -1, -1, -1)
        expected = union(sample, 5, text, [both], kinds, [4], added_cond_kwargs=added, return_dict=False)
    torch.testing.assert_close([*down, middle], [*expected[0], expected[1]], rtol=0, atol=1e-5)
    assert middle.abs().max() > 0


def test_inputs_share_one_network_and_let_it_go(folder: Path) -> None:
    one, other = (load_union("a union", folder, number, torch.float32, "cpu") for number in (1, 4))
    assert one.network is other.network
    half = load_union("a union", folder, 1, torch.float16, "cpu")
    assert half.network is not one.network
    network = weakref.ref(one.network)
    del one, other
    gc.collect()
    assert network() is None


def test_reading_leaves_the_network_as_it_was(folder: Path) -> None:
    given = load_union("a union", folder, 3, torch.float32, "cpu")
    encoder = given.network.controlnet_cond_embedding
    added = {"text_embeds": torch.randn(1, 16), "time_ids": torch.zeros(1, 6)}
    given.knowing(encoder(torch.rand(1, 3, 64, 64)), 1.0)(
        torch.randn(1, 4, 8, 8), 5, torch.randn(1, 16, 32), None, added
    )
    assert given.network.controlnet_cond_embedding is encoder


def test_a_kind_that_the_network_does_not_know_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="Tile is kind 6 of .* but this one knows 0 to 5; choose a promax version"):
        load_union("Tile", folder, 6, torch.float32, "cpu")
