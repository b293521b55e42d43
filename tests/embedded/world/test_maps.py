"""Control images of the world: which there are, and that they show what the picture shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from cnet_app.embedded.world import control_images, create_poster, create_sample, create_scene
from cnet_app.embedded.world.write import write_world
from cnet_app.registry.conditions import CONDITIONS

LINES = {"canny", "softedge", "scribble"}
GEOMETRY = {"depth", "normal", "segmentation"}
SIZE = 64


def _with_person() -> int:
    return next(seed for seed in range(50) if create_scene(seed, 16).people)


def test_posters_have_lines_and_scenes_have_geometry_too() -> None:
    person = _with_person()
    bare = next(seed for seed in range(50) if not create_scene(seed, 16).people)
    assert set(control_images(create_poster(0, SIZE))) == LINES
    assert set(control_images(create_scene(bare, SIZE))) == LINES | GEOMETRY
    assert set(control_images(create_scene(person, SIZE))) == LINES | GEOMETRY | {"openpose"}
    assert LINES | GEOMETRY | {"openpose"} <= {condition.id for condition in CONDITIONS}


def test_maps_are_pictures_of_the_same_size() -> None:
    for name, control_image in control_images(create_scene(_with_person(), SIZE)).items():
        assert control_image.shape == (SIZE, SIZE, 3), name
        assert control_image.dtype == np.uint8, name
        assert control_image.max() > 200, name


def test_a_person_is_painted_as_a_person_and_the_pose_lies_on_it() -> None:
    maps = control_images(create_scene(_with_person(), 128))
    person = (maps["segmentation"] == ADE20K_PALETTE[ADE20K_CLASSES.index("person")]).all(axis=2)
    assert person.mean() > 0.05
    drawn = maps["openpose"].any(axis=2)
    assert drawn.any()
    assert (drawn & person).sum() > 0.7 * drawn.sum()


def test_edges_of_a_flat_thing_are_where_its_mask_ends() -> None:
    seed = next(seed for seed in range(50) if create_scene(seed, 16).style == "flat")
    sample = create_scene(seed, 128)
    assert sample.instances is not None
    border = np.abs(np.diff(sample.instances.astype(int), axis=1)) > 0
    canny = control_images(sample)["canny"][..., 0] > 0
    near = np.zeros_like(canny)
    for row in range(-3, 4):
        for column in range(-3, 4):
            near |= np.roll(canny, (row, column), (0, 1))
    assert near[:, 1:][border].mean() > 0.9


def test_three_in_five_are_scenes() -> None:
    kinds = [create_sample(seed, 32).depth is not None for seed in range(10)]
    assert sum(kinds) == 6


def test_the_world_on_disk(tmp_path: Path) -> None:
    pictures = write_world(2, 3, tmp_path / "new" / "world", 32)
    lines = [json.loads(line) for line in (tmp_path / "new" / "world" / "captions.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [picture.name for picture in pictures]
    for line, picture in zip(lines, pictures, strict=True):
        assert np.array_equal(np.asarray(PillowImage.open(picture)), create_sample(line["seed"], 32).image)
        assert line["caption"] == create_sample(line["seed"], 32).caption
        for condition in line["conditions"]:
            assert PillowImage.open(picture.with_suffix(f".{condition}.png")).size == (32, 32)
