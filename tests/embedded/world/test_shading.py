"""Light and ground of the four styles: shadows, contact, outlines, skies and floors, on stages of known geometry."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cnet_app.embedded.world import words
from cnet_app.embedded.world.backdrop import HAZE, floor_grid, paint_floor, paint_sky
from cnet_app.embedded.world.raycast import Ball, Camera
from cnet_app.embedded.world.sample import Thing
from cnet_app.embedded.world.shading import _contact, _outline, _shadow, paint  # pyright: ignore[reportPrivateUsage]
from cnet_app.embedded.world.stage import FLOOR, Stage, Surface

PLACES = np.arange(97) / 96
BALL = Ball(np.array((0.0, 0.7, 0.0)), 0.7)
RED = (Thing(shape="ball", colour="red"),)


def stage_of(*balls: Ball, sky: str = "day", floor: str = "plain") -> Stage:
    return Stage(
        solids=list(balls),
        owners=np.arange(1, len(balls) + 1, dtype=np.int16),
        covers=["main"] * len(balls),
        eyes=[],
        eye_radius=0.05,
        camera=Camera(np.array((0.0, 1.6, 5.0)), 0.2, 1.4, (0.5, 0.42)),
        light=np.array((0.48, 0.8, 0.36)),
        sky=sky,
        floor=floor,
        floor_turn=0.3,
        wall=-3.0,
    )


STAGE = stage_of(BALL)
SURFACE = Surface.look(STAGE, PLACES)
ON_BALL, ON_FLOOR = SURFACE.owner == 1, (SURFACE.owner == 0) & (SURFACE.ground == FLOOR)[:, None]


def test_a_ball_is_dark_where_it_is_turned_from_the_light() -> None:
    shadow = _shadow(STAGE, SURFACE, 0)
    facing = SURFACE.normal @ STAGE.light
    clear = ON_BALL & (np.abs(facing) > 0.02)
    assert np.array_equal(shadow[clear] == 1, facing[clear] < 0)


def test_the_floor_is_dark_where_the_ball_stands_before_the_light() -> None:
    shadow = _shadow(STAGE, SURFACE, 0)
    away = BALL.centre - SURFACE.point[ON_FLOOR]
    miss = np.linalg.norm(away - (away @ STAGE.light)[:, None] * STAGE.light, axis=1)
    clear = np.abs(miss - BALL.radius) > 0.02
    assert (shadow[ON_FLOOR] == 1).sum() > 50
    assert np.array_equal(shadow[ON_FLOOR][clear] == 1, miss[clear] < BALL.radius)


@pytest.mark.parametrize("softness", [0.0025, 0.014])
def test_soft_shadows_do_not_cross_between_the_ball_and_the_floor(softness: float) -> None:
    """A place stays lit where its own surface is lit all around, even next to a dark place of the other; so with dark."""
    hard, soft = _shadow(STAGE, SURFACE, 0), _shadow(STAGE, SURFACE, softness)
    assert -1e-6 <= soft.min() <= soft.max() <= 1 + 1e-6
    window = np.ones((13, 13), np.uint8)
    for region in (ON_BALL, SURFACE.owner == 0):
        assert soft[region].mean() == pytest.approx(hard[region].mean(), abs=0.04)
        lit = region & (cv2.dilate(hard * region, window) == 0)
        assert soft[lit].max(initial=0) < 0.02
        dark = region & (cv2.dilate((1 - hard) * region, window) == 0)
        assert soft[dark].min(initial=1) > 0.98


def test_the_sky_is_hidden_most_right_under_a_thing_and_hardly_far_away() -> None:
    contact = _contact(STAGE, SURFACE)
    assert 0 <= contact.min() <= contact.max() <= 1
    assert not contact[: SURFACE.floor_rows.start].any()
    away = np.linalg.norm(SURFACE.point[..., [0, 2]] - BALL.centre[[0, 2]], axis=-1)
    near, middle, far = (
        contact[ON_FLOOR & (away > low) & (away < high)].mean() for low, high in ((0.7, 1.0), (1.4, 1.8), (3.0, 9.0))
    )
    assert near > 2 * middle > 4 * far
    assert far < 0.05


def test_the_outline_of_a_ball_is_its_rim_drawn_on_the_ball() -> None:
    line = _outline(STAGE, SURFACE)
    rim = np.zeros_like(ON_BALL)
    for axis in (0, 1):
        for shift in (-1, 1):
            rim |= ON_BALL & ~np.roll(ON_BALL, shift, axis)
    assert line[rim].all()
    inner = ON_BALL & ~rim
    assert line[inner].mean() < 0.02


def test_of_two_balls_the_nearer_one_has_the_line_between_them() -> None:
    near, far = Ball(np.array((0.3, 0.4, 1.2)), 0.4), Ball(np.array((0.0, 0.8, -0.5)), 0.8)
    surface = Surface.look(stage_of(near, far), PLACES)
    line = _outline(stage_of(near, far), surface)
    for axis in (0, 1):
        meet = (surface.owner == 1) & (np.roll(surface.owner, 1, axis) == 2)
        assert meet.any()
        assert line[meet].all()
    behind = (surface.owner == 2) & (np.roll(surface.owner, 1, 1) == 1) & (np.roll(surface.owner, -1, 1) == 2)
    assert not line[behind].any()


@pytest.mark.parametrize("style", words.STYLES)
def test_a_red_ball_is_red_in_every_style_and_the_same_for_the_same_chance(style: str) -> None:
    stage = stage_of(BALL, sky="night")
    surface = Surface.look(stage, PLACES)
    pictures = [paint(style, stage, surface, RED, np.random.default_rng(seed)) for seed in (1, 1)]
    assert np.array_equal(pictures[0], pictures[1])
    assert pictures[0].shape == (97, 97, 3)
    red, green, blue = pictures[0][ON_BALL].mean(axis=0)
    assert red > 1.5 * max(green, blue)


def test_the_lit_side_is_brighter_than_the_dark_one_where_there_is_light() -> None:
    facing = SURFACE.normal @ STAGE.light
    for style in ("shaded", "flat", "clay"):
        picture = paint(style, STAGE, SURFACE, RED, np.random.default_rng(0))[..., 0]
        assert picture[ON_BALL & (facing > 0.5)].mean() > 1.15 * picture[ON_BALL & (facing < -0.1)].mean()


def test_neon_is_dark_but_for_the_outline() -> None:
    picture = paint("neon", STAGE, SURFACE, RED, np.random.default_rng(0)).max(axis=2)
    line = _outline(STAGE, SURFACE) & ON_BALL
    assert picture[line].min() > 0.85
    assert np.median(picture[ON_BALL]) < 0.5 * picture[line].mean()
    assert np.median(picture) < 0.15


@pytest.mark.parametrize("sky", words.SKIES)
def test_a_sky_has_the_haze_at_the_horizon(sky: str) -> None:
    stage = stage_of(BALL, sky=sky)
    rows = np.linspace(0, stage.horizon(), 200)
    picture = paint_sky(np.random.default_rng(3), stage, rows, 200, flat=False)
    assert picture.shape == (200, 200, 3)
    np.testing.assert_allclose(np.median(picture[-1], axis=0), HAZE[sky], atol=0.08)
    assert picture.min() >= 0
    assert picture.max() <= 1 + 1e-5


def test_a_night_sky_grows_darker_upwards_and_a_day_sky_bluer() -> None:
    rows = np.linspace(0, 0.1, 40)
    night, day = (
        np.median(paint_sky(np.random.default_rng(0), stage_of(BALL, sky=sky), rows, 80, flat=True), axis=1)
        for sky in ("night", "day")
    )
    assert night.max() < 0.5
    assert (day[:, 2] > day[:, 0]).all()
    smooth = np.median(paint_sky(np.random.default_rng(0), stage_of(BALL, sky="night"), rows, 80, flat=False), axis=1)
    assert (np.diff(smooth.sum(axis=1)) >= -1e-6).all()
    assert smooth[0].sum() < smooth[-1].sum()


def test_a_plain_floor_has_one_colour_in_a_row_and_a_checkered_one_two() -> None:
    plain = paint_floor(STAGE, SURFACE)
    assert np.ptp(plain, axis=1).max() < 1e-6
    checkered = paint_floor(stage_of(BALL, floor="checker"), SURFACE)[-6:].reshape(-1, 3)
    grey = checkered.mean(axis=1)
    assert np.ptp(grey) > 0.03
    middle = (grey.max() + grey.min()) / 2
    assert 0.2 < (grey > middle).mean() < 0.8


def test_a_pattern_fades_with_distance() -> None:
    for floor in ("checker", "planks"):
        rows = paint_floor(stage_of(BALL, floor=floor), SURFACE).mean(axis=2)
        assert rows[1].std() < 0.3 * rows[-10:].std()


def test_lines_of_the_neon_floor_lie_on_a_square_grid() -> None:
    """Where a line is full, one of the turned coordinates is close to a multiple of 1.2."""
    grid = floor_grid(STAGE, SURFACE)
    assert 0 <= grid.min() <= grid.max() <= 1
    ground = Surface.look(replace(STAGE, solids=[], owners=np.zeros(0, np.int16)), PLACES).point[SURFACE.floor_rows]
    x, z = ground[..., 0], ground[..., 2]
    cosine, sine = np.cos(STAGE.floor_turn), np.sin(STAGE.floor_turn)
    away = [np.abs(level - 1.2 * np.round(level / 1.2)) for level in (cosine * x + sine * z, cosine * z - sine * x)]
    strong = grid > 0.9 * np.exp(-np.square(SURFACE.ground_depth[SURFACE.floor_rows] / 11))[:, None]
    near = np.minimum(*away)
    last = slice(-20, None)
    assert 0.05 < strong[last].mean() < 0.5
    assert near[last][strong[last]].max() < 0.15
    assert near[last][~strong[last]].min() > 0.02
