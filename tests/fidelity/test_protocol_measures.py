"""The strict forms agree with torchmetrics, and with the formulas of published protocols, on synthetic maps."""

from __future__ import annotations

import warnings
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from annotators.base import Image
from annotators.maps.encoders import encode_segmentation, lines
from cnet_app.fidelity.measures import (
    BODY_SHARE,
    LEAST_SIDE,
    class_iou,
    class_overlaps,
    colour_difference,
    edge_f1_strict,
    grey_rmse,
    ms_ssim_strict,
    oks,
    people_oks,
)
from models.errors import InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchmetrics.classification import BinaryF1Score, MulticlassJaccardIndex
    from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

SEEDS = pytest.mark.parametrize("seed", range(3))


def soft_map(seed: int, height: int = 192, width: int = 208) -> Image:
    """Return grey blobs."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return lines(cv2.normalize(smooth, smooth, 0, 255, cv2.NORM_MINMAX))


def label_map(seed: int, classes: int = 6) -> NDArray[np.int64]:
    """Return (64, 80) class numbers; -1 is no class."""
    return np.random.default_rng(seed).integers(-1, classes, (8, 10)).repeat(8, 0).repeat(8, 1)


def tensor(image: Image) -> torch.Tensor:
    """Return (1, 1, H, W) in [0, 1] of a grey map."""
    return torch.from_numpy(image[None, None, ..., 0].astype(np.float32) / 255)


@SEEDS
def test_f1_without_tolerance_is_that_of_the_flattened_pixels(seed: int) -> None:
    one, other = soft_map(seed), soft_map(seed + 10)
    expected = BinaryF1Score()(
        torch.from_numpy(other[..., 0] > 127).flatten(), torch.from_numpy(one[..., 0] > 127).flatten()
    )
    assert edge_f1_strict(one, other) == pytest.approx(float(expected), abs=1e-4)


def test_f1_of_empty_maps_is_nought_as_in_the_protocol() -> None:
    empty = np.zeros((16, 16, 3), np.uint8)
    assert edge_f1_strict(empty, empty) == 0.0 == float(BinaryF1Score()(torch.zeros(9), torch.zeros(9)))


@SEEDS
@pytest.mark.parametrize("size", [(192, 208), (256, 256), (181, 203)])
def test_strict_similarity_is_that_of_torchmetrics(seed: int, size: tuple[int, int]) -> None:
    one = soft_map(seed, *size)
    other = cv2.addWeighted(one, 0.7, soft_map(seed + 10, *size), 0.3, 0).astype(np.uint8)
    metric = MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0)
    assert ms_ssim_strict(one, other) == pytest.approx(float(metric(tensor(other), tensor(one))), abs=1e-4)


def test_strict_similarity_refuses_maps_that_are_too_small() -> None:
    small = soft_map(0, LEAST_SIDE - 1, 200)
    with pytest.raises(InputError, match=f"at least {LEAST_SIDE} px, but the picture has 200x175"):
        ms_ssim_strict(small, small)
    enough = soft_map(0, LEAST_SIDE, 200)
    assert ms_ssim_strict(enough, enough) == pytest.approx(1.0)


@SEEDS
def test_grey_error_is_that_of_8_bit_grey_levels(seed: int) -> None:
    one, other = soft_map(seed), soft_map(seed + 10)
    expected = torch.sqrt(torch.nn.functional.mse_loss(tensor(one).double() * 255, tensor(other).double() * 255))
    assert grey_rmse(one, other) == pytest.approx(float(expected), abs=1e-4)


@SEEDS
def test_overlap_of_classes_is_that_of_torchmetrics(seed: int) -> None:
    wanted, got = label_map(seed), label_map(seed + 10).clip(0)
    metric = MulticlassJaccardIndex(6, ignore_index=-1)
    expected = metric(torch.from_numpy(got), torch.from_numpy(wanted))
    assert class_iou(encode_segmentation(wanted), encode_segmentation(got)) == pytest.approx(float(expected), abs=1e-4)


def test_overlaps_count_pixels_that_have_a_class_and_refuse_a_map_without() -> None:
    wanted, got = np.full((4, 4), -1), np.zeros((4, 4), np.int64)
    with pytest.raises(InputError, match="black, which is no class"):
        class_overlaps(encode_segmentation(wanted), encode_segmentation(got))
    wanted[:2] = 0
    wanted[0] = 2
    overlaps = class_overlaps(encode_segmentation(wanted), encode_segmentation(got))
    assert sorted(overlaps.values()) == [(0, 4), (4, 8)]


def test_colours_differ_as_in_lab() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert colour_difference(black, white) == pytest.approx(100, abs=0.1)
    green, blue = black + np.array((0, 255, 0), np.uint8), black + np.array((0, 0, 255), np.uint8)
    assert colour_difference(green, blue) == pytest.approx(258.7, abs=0.5)


def person(shift: Any = 0.0) -> NDArray[np.float64]:
    """Return 18 joints over 100 x 100 px."""
    joints = np.ones((18, 3))
    joints[:, 0], joints[:, 1] = np.linspace(0, 100, 18) + shift, np.linspace(0, 100, 18)
    return joints


def test_keypoint_similarity_falls_by_the_formula_and_takes_the_best_match() -> None:
    assert oks(person(), [person()]) == pytest.approx(1.0)
    wanted = person()
    wanted[1:, 2] = 0
    wanted[4] = (100, 100, 1)  # the box spans nose and wrist
    area, moved = BODY_SHARE * 100 * 100, person(5.0)
    moved[4] = (105, 100, 1)
    expected = np.mean([np.exp(-25 / (2 * area * (2 * sigma) ** 2)) for sigma in (0.026, 0.062)])
    assert oks(wanted, [person(60.0), moved]) == pytest.approx(expected)
    assert people_oks([wanted, person()], [person()]) < 1.0
    moved[0, 2] = 0
    assert oks(wanted, [moved]) < expected
    assert oks(wanted, []) == 0.0
    neck = person()
    neck[[0, *range(2, 18)], 2] = 0
    assert oks(neck, []) == 1.0
    with pytest.raises(ValueError, match="at least one person"):
        people_oks([], [])
