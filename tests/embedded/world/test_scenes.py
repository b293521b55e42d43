"""Scenes: the same seed draws the same picture, things are big, and the ground truth fits the pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest

from annotators.maps.encoders import ADE20K_CLASSES
from cnet_app.embedded.world import words
from cnet_app.embedded.world.raycast import Ball, Box, Camera, Frustum, Limb, Solid, trace
from cnet_app.embedded.world.sample import Sample
from cnet_app.embedded.world.scenes import compose_scene, create_scene

SIZE = 64
COUNT = 60


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [create_scene(seed, SIZE) for seed in range(COUNT)]


def test_the_same_seed_draws_the_same_bytes() -> None:
    one, again, other = create_scene(11, SIZE), create_scene(11, SIZE), create_scene(12, SIZE)
    assert one.image.tobytes() == again.image.tobytes()
    assert one.caption == again.caption
    assert one.image.tobytes() != other.image.tobytes()


def test_a_scene_is_the_same_at_every_size() -> None:
    """The centre of a pixel is the centre of the middle one of the nine it is cut into."""
    small, large = create_scene(1, 32), create_scene(1, 96)
    assert small.caption == large.caption
    assert small.segmentation is not None
    assert large.segmentation is not None
    assert np.array_equal(small.segmentation, large.segmentation[1::3, 1::3])
    shrunk = large.image.reshape(32, 3, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small.image).mean() < 3


@pytest.mark.slow
def test_arrays_keep_their_shapes_and_ranges(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.depth is not None
        assert sample.normal is not None
        assert sample.segmentation is not None
        assert sample.instances is not None
        assert sample.image.shape == (SIZE, SIZE, 3)
        assert sample.image.dtype == np.uint8
        assert sample.depth.dtype == np.float32
        assert sample.normal.dtype == np.float32
        assert sample.depth.min() == 0
        assert sample.depth.max() == 1
        assert sample.segmentation.max() < len(ADE20K_CLASSES)
        assert sample.instances.max() == len(sample.things)
        assert all(person.shape == (18, 3) for person in sample.people)


def test_every_thing_covers_a_twentieth(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.instances is not None
        for number in range(1, len(sample.things) + 1):
            assert (sample.instances == number).mean() >= 0.05, sample.caption


def test_every_word_appears(samples: list[Sample]) -> None:
    things = [thing for sample in samples for thing in sample.things]
    assert {thing.shape for thing in things} == set(words.SHAPES)
    assert {thing.colour for thing in things} == set(words.COLOURS)
    assert {sample.style for sample in samples} == set(words.STYLES)
    assert {sample.sky for sample in samples} == {*words.SKIES, None}
    assert {len(sample.things) for sample in samples} == {1, 2, 3}


def test_captions_name_everything(samples: list[Sample]) -> None:
    for sample in samples:
        named = re.findall(r"\b(?:a|an) (\w+) (\w+)", sample.caption)
        assert [(thing.colour, thing.shape) for thing in sample.things] == [
            pair for pair in named if pair[0] in words.COLOURS
        ]
        assert sample.style in sample.caption
        assert (sample.sky is None) == (sample.style == "neon")
        assert sample.sky is None or sample.sky in sample.caption
        colours = [thing.colour for thing in sample.things]
        assert len(set(colours)) == len(colours)


def test_things_wear_their_colours(samples: list[Sample]) -> None:
    """Nearest named hue of a shaded solid's brighter half is its own."""
    hues = {name: np.array(rgb) / max(rgb) for name, rgb in words.COLOURS.items()}
    for sample in samples:
        assert sample.instances is not None
        for number, thing in enumerate(sample.things, 1):
            if sample.style in ("shaded", "flat") and thing.shape != "person":
                colour = np.median(sample.image[sample.instances == number], axis=0)
                near = min(hues, key=lambda name: float(np.abs(hues[name] - colour / colour.max()).sum()))
                assert near == thing.colour, sample.caption


