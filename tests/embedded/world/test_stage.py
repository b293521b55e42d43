"""The visible surface of a stage, place by place: what is behind the things, how far it is, and where in the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnet_app.embedded.world.raycast import Ball, Box, Camera, Solid
from cnet_app.embedded.world.stage import FLOOR, SKY, WALL, Stage, Surface

PLACES = (np.arange(48) + 0.5) / 48
HEIGHT = 1.6


def stage_of(*solids: Solid, sky: str = "day", pitch: float = 0.25, wall: float = -3.0) -> Stage:
    """Return solids, each a thing of its own, before a camera 5 behind the origin and HEIGHT above the floor."""
    return Stage(
        solids=list(solids),
        owners=np.arange(1, len(solids) + 1, dtype=np.int16),
        covers=["main"] * len(solids),
        eyes=[],
        eye_radius=0.03,
        camera=Camera(np.array((0.2, HEIGHT, 5.0)), pitch, 1.1, (0.5, 0.45)),
        light=np.array((0.48, 0.8, 0.36)),
        sky=sky,
        floor="plain",
        floor_turn=0.3,
        wall=wall,
    )


BALL = Ball(np.array((0.0, 0.7, 0.0)), 0.7)


@pytest.mark.parametrize("pitch", [0.0, 0.1, 0.35])
def test_the_horizon_is_where_the_view_is_level(pitch: float) -> None:
    stage = stage_of(pitch=pitch)
    np.testing.assert_allclose(stage.camera.row_directions(np.array([stage.horizon()]))[0, 0], 0, atol=1e-12)
    far = stage.camera.project(np.array([(0.0, 0.0, -1e7)]))[0]
    assert far[1] == pytest.approx(stage.horizon(), abs=1e-5)


def test_without_a_wall_the_floor_begins_below_the_horizon() -> None:
    stage = stage_of(BALL)
    surface = Surface.look(stage, PLACES)
    below = stage.horizon() < PLACES
    assert 0 < below.sum() < len(PLACES)
    assert np.array_equal(surface.ground, np.where(below, FLOOR, SKY))
    assert np.array_equal(np.isinf(surface.ground_depth), ~below)
    assert np.array_equal(PLACES[surface.floor_rows], PLACES[below])


def test_a_studio_has_a_wall_from_the_floors_far_end_up() -> None:
    surface = Surface.look(stage_of(BALL, sky="studio"), PLACES)
    kinds = surface.ground.tolist()
    wall = kinds.count(WALL)
    assert kinds == [WALL] * wall + [FLOOR] * (len(kinds) - wall)
    assert 0 < wall < len(kinds)
    assert np.isfinite(surface.depth).all()
    bare = surface.owner == 0
    upper, lower = surface.point[:wall][bare[:wall]], surface.point[wall:][bare[wall:]]
    np.testing.assert_allclose(upper[:, 2], -3, atol=1e-5)
    assert (upper[:, 1] > -1e-5).all()
    assert (lower[:, 2] > -3).all()


def test_a_farther_wall_leaves_more_of_the_floor() -> None:
    shares = [
        (Surface.look(stage_of(sky="studio", wall=wall), PLACES).ground == FLOOR).mean() for wall in (0.0, -3.0, -20.0)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_points_lie_on_what_is_seen_and_are_projected_back_to_their_places() -> None:
    stage = stage_of(BALL, Box(np.array((1.1, 0.3, 0.5)), np.array((0.3, 0.3, 0.3)), np.eye(3)))
    surface = Surface.look(stage, PLACES)
    points = surface.point.astype(np.float64)
    on_ball, floor = surface.owner == 1, (surface.owner == 0) & (surface.ground == FLOOR)[:, None]
    assert min(on_ball.sum(), floor.sum(), (surface.owner == 2).sum()) > 20
    np.testing.assert_allclose(np.linalg.norm(points[on_ball] - BALL.centre, axis=1), BALL.radius, atol=1e-5)
    np.testing.assert_allclose(points[floor][:, 1], 0, atol=1e-5)
    seen = np.isfinite(surface.depth)
    rows, columns = np.nonzero(seen)
    np.testing.assert_allclose(
        stage.camera.project(points[seen]), np.stack([PLACES[columns], PLACES[rows]], 1), atol=1e-5
    )
    depth = (points - stage.camera.position) @ -stage.camera.rotation()[2]
    np.testing.assert_allclose(depth[seen], surface.depth[seen], rtol=1e-5)


def test_normals_are_those_of_the_solid_the_floor_and_the_wall() -> None:
    crate = Box(np.array((1.1, 0.3, 0.5)), np.array((0.3, 0.3, 0.3)), np.eye(3))
    surface = Surface.look(stage_of(crate, BALL, sky="studio"), PLACES)
    on_ball, bare = surface.owner == 2, surface.owner == 0
    outward = (surface.point[on_ball] - BALL.centre) / BALL.radius
    np.testing.assert_allclose(surface.normal[on_ball], outward, atol=1e-5)
    assert (surface.normal[bare & (surface.ground == FLOOR)[:, None]] == (0, 1, 0)).all()
    assert (surface.normal[bare & (surface.ground == WALL)[:, None]] == (0, 0, 1)).all()
    sky = Surface.look(stage_of(BALL), PLACES)
    assert (sky.normal[np.isinf(sky.depth)] == 0).all()


def test_solids_of_one_thing_share_its_number() -> None:
    second = Ball(np.array((0.9, 0.4, 0.2)), 0.4)
    stage = replace(stage_of(BALL, second), owners=np.array((7, 7), np.int16))
    surface = Surface.look(stage, PLACES)
    assert set(np.unique(surface.solid)) == {-1, 0, 1}
    assert np.array_equal(surface.owner, np.where(surface.solid >= 0, 7, 0))
