"""Endpoints called as plain functions: answers, and errors as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.canny import Canny
from annotators.people.poses import Person, Pose
from annotators.sources.images import load_image
from cnet_app.fidelity.overlay import AGREE
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request, save_picture
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import CATALOG
from tests.api.conftest import Api


def file(path: Path) -> dict[str, Any]:
    return {"path": str(path)}


def control(photo: Path, **more: Any) -> dict[str, Any]:
    return {"condition": "canny", "image": file(photo), **more}


def test_conditions_are_those_of_the_registry_with_every_parameter(api: Api) -> None:
    rows = api.endpoints.conditions()["conditions"]
    assert [row["id"] for row in rows] == [row.id for row in CONDITIONS]
    (canny,) = rows[0]["annotators"]
    assert canny["can_run"]
    assert canny["parameters"]["low_threshold"]["minimum"] == 1
    assert set(canny["parameters"]) == {"low_threshold", "high_threshold", "automatic"}


def test_models_of_a_kind_name_licence_and_place(api: Api) -> None:
    bases = api.endpoints.models("base")["models"]
    assert {row["id"] for row in bases} == {row.id for row in CATALOG if row.kind == "base"}
    assert all(row["licence"] for row in bases)
    assert len(api.endpoints.models()["models"]) >= len(CATALOG)
    assert api.endpoints.models("bse")["error"].startswith("kind is 'bse' (did you mean base?)")


def test_a_map_is_the_annotators_at_the_pictures_size(api: Api, photo: Path) -> None:
    made = api.endpoints.annotate("canny", file(photo), "canny", {"low_threshold": 50})
    expected = Canny(low_threshold=50)(load_image(photo))
    assert np.array_equal(load_image(Path(made["map"]["path"])), expected)
    assert made["parameters"]["low_threshold"] == 50
    wide = api.endpoints.annotate("canny", file(photo), width=192, height=64)
    assert load_image(Path(wide["map"]["path"])).shape == (64, 192, 3)


def test_people_as_data_become_a_map_and_come_back(api: Api, tmp_path: Path) -> None:
    body = np.zeros((18, 3))
    body[0], body[1] = (60, 20, 1), (60, 50, 1)
    pose = Pose(people=(Person(body=body),), height=96, width=128)
    path = tmp_path / "people.json"
    path.write_text(str(pose.to_json()).replace("'", '"').replace("None", "null"))
    made = api.endpoints.annotate("openpose", file(path))
    assert made["annotator"] is None
    assert np.array_equal(load_image(Path(made["map"]["path"])), pose.draw())


def test_a_picture_is_what_was_asked_for(api: Api, photo: Path) -> None:
    given = control(photo, conditioning_scale=0.7, control_mode="prompt", strength_curve=[[0, 1], [1, 0.5]])
    answer = api.generate(given, seed=7, num_images=2, width=128, height=64, negative_prompt="blur")
    assert (answer["seed"], answer["width"], answer["height"]) == (7, 128, 64)
    job = api.finished(answer)
    assert (job["status"], job["seeds"], job["error"]) == ("done", [7, 8], "")
    request = read_request(Path(job["pictures"][0]["path"]))
    assert (request.negative_prompt, request.width, request.height) == ("blur", 128, 64)
    (unit,) = request.units
    assert (unit.conditioning_scale, unit.control_mode, unit.strength_curve) == (0.7, "prompt", ((0, 1), (1, 0.5)))
    assert unit.annotator == "canny"


def test_strength_starts_as_the_controlnet_needs_it(api: Api, photo: Path) -> None:
    answer = api.generate(control(photo), base="z_image", width=64, height=64)
    job = api.finished(answer)
    (unit,) = read_request(Path(job["pictures"][0]["path"])).units
    assert unit.conditioning_scale == 0.75


def test_without_a_size_the_picture_follows_the_first_image(api: Api, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 128, 3), np.uint8)).save(tmp_path / "wide.png")
    answer = api.generate(control(tmp_path / "wide.png", annotator="none"))
    assert answer["width"] > 1.9 * answer["height"]
    assert api.generate()["width"] == 256


def test_files_in_options_become_pictures_of_the_request(api: Api, photo: Path) -> None:
    job = api.finished(
        api.generate(initial_image=file(photo), strength=0.5, loras=[{"name": "x.safetensors", "scale": 0.4}])
    )
    request = read_request(Path(job["pictures"][0]["path"]))
    assert request.initial_image is not None
    assert np.array_equal(load_image(request.initial_image), load_image(photo))
    assert [(lora.name, lora.scale) for lora in request.loras] == [("x.safetensors", 0.4)]


def test_a_unit_has_its_own_prompt_curve_and_weights(api: Api, photo: Path) -> None:
    given = control(photo, prompt="a cone", depth_curve=[[0, 1], [1, 0.5]], weight_map=file(photo))
    (unit,) = read_request(Path(api.finished(api.generate(given))["pictures"][0]["path"])).units
    assert (unit.prompt, unit.depth_curve) == ("a cone", ((0, 1), (1, 0.5)))
    assert unit.weight_map is not None and np.array_equal(load_image(unit.weight_map), load_image(photo))
    both = api.generate(control(photo, mask=file(photo), weight_map=file(photo)))
    assert both["error"].startswith("mask and weight_map are both given")


def test_the_maps_of_a_part_are_made_of_that_part(api: Api, photo: Path, tmp_path: Path) -> None:
    white = np.zeros((128, 128, 3), np.uint8)
    white[40:72, 16:48] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    options = {"inpaint_mask": file(tmp_path / "mask.png"), "inpaint_area": "mask", "inpaint_padding": 16}
    answer = api.generate(control(photo), width=64, height=64, initial_image=file(photo), **options)
    request = read_request(Path(api.finished(answer)["pictures"][0]["path"]))
    assert (request.inpaint_area, request.inpaint_padding) == ("mask", 16)
    assert np.array_equal(request.units[0].pixels, Canny()(load_image(photo)[24:88, :64]))


def test_a_picture_with_a_part_made_anew_is_scored_by_that_part(api: Api, tmp_path: Path) -> None:
    whole, mask = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128, 3), np.uint8)
    whole[::16], whole[40:90, 50:80], mask[32:96, 32:96] = 90, 200, 255
    map = Canny()(whole[32:96, 32:96])
    unit = ControlUnit(condition="canny", annotator="canny", control_image=encode_png(map))
    request = GenerationRequest(
        units=(unit,), width=64, height=64, inpaint_area="mask", inpaint_padding=0,
        initial_image=encode_png(whole), inpaint_mask=encode_png(mask),
    )  # fmt: skip
    (score,) = api.endpoints.score(file(save_picture(tmp_path, whole, request, 0)))["scores"]
    assert score["value"] == 1


def test_a_score_has_value_agreement_and_words_or_a_reason(api: Api, photo: Path) -> None:
    job = api.finished(api.generate(control(photo), control(photo, condition="shuffle", annotator="shuffle")))
    answer = api.endpoints.score(job["pictures"][0])
    canny, shuffle = answer["scores"]
    assert (canny["condition"], canny["measure"], canny["unit"], canny["annotator"]) == (
        "canny",
        "edge_f1",
        "",
        "canny",
    )
    assert 0.5 < canny["value"] <= 1
    assert canny["agreement"] == answer["agreement"] == canny["value"]
    assert canny["words"] == f"followed the edges: {100 * canny['value']:.0f} %"
    assert (canny["reason"], canny["range"], canny["higher_is_better"]) == ("", [0.0, 1.0], True)
    assert (shuffle["measure"], shuffle["value"], shuffle["agreement"], shuffle["words"]) == (None, None, None, "")
    assert shuffle["reason"] == "Shuffle leaves places free, so there is nothing to compare."
    assert not {"overlay", "legend"} & {*canny, *shuffle}


def test_an_overlay_is_a_file_of_the_pictures_size_with_its_legend(api: Api, photo: Path) -> None:
    job = api.finished(api.generate(control(photo), control(photo, condition="shuffle", annotator="shuffle")))
    canny, shuffle = api.endpoints.score(job["pictures"][0], overlay=True)["scores"]
    drawn = load_image(Path(canny["overlay"]["path"]))
    assert drawn.shape == load_image(Path(job["pictures"][0]["path"])).shape
    assert canny["legend"][0] == {"name": "line as wanted", "colour": list(AGREE)}
    assert (drawn == AGREE).all(axis=2).any()
    assert "overlay" not in shuffle


def test_a_running_job_can_be_cancelled_and_keeps_its_pictures(api: Api) -> None:
    api.engine.gate.clear()
    answer = api.generate(num_images=3)
    assert api.engine.entered.wait(10)
    assert api.endpoints.jobs(answer["job"])["status"] == "running"
    api.endpoints.cancel(answer["job"])
    assert api.finished(answer)["status"] == "cancelled"


def test_the_library_lists_the_newest_first(api: Api, photo: Path) -> None:
    for seed in (1, 2):
        api.finished(api.generate(control(photo), seed=seed))
    first, second = api.endpoints.library()["jobs"]
    assert (first["seed"], second["seed"], first["conditions"]) == (2, 1, ["canny"])
    assert Path(first["pictures"][0]["path"]).is_file()
    assert len(api.endpoints.library(1)["jobs"]) == 1


@pytest.mark.parametrize(
    ("controls", "options", "message"),
    [
        ([{"condition": "cany"}], {}, "image must be an uploaded file; give one."),
        ([{"condition": "canny", "imag": 1}], {}, "A control has no field 'imag' (did you mean image?)"),
        ([], {"step": 3}, "options has no field 'step'"),
        ([], {"num_images": 99}, "num_images is 99, but it must be from 1 to 8."),
        ([], {"loras": [{"name": "x", "weight": 1}]}, "A LoRA has no field 'weight'"),
        ([], {"loras": ["x"]}, "A LoRA is 'x', but it must be an object; its fields are: name, scale."),
        ([None], {}, "A control is None, but it must be an object; its fields are: condition, "),
        ([[{"condition": "canny"}]], {}, "A control is ["),
        ({"a": 1}, {}, "controls is {'a': 1}, but it must be a list of objects."),
        ([], {"loras": [{"scale": 1}]}, "A LoRA has no name, but needs it; give it."),
        ([], {"ip_adapter": {"name": "x"}}, "An IP-Adapter has no image, but needs it; give it."),
        ([], {"loras": 7}, "loras is 7, but it must be a list of objects."),
        ([], [1], "options is [1], but it must be an object; its fields are: "),
        ([], {"base": {"id": "sd15"}}, "base is {'id': 'sd15'}, but it must be the name of a base model."),
        ([], {"initial_image": "/etc/passwd"}, "initial_image must be an uploaded file; give one."),
        ([], {"width": "wide"}, "width is 'wide', but it must be a number from 64 to 2048 px."),
        ([{}] * 17, {}, "There are 17 controls, but a picture has at most 16."),
    ],
)
def test_what_is_wrong_is_a_sentence_and_starts_no_job(api: Api, controls: Any, options: Any, message: str) -> None:
    answer = api.endpoints.generate("x", controls, options)
    assert answer["error"].startswith(message)
    assert set(answer) == {"error"}
    assert not api.runner.history()


@pytest.mark.parametrize(("width", "height"), [(2**40, 64), (-1, 64), (64, -5), (9_000, 9_000)])
def test_a_map_of_an_impossible_size_is_refused(api: Api, photo: Path, width: int, height: int) -> None:
    for annotator in ("canny", "none"):
        answer = api.endpoints.annotate("canny", file(photo), annotator, None, width, height)
        assert answer["error"].startswith("The map ")


@pytest.mark.parametrize("path", ["\ud800", "a\0b", "/dev/zero"])
def test_a_path_that_is_no_file_is_a_sentence(api: Api, path: str) -> None:
    for answer in (api.endpoints.annotate("canny", {"path": path}, "canny"), api.endpoints.score({"path": path})):
        assert "Something went wrong" not in answer["error"]
        answer["error"].encode()


def test_an_unknown_condition_annotator_or_job_is_a_sentence(api: Api, photo: Path) -> None:
    assert "did you mean canny?" in api.endpoints.annotate("cany", file(photo))["error"]
    assert "canny" in api.endpoints.annotate("canny", file(photo), "hed")["error"]
    assert api.endpoints.jobs("nothing")["error"].startswith("There is no job 'nothing'")
    assert api.endpoints.cancel("nothing")["error"].startswith("There is no job 'nothing'")
    assert "choose a picture that was made here" in api.endpoints.score(file(photo))["error"]
    assert api.endpoints.library(0)["error"] == "limit is 0, but it must be a whole number from 1 to 200."


def test_where_others_can_reach_the_app_nothing_is_listed_and_no_other_model_named(public: Api) -> None:
    assert "not listed" in public.endpoints.library()["error"]
    answer = public.generate(base="someone/else")
    assert "someone/else" in answer["error"]
    assert not public.engine.prompts


def test_files_are_read_by_what_they_are_for_and_the_caller_is_told(api: Api, photo: Path, tmp_path: Path) -> None:
    cut = Image.open(photo).convert("RGBA")
    cut.putalpha(Image.fromarray(np.pad(np.zeros((40, 40), np.uint8), 44, constant_values=255)).resize(cut.size))
    cut.save(tmp_path / "cut.png")
    answer = api.generate(initial_image=file(tmp_path / "cut.png"), strength=0.5)
    assert any("transparent in parts, which are the mask" in text for text in answer["warnings"])
    request = read_request(Path(api.finished(answer)["pictures"][0]["path"]))
    assert request.inpaint_mask is not None
    assert np.array_equal(load_image(request.inpaint_mask)[..., 0] == 255, np.asarray(cut)[..., 3] <= 127)
    numbers = np.zeros((64, 64), np.uint8)
    numbers[:, 32:] = 12
    Image.fromarray(numbers).save(tmp_path / "ids.png")
    made = api.endpoints.annotate("segmentation", file(tmp_path / "ids.png"), annotator="none")
    assert "class numbers, read as ADE20K's from 0: wall and person" in made["warnings"][0]
    assert set(map(tuple, load_image(Path(made["map"]["path"])).reshape(-1, 3).tolist())) == {
        (120, 120, 120),
        (150, 5, 61),
    }