def test_segmentation_names_the_things(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.segmentation is not None
        assert sample.instances is not None
        for number, thing in enumerate(sample.things, 1):
            name = words.ADE20K_CLASS[thing.shape]
            assert set(sample.segmentation[sample.instances == number]) == {ADE20K_CLASSES.index(name)}
        bare = {ADE20K_CLASSES[index] for index in sample.segmentation[sample.instances == 0]}
        assert bare <= ({"wall", "floor"} if sample.sky == "studio" else {"sky", "floor"})
        assert bare  # a person shown to the knees may hide where the floor begins


def test_sky_is_farthest_and_has_no_normal(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.segmentation is not None
        assert sample.depth is not None
        assert sample.normal is not None
        sky = sample.segmentation == ADE20K_CLASSES.index("sky")
        length = np.linalg.norm(sample.normal, axis=2)
        assert np.all(length[sky] == 0)
        assert np.all(sample.depth[sky] == 0)
        assert np.allclose(length[~sky], 1, atol=1e-5)
        assert np.all(sample.normal[~sky][:, 2] > -0.5)


def test_normals_agree_with_depth() -> None:
    """Differences of reconstructed points lie in the surface the normals describe."""
    size = 192
    scene = compose_scene(np.random.default_rng([5, 1]))
    camera = scene.stage.camera
    places = (np.arange(size) + 0.5) / size
    hits = trace(scene.stage.solids, camera, places)
    sample = create_scene(5, size)
    assert sample.normal is not None
    step = camera.directions(places, places) @ camera.rotation().T * hits.depth[..., None]
    inner = (hits.solid[1:, 1:] == hits.solid[:-1, :-1]) & (hits.solid[1:, 1:] >= 0)
    across = step[1:, 1:][inner] - step[:-1, :-1][inner]
    middle = (sample.normal[1:, 1:] + sample.normal[:-1, :-1])[inner] / 2
    slant = np.einsum("ij,ij->i", across, middle) / np.linalg.norm(across, axis=1)
    assert np.median(np.abs(slant)) < 0.02


def test_keypoints_lie_on_their_person(samples: list[Sample]) -> None:
    hits: list[bool] = []
    for sample in samples:
        assert sample.instances is not None
        numbers = [number for number, thing in enumerate(sample.things, 1) if thing.shape == "person"]
        assert len(numbers) == len(sample.people)
        for number, person in zip(numbers, sample.people, strict=True):
            for x, y, visible in person:
                if visible:
                    hits.append(bool(sample.instances[int(y), int(x)] == number))
    assert len(hits) > 150
    assert np.mean(hits) > 0.93


def test_right_is_on_the_viewers_left_when_facing(samples: list[Sample]) -> None:
    facing = [person for sample in samples for person in sample.people if person[0, 2]]
    assert np.mean([person[2, 0] < person[5, 0] for person in facing]) > 0.8


@pytest.mark.parametrize(
    "solid",
    [
        Ball(np.array((0.0, 1.0, 0.0)), 0.5),
        Box(np.array((0.0, 1.0, 0.0)), np.array((0.4, 0.3, 0.5)), np.eye(3)),
        Frustum(np.array((0.0, 0.6, 0.0)), np.array((0.0, 1.0, 0.0)), 0.9, 0.5, 0.5),
        Frustum(np.array((0.0, 0.6, 0.0)), np.array((0.0, 1.0, 0.0)), 0.9, 0.5, 0.0),
        Limb(np.array((-0.3, 0.8, 0.0)), np.array((0.3, 1.2, 0.2)), 0.2, 0.15),
    ],
    ids=["ball", "box", "cylinder", "cone", "limb"],
)
def test_solids_stay_inside_their_bounds(solid: Solid) -> None:
    """Bounds hold every hit, and are not much larger than what is seen."""
    camera = Camera(np.array((0.3, 1.8, 4.0)), 0.15, 1.2, (0.5, 0.5))
    places = (np.arange(160) + 0.5) / 160
    directions = camera.directions(places, places)
    hit = np.isfinite(solid.hit(camera.position, directions.reshape(-1, 3))).reshape(160, 160)
    rows, columns = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
    seen = np.array((places[columns[0]], places[rows[0]], places[columns[-1]], places[rows[-1]]))
    slack = (np.array(camera.bounds(solid)) - seen) * (-1, -1, 1, 1)
    assert np.all(slack > -1e-9)
    assert np.all(slack < 0.06)
    assert np.array_equal(trace([solid], camera, places).solid == 0, hit)
