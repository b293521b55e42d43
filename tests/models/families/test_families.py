"""Families: every fact once, told apart by configs, and refusals of what a family cannot do."""

from __future__ import annotations

import ast
import dataclasses
from importlib import import_module
from itertools import combinations
from typing import Any, get_args

import diffusers
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen3 import Qwen3Config, Qwen3Model

from benchmarks import gpu
from models.catalogue.catalog import CATALOG, entry
from models.errors import InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, FAMILY_OF_TWO_ENCODERS, FILES, family_of, own_base_note, require
from models.family_facts import CAPABILITY_TITLES, Capability, Family, FamilyFacts
from tests.source import modules, tree

OWN_NAMES = (
    "models.families",
    "models.catalogue.rows",
    "models.tiny.flux",
)
"""Modules that may name a family, besides those of the family: autoencoders that several share, and a second miniature."""


def test_every_family_has_one_row_and_a_base_of_its_name() -> None:
    bases = {row.id for row in CATALOG if row.kind == "base"}
    assert set(FAMILIES) <= bases, f"no file of a family has a base of the id {set(FAMILIES) - bases}"
    for file in FILES:
        id, row = getattr(file, "__name__", "").rpartition(".")[2], file.FACTS
        assert (row.id, entry(id).family, entry(id).defaults) == (id, id, row.defaults)
        assert {one.family for one in file.WEIGHTS} == {id}


@pytest.mark.parametrize("row", FAMILIES.values(), ids=lambda row: row.id)
def test_the_code_that_a_row_names_is_there(row: FamilyFacts) -> None:
    assert import_module(f"cnet_app.diffusion.backbones.{row.backbone}").create
    for kind in (row.network_class, *row.vae_classes, *filter(None, [row.control_class])):
        assert hasattr(diffusers, kind)
    assert not row.control_marks or import_module(f"models.layouts.{row.id}").read_control


def test_families_are_found_by_width_and_encoders() -> None:
    assert {width: FAMILY_BY_WIDTH[width] for width in (768, 1024, 2048)} == {768: "sd15", 1024: "sd21", 2048: "sdxl"}
    assert FAMILY_OF_TWO_ENCODERS == "sdxl"
    for row in FAMILIES.values():
        assert row.text_encoders == len(row.text_widths) or not row.text_widths
        assert row.words_width in (None, sum(row.text_widths))
        assert row.one_file is None or len(row.one_file.text_encoders) == row.text_encoders
        assert row.preview is None or len(row.preview) == row.latent_channels + 1


UNETS = [row for row in FAMILIES.values() if row.backbone == "unet"]


@pytest.mark.parametrize(("one", "other"), combinations(UNETS, 2), ids=lambda row: row.id)
def test_files_show_which_of_two_families_they_are_made_for(one: FamilyFacts, other: FamilyFacts) -> None:
    """Files without a family's name are told apart by these facts: see family_of and FAMILY_BY_WIDTH."""
    assert one.title != other.title
    assert one.words_width is None or one.words_width != other.words_width, "LoRAs and embeddings cannot be told apart"
    config = (one.latent_channels, one.size_conditions, one.linear_projection)
    assert config != (other.latent_channels, other.size_conditions, other.linear_projection), "nor can ControlNets"


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"in_channels": 16, "use_linear_projection": True}, "embedded"),
        ({"in_channels": 16}, "embedded"),
        ({"cross_attention_dim": 768}, "sd15"),
        ({"in_channels": 9}, "sd15"),
        ({"in_channels": 4, "use_linear_projection": True}, "sd21"),
        ({"in_channels": 9, "use_linear_projection": True, "addition_embed_type": None}, "sd21"),
        ({"in_channels": 4, "use_linear_projection": True, "addition_embed_type": "text_time"}, "sdxl"),
        ({"in_channels": 9, "addition_embed_type": "text_time"}, "sdxl"),
        ({"in_channels": 7, "use_linear_projection": True}, None),
        ({"in_channels": 4, "addition_embed_type": "text"}, "sd15"),
    ],
    ids=str,
)
def test_a_config_shows_its_family(config: dict[str, Any], family: Family | None) -> None:
    assert family_of(config) == family


