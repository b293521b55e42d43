"""The score of a picture: annotated again, compared with its control image, put in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest

from annotators.base import Image, create
from annotators.canny import Canny
from annotators.maps.control_map import ControlMap, describe_map, make_map
from annotators.maps.encoders import encode_normal, encode_segmentation
from annotators.people.body_annotator import BodyAnnotator
from annotators.people.poses import Person, Pose
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.embedded.world import create_scene
from cnet_app.fidelity.compare import annotate_here, shipped_annotator
from cnet_app.fidelity.score import score, score_request
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, build_unit
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.registry.measures import measure
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import entry
from models.errors import WeightsError

SIDE = 192
BODY = np.stack([np.full(18, 40.0), np.linspace(10, 110, 18), np.ones(18)], axis=1)
POSE = Pose((Person(body=BODY),), height=128, width=128)
BLANK = np.zeros((SIDE, SIDE, 3), np.uint8)
measured = pytest.mark.parametrize("row", [row for row in CONDITIONS if row.measure], ids=lambda row: row.id)


@dataclass(frozen=True)
class Finder(BodyAnnotator):
    """Finds one person, `shift` pixels to the right of BODY, at twice the map's size."""

    id = "finder"
    title = "Finder"
    shift: float = 0.0

    def people(self, source_image: Image, runtime: Runtime | None = None) -> list[Person]:
        """One person."""
        assert source_image.shape == (256, 256, 3)
        return [Person(body=BODY * (2, 2, 1) + (self.shift, 0, 0))]


def unit_of(condition_id: str, pixels: Image, **options: Any) -> ControlUnit:
    """A map of the user's own."""
    return ControlUnit(condition=condition_id, control_image=encode_png(pixels), **options)


def pose_unit(pose: Pose = POSE, **options: Any) -> ControlUnit:
    """A pose with its data."""
    return unit_of("openpose", pose.draw(), control_data=pose.to_json(), **options)


def finding(shift: float = 0.0) -> Any:
    """Returns Finder's map, whatever the unit."""
    return lambda _unit, picture: make_map(Finder(shift=shift), picture)


def reading(pixels: Image, row: Condition, pose: Pose | None = None) -> Any:
    """Returns this map, as if it had been made of the picture."""
    made_by = create(annotator(row.annotators[-1]))
    return lambda _unit, _picture: describe_map(made_by, pixels.copy(), "", pose, ())


