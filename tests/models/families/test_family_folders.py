"""A base of every family comes back from its folder, which diffusers reads as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from models.configs import read_base_family
from models.families import FAMILIES, family_of
from models.family_facts import Family
from models.loader import Base, load_base, save_base
from models.tiny import tiny_base
from tests.models.networks import same


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest) -> Base:
    return tiny_base(request.param)


@pytest.fixture(scope="module")
def folder(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(base.family)
    save_base(base, folder, torch.float32)
    return folder


def settings(scheduler: Any) -> dict[str, Any]:
    return {name: value for name, value in scheduler.config.items() if not name.startswith("_")}


def test_a_base_comes_back_from_its_folder(base: Base, folder: Path) -> None:
    loaded = load_base(str(folder))
    facts = FAMILIES[base.family]
    size = base.defaults.size if "sample_size" in base.network.config else facts.defaults.size
    assert (loaded.family, loaded.vae_scale_factor) == (base.family, 8)
    assert loaded.defaults == replace(facts.defaults, size=size)
    assert not loaded.inpaints
    for one, other in zip(loaded.networks, base.networks, strict=True):
        assert type(one) is type(other)
        assert same(one, other)
    for one, other in zip(loaded.tokenizers, base.tokenizers, strict=True):
        assert type(one) is type(other)
        assert one("a red ball").input_ids == other("a red ball").input_ids
    assert settings(loaded.scheduler) == settings(base.scheduler)


def test_the_folder_is_ordinary_diffusers_format(base: Base, folder: Path) -> None:
    facts = FAMILIES[base.family]
    pipeline = getattr(diffusers, facts.pipeline_class).from_pretrained(folder, local_files_only=True)
    assert same(getattr(pipeline, facts.network_folder), base.network)
    assert (folder / facts.network_folder).is_dir()
    assert read_base_family("mine", folder) == base.family


@pytest.mark.parametrize("family", [id for id, row in FAMILIES.items() if row.backbone != "unet" and row.control_class])
def test_the_class_of_a_controlnet_shows_its_family(family: Family) -> None:
    facts = FAMILIES[family]
    assert family_of({"_class_name": facts.control_class}) == (facts.shares_with or family)
