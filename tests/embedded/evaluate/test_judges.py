"""The report's classifiers and scores on data whose answer is known, and the layout of its sheets."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from skimage.metrics import peak_signal_noise_ratio

from cnet_app.embedded.evaluate.annotators import annotators_table
from cnet_app.embedded.evaluate.embedded import autoencoder_scores
from cnet_app.embedded.evaluate.sheets import CELL, GAP, sheet
from cnet_app.embedded.evaluate.words import NEIGHBOURS, Nearest, Regression, colours_right, named_colour, sky_features
from cnet_app.embedded.world import Sample, create_scene
from cnet_app.embedded.world.words import COLOURS

Rows = NDArray[np.float64]


def clusters(seed: int, spread: float = 0.3) -> tuple[list[Rows], list[str]]:
    """Return points around three corners of a triangle, and the name of each."""
    rng = np.random.default_rng(seed)
    corners = {"left": (0.0, 0.0), "right": (4.0, 0.0), "top": (2.0, 4.0)}
    names = [name for name in corners for _ in range(12)]
    return [rng.normal(corners[name], spread) for name in names], names


def test_the_commonest_name_of_the_nearest_is_given() -> None:
    features, names = clusters(0)
    judge = Nearest(features, names)
    others, truth = clusters(1)
    assert [judge.name(point) for point in others] == truth


def test_neighbours_are_nearest_in_units_of_the_spread_within_a_name() -> None:
    """The second feature is a thousand times larger and says nothing."""
    rng = np.random.default_rng(0)
    names = ["low", "high"] * 20
    features = [np.array((float(name == "high"), 0.0)) + rng.normal(0, (0.1, 1000.0)) for name in names]
    judge = Nearest(features, names)
    assert [judge.name(np.array((0.05, 900.0))), judge.name(np.array((0.95, -900.0)))] == ["low", "high"]


def test_with_an_even_spread_they_are_the_nearest_by_the_plain_distance() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(400, 2))
    names = [str(number % 4) for number in range(400)]
    judge, places = Nearest(list(table), names), rng.normal(size=(30, 2))
    order = np.argsort(cdist(places, table), axis=1)[:, :NEIGHBOURS]
    agree = [judge.name(place) in {names[i] for i in row} for place, row in zip(places, order, strict=True)]
    assert np.mean(agree) > 0.9


def test_a_regression_separates_what_a_line_cannot() -> None:
    """Products of features are features too: the quadrants of the plane, as exclusive or."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (120, 2))
    names = ["same" if x * y > 0 else "other" for x, y in points]
    judge = Regression(list(points), names)
    unseen = rng.uniform(-1, 1, (60, 2))
    clear = unseen[np.abs(unseen.prod(axis=1)) > 0.05]
    assert [judge.name(point) for point in clear] == ["same" if x * y > 0 else "other" for x, y in clear]


def test_a_regression_does_not_depend_on_the_scale_or_order_of_its_data() -> None:
    features, names = clusters(0, spread=1.5)
    judge = Regression(features, names)
    scaled = Regression([1000 * point - 7 for point in features[::-1]], names[::-1])
    others, _ = clusters(1, spread=1.5)
    same = [judge.name(point) == scaled.name(1000 * point - 7) for point in others]
    assert np.mean(same) > 0.95


@pytest.fixture(scope="module")
def scene() -> Sample:
    """A flat scene with a thing that is large enough to have a core."""
    return next(sample for sample in (create_scene(seed, 64) for seed in range(50)) if sample.style == "flat")


def test_a_hue_is_named_around_the_circle_and_pale_pixels_hardly_count() -> None:
    image = np.full((4, 4, 3), (95, 90, 100), np.uint8)
    image[0, 0] = (200, 20, 10)  # its hue lies just above 0, that of the named red just below the full circle
    assert named_colour(image, np.ones((4, 4), bool)) == "red"
    image[0, 0] = COLOURS["cyan"]
    assert named_colour(image, np.ones((4, 4), bool)) == "cyan"


def test_every_thing_is_judged_by_its_own_colour(scene: Sample) -> None:
    assert scene.instances is not None
    painted = scene.image.copy()
    for number, thing in enumerate(scene.things, 1):
        painted[scene.instances == number] = COLOURS[thing.colour]
    assert colours_right(painted, scene) == [True] * len(scene.things)
    first = next(name for name in COLOURS if name != scene.things[0].colour)
    painted[scene.instances == 1] = COLOURS[first]
    assert colours_right(painted, scene) == [False] + [True] * (len(scene.things) - 1)


def test_a_thing_that_is_not_there_has_no_colour(scene: Sample) -> None:
    assert scene.instances is not None
    gone = dataclasses.replace(scene, instances=np.zeros_like(scene.instances))
    assert colours_right(scene.image, gone) == [False] * len(scene.things)


def test_features_of_a_sky_are_its_mean_and_spread_alone(scene: Sample) -> None:
    assert scene.segmentation is not None
    sky = np.isin(scene.segmentation, (0, 2))
    grey = np.full_like(scene.image, 30)
    grey[sky] = 128
    means, spreads = np.split(sky_features(grey, scene), 2)
    assert means == pytest.approx((137, 128, 128), abs=1)
    assert spreads == pytest.approx((0, 0, 0))
    grey[~sky] = 250
    assert np.array_equal(sky_features(grey, scene)[:3], means)


def test_an_autoencoder_that_changes_nothing_is_right_and_its_ratio_finite(scene: Sample) -> None:
    exact = autoencoder_scores(scene, scene.image)
    assert exact["edge_f1"] == 1
    assert math.isfinite(exact["psnr"])
    noise = np.random.default_rng(0).integers(-9, 10, scene.image.shape)
    noisy = np.clip(scene.image + noise, 0, 255).astype(np.uint8)
    scores = autoencoder_scores(scene, noisy)
    assert scores["psnr"] == pytest.approx(peak_signal_noise_ratio(scene.image, noisy))
    assert scores["psnr"] < exact["psnr"]


def test_a_sheet_has_a_cell_a_picture_and_white_gaps() -> None:
    red, blue = np.zeros((40, 40, 3), np.uint8), np.zeros((80, 80, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    page = sheet([[red, blue, red], [blue]])
    assert page.shape == (2 * CELL + 3 * GAP, 3 * CELL + 4 * GAP, 3)
    white = (page == 255).all(axis=2)
    assert white[:GAP].all()
    assert white[:, :GAP].all()
    assert white[GAP + CELL : 2 * GAP + CELL].all()
    assert not white[GAP : GAP + CELL, GAP : GAP + CELL].any()
    middle = GAP + CELL // 2
    step = CELL + GAP
    assert page[middle, middle].tolist() == page[middle, middle + 2 * step].tolist() == [255, 0, 0]
    assert page[middle, middle + step].tolist() == page[middle + step, middle].tolist() == [0, 0, 255]
    assert white[middle + step, middle + step]


def test_the_annotators_table_has_a_row_a_score() -> None:
    row = {"condition": "depth", "annotator": "depth_embedded", "measure": "RMSE", "scenes": 4, "score": 0.12345}
    lines = annotators_table([row, row | {"annotator": "other", "score": 1.0}], 128).splitlines()
    assert lines[0] == "Held-out scenes, 128 px."
    assert lines[-2:] == [
        "| depth | depth_embedded | 4 | RMSE | 0.123 |", "| depth | other | 4 | RMSE | 1.000 |",
    ]  # fmt: skip
    assert {line.count("|") for line in lines[2:]} == {6}