def full_map(row: Condition) -> tuple[Image, Pose | None]:
    """A map of the condition's kind whose values are spread evenly, of 192x192."""
    ramp = np.linspace(0, 1, SIDE)
    across, down = np.meshgrid(ramp, ramp)
    kind = row.kind.id
    if kind == "pose":
        pose = POSE.resized(SIDE, SIDE)
        return pose.draw(), pose
    if kind in ("lines", "soft_lines"):
        pixels = BLANK.copy()
        pixels[::12, 4:-4] = 255
        return pixels, None
    if kind == "labels":
        return encode_segmentation(np.arange(SIDE)[:, None] // 24 + np.zeros((1, SIDE), np.int64)), None
    if kind == "normal":
        sines, turns = np.sqrt(1 - (1 - across) ** 2), 2 * np.pi * down  # directions spread over a half-sphere
        return encode_normal(np.stack([sines * np.cos(turns), sines * np.sin(turns), 1 - across], axis=2)), None
    if kind == "picture":
        tiles = np.random.default_rng(0).integers(0, 256, (SIDE // 12, SIDE // 12, 3), np.uint8)
        return tiles.repeat(12, axis=0).repeat(12, axis=1), None
    return np.rint(np.repeat(across[..., None], 3, axis=2) * 255).astype(np.uint8), None


def blank_map(row: Condition) -> tuple[Image, Pose | None]:
    """A map of the condition's kind without content."""
    colour = {"depth": (128, 128, 128), "picture": (128, 128, 128), "normal": (128, 128, 255)}
    pixels = BLANK + np.array(colour.get(row.kind.id, (0, 0, 0)), np.uint8)
    return pixels, Pose((), SIDE, SIDE) if row.kind.id == "pose" else None


def unit_for(row: Condition) -> tuple[ControlUnit, Image, Pose | None]:
    pixels, pose = full_map(row)
    return (pose_unit(pose) if pose else unit_of(row.id, pixels)), pixels, pose


@measured
def test_a_picture_whose_map_is_the_map_agrees_in_full(row: Condition) -> None:
    unit, pixels, pose = unit_for(row)
    found = score(unit, BLANK, reading(pixels, row, pose))
    assert (found.condition, found.measure, found.reason) == (row.id, row.measure, "")
    assert found.value == pytest.approx(measure(str(row.measure)).best, abs=0.51)  # normals are stored in 8 bits
    assert found.agreement == pytest.approx(1.0, abs=0.01)
    assert found.words == row.score_words.format(percent=100, found=18, wanted=18)
    assert dict(found.more) == dict.fromkeys(row.more_measures, 1.0)


@measured
def test_a_blank_picture_agrees_in_nothing(row: Condition) -> None:
    unit, _, _ = unit_for(row)
    found = score(unit, BLANK, reading(*blank_map(row)[:1], row, blank_map(row)[1]))
    assert found.agreement is not None
    assert found.agreement <= 0.1
    assert not found.reason


@measured
def test_agreement_falls_with_the_distance(row: Condition) -> None:
    unit, pixels, pose = unit_for(row)

    def moved(shift: int) -> float:
        there = np.roll(pixels, shift, axis=(0, 1)) if pose is None else pixels
        people = Pose((Person(body=pose.people[0].body + np.array([6.0 * shift, 0, 0])),), SIDE, SIDE) if pose else None
        found = score(unit, BLANK, reading(there, row, people)).agreement
        assert found is not None
        return found

    near, far = moved(0), moved(6)
    assert 0 <= far < near <= 1


@pytest.mark.parametrize(("shift", "value", "words"), [(0.0, 1.0, "18"), (19.0, 1.0, "18"), (21.0, 0.0, "0")])
def test_people_are_scored_as_data_at_the_results_size(shift: float, value: float, words: str) -> None:
    found = score(pose_unit(), np.zeros((256, 256, 3), np.uint8), finding(shift))
    assert (found.measure, found.value, found.agreement) == ("pck", value, value)
    assert found.words == f"the pose: {words} of 18 joints"


def test_joints_outside_of_the_picture_or_the_units_mask_do_not_count() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    outside = BODY.copy()
    outside[:6, 1] -= 60  # their distance from the figure's top stays that of the picture
    unit = pose_unit(Pose((Person(body=outside),), 128, 128))
    assert score(unit, picture, finding()).words.endswith("of 12 joints")
    upper = np.zeros((128, 128, 3), np.uint8)
    upper[:60] = 255
    count = int((BODY[:, 1] < 60).sum())
    assert score(pose_unit(mask=encode_png(upper)), picture, finding()).words == f"the pose: {count} of {count} joints"
    upper[:] = 0
    upper[-4:] = 255
    assert "No joint of the pose" in score(pose_unit(mask=encode_png(upper)), picture, finding()).reason


@pytest.mark.parametrize("pose", [None, Pose((), 128, 128)], ids=["missing", "empty"])
def test_a_pose_map_without_people_has_a_reason_and_no_value(pose: Pose | None) -> None:
    unit = pose_unit(pose) if pose else unit_of("openpose", POSE.draw())
    found = score(unit, BLANK, finding())
    assert (found.value, found.agreement, found.words) == (None, None, "")
    assert "OpenPose is scored by its people" in found.reason and "missing or empty" in found.reason


def test_an_annotator_that_finds_no_people_is_no_judge_of_a_pose() -> None:
    found = score(pose_unit(), BLANK, lambda _, picture: make_map(Canny(), picture))
    assert "The annotator is canny, but a pose is scored with" in found.reason


def test_a_picture_follows_its_own_map_and_another_does_not() -> None:
    scene, other = create_scene(3, 192).image, create_scene(4, 192).image
    unit = unit_of("canny", Canny()(scene), annotator="canny")
    own, strange = score(unit, scene), score(unit, other)
    assert (own.value, own.words, own.annotator) == (1.0, "followed the edges: 100 %", "canny")
    assert strange.value is not None and strange.value < 0.5


def test_a_map_of_another_size_is_brought_to_the_results() -> None:
    scene = create_scene(3, 192).image
    larger = cv2.resize(Canny()(scene), (384, 384), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    found = score(unit_of("canny", larger), scene)
    assert found.value is not None and found.value > 0.99


@measured
def test_only_the_part_that_the_unit_steers_counts(row: Condition) -> None:
    if row.measure == "pck":
        pytest.skip("people are counted by joints, in a test of their own")
    unit, pixels, _ = unit_for(row)
    half = BLANK.copy()
    half[:, : SIDE // 2] = 255
    blank = blank_map(row)[0]
    left_right = np.where(half > 0, pixels, blank)
    assert score(unit, BLANK, reading(left_right, row)).agreement != pytest.approx(1.0, abs=0.05)
    weights = encode_png(np.where(half > 0, 255, 1).astype(np.uint8))  # pushed away on the right
    for steered in (replace(unit, mask=encode_png(half)), replace(unit, weight_map=weights)):
        found = score(steered, BLANK, reading(left_right, row)).agreement
        assert found == pytest.approx(
            1.0, abs=0.1 if row.measure == "ms_ssim" else 0.01
        )  # its windows reach over the border


def test_a_part_made_anew_in_a_larger_picture_is_compared_alone() -> None:
    whole, white = np.zeros((SIDE, 2 * SIDE, 3), np.uint8), np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    whole[::16], whole[40:150, 250:330], white[:, SIDE:] = 90, 200, 255
    map = Canny()(np.ascontiguousarray(whole[:, SIDE:]))
    request = GenerationRequest(
        units=(unit_of("canny", map),), width=SIDE, height=SIDE, inpaint_area="mask", inpaint_padding=0,
        initial_image=encode_png(whole), inpaint_mask=encode_png(white),
    )  # fmt: skip
    (found,) = score_request(request, whole)
    (squeezed,) = score_request(replace(request, inpaint_area="picture"), whole)
    assert found.value == 1
    assert squeezed.value is not None and squeezed.value < 0.9


def test_what_inpainting_repaints_does_not_count() -> None:
    row = condition("inpaint")
    pixels = full_map(row)[0]
    mask = BLANK.copy()
    mask[60:120, 60:120] = 255
    repainted = np.where(mask > 0, 255 - pixels, pixels)
    request = GenerationRequest(
        units=(unit_of("inpaint", pixels),), initial_image=encode_png(pixels), inpaint_mask=encode_png(mask)
    )
    (found,) = score_request(request, repainted)
    (whole,) = score_request(replace(request, inpaint_mask=None), repainted)
    assert found.agreement is not None and whole.agreement is not None
    assert found.agreement > 0.9 > whole.agreement
    everything = replace(request, inpaint_mask=encode_png(BLANK + 255))
    assert "leave no part" in score_request(everything, repainted)[0].reason


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("shuffle", "Shuffle leaves places free, so there is nothing to compare."),
        ("ip2p", "An edit is meant to change the picture, so there is nothing to compare."),
    ],
)
def test_where_a_score_means_nothing_the_reason_is_a_sentence(id: str, reason: str) -> None:
    found = score(unit_of(id, BLANK), BLANK)
    assert (found.measure, found.value, found.agreement, found.words, found.reason) == (None, None, None, "", reason)


def test_an_annotator_that_cannot_run_is_the_reason() -> None:
    def missing(_unit: ControlUnit, _picture: Image) -> ControlMap:
        raise WeightsError("HED is not here; download it.")

    found = score(unit_of("softedge", BLANK, annotator="hed"), BLANK, missing)
    assert (found.value, found.reason, found.measure) == (None, "HED is not here; download it.", "ms_ssim")


@pytest.mark.parametrize("id", [row.id for row in CONDITIONS])
def test_the_default_annotator_is_the_conditions_own_and_needs_no_download(id: str) -> None:
    kind = shipped_annotator(id)
    assert kind.id in next(row.annotators for row in CONDITIONS if row.id == id)
    assert not [weights for weights in kind.weights if entry(weights).repo]


def test_a_map_from_a_drawing_is_read_by_what_finds_lines_in_a_picture(maps: Maps) -> None:
    picture = create_scene(3, 192).image
    drawn = build_unit("lineart", maps.annotate("lineart", "invert", picture))
    assert (drawn.annotator, drawn.judge) == ("invert", None)
    assert annotate_here(drawn, picture).annotator not in ("invert", None)
    assert annotate_again(maps)(drawn, picture).annotator not in ("invert", None)


def test_maps_read_a_picture_by_the_units_own_annotator_and_parameters(maps: Maps) -> None:
    picture = create_scene(3, 192).image
    unit = build_unit("canny", maps.annotate("canny", "canny", picture, {"low_threshold": 40}, 192, 192))
    made = annotate_again(maps)(unit, picture)
    assert made.parameters["low_threshold"] == 40
    assert np.array_equal(made.pixels, unit.pixels)
    assert score(unit, picture, annotate_again(maps)).agreement == 1.0