def test_no_other_module_names_a_family() -> None:
    """Facts that depend on a family are read from its row, so that a new family is a row and a backbone."""
    names = set(FAMILIES) - {"embedded"}  # which is also the name of a folder and of annotators
    looked_at = [
        m for m in modules() if m.startswith(("models.", "cnet_app.diffusion")) and not m.startswith(OWN_NAMES)
    ]
    found = [
        f"{module}:{node.lineno} {node.value!r}"
        for module in looked_at
        for node in ast.walk(tree(modules()[module]))
        if isinstance(node, ast.Constant) and node.value in names and not _is_default_base(module)
    ]
    assert not found


def _is_default_base(module: str) -> bool:
    """models.machine.devices chooses between bases of the catalogue, whose ids are those of their families."""
    return module == "models.machine.devices"


@pytest.mark.parametrize("capability", get_args(Capability))
def test_what_a_family_cannot_do_is_refused_in_a_sentence(capability: Capability) -> None:
    poor = dataclasses.replace(
        FAMILIES["sd15"], title="A poor one", loras=False, ip_adapters=False, t2i_square=None, guidance="none", resolutions=False, control_prompts=False, references=True,
    )  # fmt: skip
    able = next(row for row in FAMILIES.values() if row.has(capability))
    require(able, capability, "x")
    with pytest.raises(
        InputError, match=rf"^x needs .*, which A poor one does not have; choose a base .*{able.title}"
    ) as told:
        require(poor, capability, "x")
    assert CAPABILITY_TITLES[capability] in str(told.value)


def test_adapters_are_for_families_that_have_them() -> None:
    made = {row.family for row in CATALOG if row.kind == "adapter"}
    assert made == {row.id for row in FAMILIES.values() if row.has("t2i_adapters")}
    assert {row.family for row in CATALOG if row.kind == "lora"} <= {r.id for r in FAMILIES.values() if r.has("loras")}


@pytest.mark.slow
@pytest.mark.parametrize("family", gpu.BUILDERS)
def test_parameters_are_those_of_the_real_networks(family: Family) -> None:
    with torch.device("meta"):
        parts, controlnet = gpu.BUILDERS[family][0]()
    millions = FAMILIES[family].parameters
    found = {"network": parts["unet"], "controlnet": controlnet, "vae": parts["vae"]}
    for name, network in found.items():
        assert getattr(millions, name) == pytest.approx(_millions(network), rel=0.01), name


@pytest.mark.slow
def test_parameters_of_text_encoders_are_those_of_the_real_ones() -> None:
    def clip(kind: Any, width: int, layers: int) -> float:
        heads = width // 64
        return _millions(
            kind(CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads, projection_dim=width))
        )  # fmt: skip

    qwen3 = Qwen3Config(
        hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8,
        head_dim=128, vocab_size=151936,
    )  # fmt: skip
    with torch.device("meta"):
        clip_l = clip(CLIPTextModel, 768, 12)
        found: dict[Family, float] = {
            "sd15": clip_l,
            "sd21": clip(CLIPTextModel, 1024, 23),
            "sdxl": clip_l + clip(CLIPTextModelWithProjection, 1280, 32),
            "z_image": _millions(Qwen3Model(qwen3)),
        }
    for family, count in found.items():
        assert FAMILIES[family].parameters.text_encoders == pytest.approx(count, rel=0.01), family


def _millions(network: torch.nn.Module) -> float:
    return sum(weight.numel() for weight in network.parameters()) / 1e6


def test_a_z_image_of_ones_own_may_be_distilled_or_not() -> None:
    note = own_base_note("z_image", "models/mine.safetensors")
    assert note.startswith("Nothing in mine.safetensors shows whether it is distilled.")
    assert "Turbo: 8 steps, guidance 1, control strength 0.75" in note
    assert "Z-Image: 25 steps, guidance 5, control strength 0.9" in note
    for family, base in (("z_image", "z_image_base"), ("z_image", "Tongyi-MAI/Z-Image"), ("sd15", "mine"), (None, "a")):
        assert own_base_note(family, base) == ""
