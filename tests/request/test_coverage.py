"""Coverage in exact numbers, its picture in exact colours, and the hint about layers that fight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnet_app.registry.modes import MODES, SD_PLACES
from cnet_app.request.coverage import (
    BRIGHT_LINE,
    DARK_LINE,
    RED,
    RED_STRIPE,
    VIOLET,
    VIOLET_STRIPE,
    coverage,
    coverage_picture,
    fighting,
)
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit

BLACK = np.zeros((64, 64, 3), np.uint8)
HALF = BLACK.copy()
HALF[:, 32:] = 255


def unit(**values: Any) -> ControlUnit:
    return ControlUnit(condition="canny", control_image=encode_png(BLACK), **values)


def even(*units: ControlUnit, steps: int = 20, **options: Any) -> float:
    """The coverage where it is the same everywhere."""
    found = coverage(units, 48, 32, steps, **options)
    assert found.shape == (32, 48)
    assert found.dtype == np.float32
    assert (found == found[0, 0]).all()
    return float(found[0, 0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 1.0),
        ({"conditioning_scale": 0.5}, 0.5),
        ({"conditioning_scale": 0}, 0.0),
        ({"control_guidance_end": 0.5}, 0.5),
        ({"control_guidance_start": 0.25, "control_guidance_end": 0.5}, 0.25),
        ({"control_guidance_end": 0.52}, 0.5),  # a step runs whole or not at all
        ({"strength_curve": ((0, 2), (1, 2))}, 2.0),
        ({"strength_curve": ((0, 0), (0.95, 1.9))}, 0.95),  # 0, 0.1, … 1.9 over twenty steps
        ({"strength_curve": ((0, 2), (1, 2)), "control_guidance_end": 0.5}, 1.0),
        ({"depth_curve": ((0, 0), (1, 1))}, 0.5),
        ({"depth_curve": ((0, 0.5), (1, 0.5)), "conditioning_scale": 0.5}, 0.25),
        ({"control_mode": "unbalanced"}, 1.0),
        ({"control_mode": "cfg_resolution"}, 53 / 13),
        ({"control_mode": "cfg_resolution_normalised"}, 53 / 13 / 8),
        ({"control_mode": "prompt"}, sum(0.825**i for i in range(13)) / 13),
        ({"control_mode": "custom", "block_weights": (1.0, 0.5, 0.0)}, 0.5),
        ({"control_mode": "custom", "block_weights": (1.0, 0.5, 0.0), "depth_curve": ((0, 2), (1, 0))}, 2.5 / 3),
        ({"weight_map": encode_png(BLACK + 128)}, 0.0),
        ({"weight_map": encode_png(BLACK + 255), "conditioning_scale": 1.5}, 1.5),
        ({"weight_map": encode_png(BLACK + 1)}, -1.0),
    ],
)
def test_coverage_is_the_product_of_a_units_settings(values: dict[str, Any], expected: float) -> None:
    assert even(unit(**values)) == pytest.approx(expected, rel=1e-6)


def test_guess_mode_is_every_units_mode() -> None:
    soft = sum(MODES["control"].weights(SD_PLACES)) / 13
    assert even(unit(), unit(control_mode="custom", block_weights=(1.0,)), guess_mode=True) == pytest.approx(2 * soft)


def test_units_add_up_where_they_are() -> None:
    masked = unit(mask=encode_png(HALF), conditioning_scale=0.5)
    away = unit(weight_map=encode_png(np.where(HALF > 0, 128, 1).astype(np.uint8)))
    found = coverage([unit(), masked, away], 64, 64, 20)
    assert (found[:, :32] == 0.0).all()
    assert (found[:, 32:] == 1.5).all()
    assert (coverage([], 64, 32, 20) == 0).all()


def test_coverage_follows_a_feathered_mask() -> None:
    found = coverage([unit(mask=encode_png(HALF), mask_feather=4)], 64, 64, 20)
    row = found[32]
    assert (row[:10] == 0).all() and (row[-10:] == 1).all()
    assert (np.diff(row) >= 0).all()
    assert 0.4 < row[31] < 0.5 < row[32] < 0.6


def colours(*values: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The colour of each value alone."""
    return np.array([coverage_picture(np.full((1, 1), value, np.float32))[0, 0] for value in values])


def test_the_scale_runs_from_grey_to_dark_blue() -> None:
    assert colours(0.0, 0.5, 1.0, 1.5).tolist() == [[238, 238, 238], [119, 176, 208], [0, 114, 178], [0, 52, 92]]
    brightness = colours(*np.linspace(0, 1.5, 31)) @ (0.299, 0.587, 0.114)
    assert (np.diff(brightness) < 0).all()  # readable without colours


@pytest.mark.parametrize(
    ("value", "colour", "stripe", "slope"), [(1.51, RED, RED_STRIPE, 1), (-0.01, VIOLET, VIOLET_STRIPE, -1)]
)
def test_too_much_and_too_little_have_stripes(
    value: float, colour: tuple[int, ...], stripe: tuple[int, ...], slope: int
) -> None:
    picture = coverage_picture(np.full((16, 24), value, np.float32))
    for row in range(16):
        for column in range(24):
            on_stripe = (row + slope * column) % 8 < 2
            assert tuple(picture[row, column]) == (stripe if on_stripe else colour)


def test_contours_lie_where_a_level_is_reached() -> None:
    values = np.repeat(np.array([0.1, 0.3, 0.6, 0.8, 1.2], np.float32), 6)[None].repeat(4, axis=0)
    picture = coverage_picture(values)
    assert picture.shape == (4, 30, 3)
    lines = [tuple(picture[2, column]) for column in (6, 12, 18, 24, 25)]
    assert lines == [DARK_LINE, DARK_LINE, BRIGHT_LINE, BRIGHT_LINE, BRIGHT_LINE]
    others = [column for column in range(30) if column not in (6, 12, 18, 24, 25)]
    plain = {tuple(colour) for colour in colours(0.1, 0.3, 0.6, 0.8, 1.2).tolist()}
    assert {tuple(colour) for colour in picture[2, others].tolist()} == plain


@pytest.mark.parametrize(
    ("norms", "start"),
    [
        ((), None),
        (((5.0, 5.0),), None),
        (((3.0, 4.0), (4.0, 3.0)), None),
        (((3.0, 4.0), (1.0, 1.4)), None),  # 2.9 times
        (((3.0, 4.0), (0.6, 0.8)), "Layer 1 adds 5.0 times as much as layer 2 and drowns it; lower the strength of layer 1"),
        (((1.0,), (2.0,), (7.0,)), "Layer 3 adds 7.0 times as much as layer 1"),
        (((3.0,), (1.0,)), None),
        (((3.0,), (0.0,)), "Layer 2 adds nothing, and layer 1 decides alone"),
        (((0.0,), (0.0,)), None),
        (((1.0,), (1.0,), (1.0,)), "3 layers push at once, together 1.7 times as hard as the strongest; lower each"),
        (((2.0,), (2.0,), (1.0,)), None),  # 1.5 times
        (((2.0,), (2.0,), (2.0,), (0.9,)), None),  # one is not strong
    ],
)  # fmt: skip
def test_a_hint_where_layers_fight(norms: tuple[tuple[float, ...], ...], start: str | None) -> None:
    found = fighting(norms)
    assert (found is None) if start is None else (found or "").startswith(start)
