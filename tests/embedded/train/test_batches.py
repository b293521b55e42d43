"""Batches of the diffusion trainings: which picture, which of its maps, and how the maps vary."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from cnet_app.embedded.train.data.batches import SHARES, draw_batch, having
from cnet_app.embedded.train.data.dataset import COLOUR, GREY, MAPS, Dataset, batches, training_maps
from cnet_app.embedded.train.data.derived import DERIVED
from cnet_app.embedded.world import control_images, create_scene
from tests.embedded.train.tiny import CAPTIONS, random_dataset, random_latents

INDICES = np.array([6, 1, 3])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Pictures of which every map is even in the value of its number, so that a hint names its map."""
    whole = random_dataset()
    maps = {name: np.full_like(pixels, 10 * number + 5) for number, (name, pixels) in enumerate(whole.maps.items())}
    return dataclasses.replace(whole, maps=maps)


def names_of(hints: torch.Tensor) -> list[str]:
    """Return the map of each hint; frayed scribbles have gaps, so that the largest value counts."""
    return [MAPS[int(round(float(hint.max()) * 255) - 5) // 10] for hint in hints]


@pytest.mark.parametrize("condition", MAPS)
def test_one_condition_is_all_that_is_drawn_where_it_is_given(condition: str, dataset: Dataset) -> None:
    batch = draw_batch(
        dataset, random_latents(), INDICES, np.random.default_rng(0), empty_captions=0, condition=condition
    )
    assert names_of(batch.hints) == [condition] * 3
    assert batch.captions == [CAPTIONS[index] for index in INDICES]
    np.testing.assert_array_equal(batch.latents, random_latents()[INDICES].astype(np.float32))


def test_conditions_are_drawn_by_their_shares_of_those_that_a_picture_has(dataset: Dataset) -> None:
    present = np.ones((8, len(MAPS)), bool)
    present[1] = [name in ("canny", "depth") for name in MAPS]
    some = dataclasses.replace(dataset, present=present)

    def drawn(index: int) -> Counter[str]:
        many = np.full(400, index)
        return Counter(
            names_of(draw_batch(some, random_latents(), many, np.random.default_rng(0), empty_captions=0).hints)
        )

    every, two = drawn(0), drawn(1)
    for name, share in SHARES.items():
        assert every[name] / 400 == pytest.approx(share / sum(SHARES.values()), abs=0.06)
    assert set(two) == {"canny", "depth"}
    assert two["canny"] / 400 == pytest.approx(0.2 / 0.34, abs=0.07)


def test_a_derived_condition_is_made_of_the_picture(dataset: Dataset) -> None:
    batch = draw_batch(
        dataset, random_latents(), INDICES, np.random.default_rng(5), empty_captions=1, condition="lineart"
    )
    rng = np.random.default_rng(5)
    expected = np.stack([DERIVED["lineart"](dataset.images[index], rng) for index in INDICES])
    np.testing.assert_array_equal(batch.hints.permute(0, 2, 3, 1), expected)
    assert batch.captions == [""] * 3


def test_every_picture_has_a_derived_condition_and_some_have_a_map(dataset: Dataset) -> None:
    present = np.zeros((8, len(MAPS)), bool)
    present[[2, 7], MAPS.index("openpose")] = True
    some = dataclasses.replace(dataset, present=present)
    assert having(some, "openpose").tolist() == [2, 7]
    assert having(some, "picture").tolist() == list(range(8))


def test_a_grey_map_has_three_equal_channels_and_a_coloured_one_its_own(dataset: Dataset) -> None:
    whole = random_dataset()
    for name in GREY:
        control = whole.control_image(name, 3)
        assert control.shape == (64, 64, 3)
        assert (control == whole.maps[name][3]).all()
    for name in COLOUR:
        assert np.array_equal(whole.control_image(name, 3), whole.maps[name][3])


def test_the_order_of_batches_follows_from_the_seed() -> None:
    def first(seed: int) -> list[list[int]]:
        order = batches(20, 4, seed)
        return [next(order).tolist() for _ in range(10)]

    assert first(1) == first(1) != first(2)
    assert all(len(set(batch)) == 4 for batch in first(1))


def test_a_rest_that_fills_no_batch_waits_for_the_next_epoch() -> None:
    order = batches(10, 4, seed=0)
    epochs = [np.concatenate([next(order), next(order)]) for _ in range(40)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert set(np.concatenate(epochs)) == set(range(10))


def test_half_of_the_line_maps_vary_and_all_others_are_exact() -> None:
    sample = create_scene(3, 64)
    exact = control_images(sample)
    varied: Counter[str] = Counter()
    for seed in range(24):
        maps = training_maps(sample, seed)
        assert maps.keys() == exact.keys()
        for name, pixels in maps.items():
            assert pixels.shape == exact[name].shape
            varied[name] += not np.array_equal(pixels, exact[name])
        assert (maps["scribble"] >= exact["scribble"]).all()
    assert set(+varied) == {"canny", "scribble"}
    assert all(4 <= count <= 18 for count in (+varied).values())
