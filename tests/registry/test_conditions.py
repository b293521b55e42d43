"""The registry: every row leads somewhere."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from annotators.registry import ANNOTATORS, annotator
from cnet_app.registry.conditions import (
    CONDITIONS,
    Condition,
    base_controlnets,
    can_control,
    condition,
    control_model,
    controlnet_id,
    own_controlnet,
    start_scale,
)
from cnet_app.registry.measures import measure
from models.catalogue.catalog import entry
from models.catalogue.fitting import made_for
from models.errors import InputError

rows = pytest.mark.parametrize("row", CONDITIONS, ids=lambda row: row.id)


def test_ids_are_lower_snake_and_appear_once() -> None:
    ids = [row.id for row in CONDITIONS]
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", id) for id in ids)
    assert max(Counter(ids).values()) == 1


def test_an_unknown_condition_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"no condition 'cany' .did you mean canny..; choose one of: canny, softedge, .*scribble"
    ):
        condition("cany")


@rows
def test_every_controlnet_is_in_the_catalogue_for_that_family(row: Condition) -> None:
    assert row.controlnets, f"{row.id} has no ControlNet for any family"
    for family, id in row.controlnets.items():
        assert entry(id).kind in ("controlnet", "adapter")
        assert family in made_for(entry(id))


@rows
def test_every_annotator_exists_and_one_of_them_needs_no_download(row: Condition) -> None:
    ready = [id for id in row.annotators if all(not entry(weights).repo for weights in annotator(id).weights)]
    assert ready, f"{row.id} cannot make a map offline"


@rows
def test_texts_are_sentences_for_a_user(row: Condition) -> None:
    assert row.title and row.help.endswith(".") and row.example and row.example_prompt


@rows
def test_all_annotators_of_a_condition_make_one_kind_of_map(row: Condition) -> None:
    assert {annotator(id).kind for id in row.annotators} == {row.kind.id}


def test_no_annotator_is_left_without_a_condition() -> None:
    assert {kind.id for kind in ANNOTATORS} == {id for row in CONDITIONS for id in row.annotators}


@rows
def test_the_measure_of_a_condition_is_a_known_one(row: Condition) -> None:
    if row.measure is not None:
        assert measure(row.measure).id == row.measure


@rows
def test_a_score_has_words_or_a_reason_why_there_is_none(row: Condition) -> None:
    if row.measure is None:
        assert row.no_score.endswith(".") and not row.score_words and not row.more_measures
        return
    words = row.score_words.format(percent=87, found=12, wanted=17)
    assert "87 %" in words or "12 of 17 joints" in words
    assert not row.no_score
    assert row.measure not in row.more_measures
    assert all(measure(id).range for id in row.more_measures)


@rows
def test_every_controlnet_reads_the_conditions_maps(row: Condition) -> None:
    assert all(row.id in entry(id).conditions for id in row.controlnets.values())


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CONDITIONS[0].title = "Other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        CONDITIONS[0].controlnets["sd15"] = "other"  # pyright: ignore[reportIndexIssue]


def test_a_masked_conditions_example_has_an_area_and_no_other() -> None:
    assert {row.id for row in CONDITIONS if row.example_area} == {row.id for row in CONDITIONS if row.masked}


def test_a_base_may_need_other_controlnets_than_its_family() -> None:
    assert (
        controlnet_id("canny", "z_image", "z_image") == controlnet_id("canny", "z_image") == "controlnet_union_z_image"
    )
    assert controlnet_id("canny", "z_image", "z_image_base") == "controlnet_union_base_z_image"
    assert controlnet_id("tile", "z_image", "z_image_base") == "controlnet_tile_z_image"


def test_strength_starts_as_the_controlnet_needs_it() -> None:
    assert start_scale("canny", None, "z_image", "z_image") == 0.75
    assert start_scale("canny", None, "z_image_base", "z_image") == 0.9
    assert (
        start_scale("tile", None, "z_image", "z_image")
        == start_scale("canny", "controlnet_tile_z_image", "z_image", "z_image")
        == 0.85
    )
    assert start_scale("canny", "mine", "mine", None) == start_scale("canny", None, "sd15", "sd15") == 1


def test_a_base_that_reads_maps_itself_takes_every_condition_with_a_map() -> None:
    assert {row.id for row in CONDITIONS if "flux2" not in row.families} == {"inpaint"}
    assert start_scale("canny", None, "flux2", "flux2") == 1
    assert control_model("normal", None, "flux2") is None
    assert control_model("depth", "mine", "flux2") == ("lora", "mine")
    assert control_model("depth", None, "sdxl") == ("controlnet", "controlnet_depth_sdxl")
    assert control_model("depth", "mine", "sdxl") == ("controlnet", "mine")
    with pytest.raises(InputError, match=r"Inpaint has no ControlNet for FLUX\.2"):
        control_model("inpaint", None, "flux2")


@rows
def test_families_of_a_condition_are_those_that_it_can_control(row: Condition) -> None:
    assert row.controlnets.keys() <= set(row.families)


def test_a_base_answers_for_itself_before_its_family() -> None:
    assert (
        own_controlnet("canny", "sd3", "sd3") == own_controlnet("canny", "sd3", "sd3_turbo") == "controlnet_canny_sd3"
    )
    assert own_controlnet("canny", "sd3", "sd3_medium") is None
    assert own_controlnet("canny", "sd3", "stabilityai/stable-diffusion-3.5-medium") is None
    assert not can_control("canny", "sd3", "sd3_medium")
    assert own_controlnet("mlsd", "qwen_image", "qwen_image_2512") == "controlnet_fun_qwen_image"
    assert can_control("scribble", "qwen_image", "qwen_image_2512") and not can_control("scribble", "qwen_image")
    assert start_scale("mlsd", None, "qwen_image_2512", "qwen_image") == 0.8
    assert control_model("canny", "mine", "sd3", "sd3_medium") == ("controlnet", "mine")
    with pytest.raises(
        InputError,
        match=r"^Canny has no ControlNet for Stable Diffusion 3\.5 Medium; choose a base model that has one: "
        r"Stable Diffusion 3\.5 Large or Stable Diffusion 3\.5 Large Turbo\.$",
    ):
        control_model("canny", None, "sd3", "sd3_medium")
    assert base_controlnets("mlsd")["qwen_image_2512"] == "controlnet_fun_qwen_image"
    assert "qwen_image" not in base_controlnets("mlsd") and "sd3_medium" not in base_controlnets("canny")
