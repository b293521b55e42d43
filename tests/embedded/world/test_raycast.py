"""Rays against solids, with distances from geometry and from a search along the ray; cameras; shadows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cnet_app.embedded.world.raycast import Ball, Box, Camera, Frustum, Limb, Solid, Vector, shadowed, trace

UP = np.array((0.0, 1.0, 0.0))
LEANING = np.array((0.6, 0.8, 0.0))
TURNED = np.array(((0.8, 0.0, 0.6), (0.0, 1.0, 0.0), (-0.6, 0.0, 0.8)))
BALL = Ball(np.array((0.2, 1.0, -0.3)), 0.7)
BOX = Box(np.array((0.1, 0.8, 0.2)), np.array((0.6, 0.4, 0.5)), TURNED)
CYLINDER = Frustum(np.array((-0.3, 0.4, 0.0)), LEANING, 1.2, 0.5, 0.5)
CONE = Frustum(np.array((0.0, 0.2, 0.0)), UP, 1.5, 0.8, 0.0)
STUMP = Frustum(np.array((0.0, 0.2, 0.1)), LEANING, 1.0, 0.7, 0.3)
LIMB = Limb(np.array((-0.4, 0.5, 0.0)), np.array((0.5, 1.2, 0.3)), 0.4, 0.2)
CAPSULE = Limb(np.array((-0.4, 0.5, 0.0)), np.array((0.5, 1.2, 0.3)), 0.3, 0.3)
Inside = Callable[[Vector], NDArray[np.bool_]]


def in_ball(centre: Vector, radius: float) -> Inside:
    return lambda point: np.linalg.norm(point - centre, axis=-1) <= radius


def in_box(solid: Box) -> Inside:
    def inside(point: Vector) -> NDArray[np.bool_]:
        x, y, z = np.moveaxis(np.abs((point - solid.centre) @ solid.axes.T) <= solid.half, -1, 0)
        return x & y & z

    return inside


def in_cone(base: Vector, axis: Vector, height: float, radius: float, top_radius: float) -> Inside:
    def inside(point: Vector) -> NDArray[np.bool_]:
        level = (point - base) @ axis
        across = np.linalg.norm(point - base - level[..., None] * axis, axis=-1)
        return (level >= 0) & (level <= height) & (across <= radius + (top_radius - radius) * level / height)

    return inside


def in_limb(limb: Limb) -> Inside:
    span = limb.end - limb.start
    length = float(np.linalg.norm(span))
    parts = (
        in_ball(limb.start, limb.radius),
        in_ball(limb.end, limb.end_radius),
        in_cone(limb.start, span / length, length, limb.radius, limb.end_radius),
    )
    return lambda point: parts[0](point) | parts[1](point) | parts[2](point)


def in_frustum(solid: Frustum) -> Inside:
    return in_cone(solid.base, solid.axis, solid.height, solid.radius, solid.top_radius)


SOLIDS: dict[str, tuple[Solid, Inside]] = {
    "ball": (BALL, in_ball(BALL.centre, BALL.radius)),
    "box": (BOX, in_box(BOX)),
    "cylinder": (CYLINDER, in_frustum(CYLINDER)),
    "cone": (CONE, in_frustum(CONE)),
    "stump": (STUMP, in_frustum(STUMP)),
    "limb": (LIMB, in_limb(LIMB)),
    "capsule": (CAPSULE, in_limb(CAPSULE)),
}
each_solid = pytest.mark.parametrize("name", SOLIDS)


def rays(count: int) -> tuple[Vector, Vector]:
    """Return origins on a sphere of radius 4 and unit directions towards points around the solids."""
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(count, 3))
    origins *= 4 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = rng.uniform((-1.2, -0.5, -1.2), (1.2, 2.2, 1.2), (count, 3)) - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def hits_of(solid: Solid, origins: Vector, directions: Vector) -> NDArray[np.float64]:
    return np.array([solid.hit(o, d[None])[0] for o, d in zip(origins, directions, strict=True)])


def searched(inside: Inside, origins: Vector, directions: Vector) -> NDArray[np.float64]:
    """Return the distance of the first of many points along each ray that is inside, refined by bisection."""
    steps = np.linspace(0, 7, 701)
    found = inside(origins[:, None] + steps[:, None] * directions[:, None])
    high = steps[found.argmax(axis=1)]
    low = high - (steps[1] - steps[0])
    for _ in range(30):
        middle = (low + high) / 2
        here = inside(origins + middle[:, None] * directions)
        low, high = np.where(here, low, middle), np.where(here, middle, high)
    return np.where(found.any(axis=1), high, np.inf)


@each_solid
def test_the_first_hit_is_where_the_ray_enters_the_solid(name: str) -> None:
    solid, inside = SOLIDS[name]
    origins, directions = rays(150)
    distance = hits_of(solid, origins, directions)
    assert 20 < np.isfinite(distance).sum() < 140
    np.testing.assert_allclose(distance, searched(inside, origins, directions), atol=1e-6)


@each_solid
def test_one_direction_from_many_origins_hits_as_each_ray_alone(name: str) -> None:
    solid, _ = SOLIDS[name]
    light = np.array((0.0, 0.9, 0.3))
    origins = np.random.default_rng(1).uniform((-1.2, -0.5, -1.2), (1.2, 2.2, 1.2), (80, 3)) - 4 * light
    together = solid.hit(origins, light)
    assert np.isfinite(together).any()
    np.testing.assert_allclose(together, hits_of(solid, origins, np.tile(light, (80, 1))), atol=1e-9)


@each_solid
def test_a_direction_of_twice_the_length_halves_the_distance(name: str) -> None:
    solid, _ = SOLIDS[name]
    origins, directions = rays(40)
    once = hits_of(solid, origins, directions)
    np.testing.assert_allclose(hits_of(solid, origins, 2 * directions), once / 2, atol=1e-9)


@each_solid
def test_what_lies_behind_the_origin_is_not_hit(name: str) -> None:
    solid, _ = SOLIDS[name]
    origins, directions = rays(60)
    behind = origins + 20 * directions
    assert np.isinf(hits_of(solid, behind, directions)).all()


@each_solid
def test_normals_are_unit_vectors_that_leave_the_solid(name: str) -> None:
    solid, inside = SOLIDS[name]
    origins, directions = rays(150)
    distance = hits_of(solid, origins, directions)
    hit = np.isfinite(distance)
    points = origins[hit] + distance[hit, None] * directions[hit]
    normals = solid.normal(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    assert inside(points - 1e-3 * normals).all()
    assert not inside(points + 1e-3 * normals).any()


@pytest.mark.parametrize("name", [name for name in SOLIDS if name != "limb"])
def test_normals_are_perpendicular_to_the_surface(name: str) -> None:
    """The step between the hits of two nearly equal rays lies in the surface. A limb's normals ignore its taper."""
    solid, _ = SOLIDS[name]
    origins, directions = rays(150)
    sideways = np.cross(directions, UP)
    one, other = hits_of(solid, origins, directions), hits_of(solid, origins, directions + 1e-7 * sideways)
    hit = np.isfinite(one) & np.isfinite(other)
    points = origins[hit] + one[hit, None] * directions[hit]
    step = origins[hit] + other[hit, None] * (directions + 1e-7 * sideways)[hit] - points
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    np.testing.assert_allclose(np.einsum("ij,ij->i", step, solid.normal(points)), 0, atol=1e-4)


@each_solid
def test_the_hull_reaches_as_far_as_the_solid_in_every_direction(name: str) -> None:
    solid, _ = SOLIDS[name]
    origins, directions = rays(300)
    distance = hits_of(solid, origins, directions)
    surface = (origins + distance[:, None] * directions)[np.isfinite(distance)]
    points, radius = solid.hull()
    for direction in directions[:50]:
        reach = (points @ direction).max() + radius
        assert (surface @ direction).max() <= reach + 1e-9
        assert reach < (surface @ direction).max() + 0.35


def test_known_distances() -> None:
    """A ray along an axis through the middle of each solid."""
    ball = Ball(np.array((0.0, 0.0, -5.0)), 2.0)
    box = Box(np.array((0.0, 0.0, -5.0)), np.array((1.0, 2.0, 3.0)), np.eye(3))
    cone = Frustum(np.zeros(3), UP, 2.0, 1.0, 0.0)
    forward, down = np.array([(0.0, 0.0, -1.0)]), np.array([(0.0, -1.0, 0.0)])
    assert ball.hit(np.zeros(3), forward)[0] == pytest.approx(3)
    assert box.hit(np.zeros(3), forward)[0] == pytest.approx(2)
    assert cone.hit(np.array((0.0, 0.5, 3.0)), forward)[0] == pytest.approx(3 - 0.75)
    assert cone.hit(np.array((0.0, 1.5, 3.0)), forward)[0] == pytest.approx(3 - 0.25)
    assert cone.hit(np.array((0.25, 9.0, 0.0)), down)[0] == pytest.approx(9 - 1.5)
    assert CYLINDER.hit(CYLINDER.base + 3 * LEANING, -LEANING[None])[0] == pytest.approx(3 - 1.2)


def test_a_ray_that_passes_by_hits_nothing() -> None:
    ball = Ball(np.array((0.0, 0.0, -5.0)), 2.0)
    aside = np.array([(0.0, 0.0, -1.0)])
    assert np.isinf(ball.hit(np.array((2.001, 0.0, 0.0)), aside)[0])
    assert np.isfinite(ball.hit(np.array((1.999, 0.0, 0.0)), aside)[0])
    assert np.isinf(CONE.hit(np.array((0.0, 1.71, 3.0)), aside)[0])


@pytest.fixture
def camera() -> Camera:
    return Camera(np.array((0.3, 1.8, 4.0)), 0.2, 1.3, (0.45, 0.55))


def test_a_point_along_a_places_direction_is_projected_to_that_place(camera: Camera) -> None:
    columns, rows = np.linspace(0, 1, 5), np.linspace(0, 1, 4)
    directions = camera.directions(columns, rows)
    for depth in (0.5, 3.0, 40.0):
        places = camera.project((camera.position + depth * directions).reshape(-1, 3)).reshape(4, 5, 2)
        np.testing.assert_allclose(places[..., 0], np.broadcast_to(columns, (4, 5)), atol=1e-12)
        np.testing.assert_allclose(places[..., 1], np.broadcast_to(rows[:, None], (4, 5)), atol=1e-12)


def test_directions_have_unit_depth_and_rows_share_their_y_and_z(camera: Camera) -> None:
    columns, rows = np.linspace(-1, 2, 7), np.linspace(0, 1, 3)
    directions = camera.directions(columns, rows)
    np.testing.assert_allclose(directions @ camera.rotation()[2], -1)
    assert np.array_equal(directions[..., 1:], np.broadcast_to(camera.row_directions(rows)[:, None], (3, 7, 2)))


def test_positive_pitch_looks_down_and_the_picture_is_upright(camera: Camera) -> None:
    ahead = camera.directions(np.array([0.45]), np.array([0.55]))[0, 0]
    np.testing.assert_allclose(ahead, (0, -np.sin(0.2), -np.cos(0.2)))
    np.testing.assert_allclose(camera.rotation() @ camera.rotation().T, np.eye(3), atol=1e-12)
    middle, above, right = camera.project(np.array([(0.0, 1, 0), (0.0, 1.5, 0), (0.5, 1, 0)]))
    assert above[1] < middle[1]
    assert right[0] > middle[0]


def test_the_nearer_solid_is_seen_in_whichever_order_they_are_listed(camera: Camera) -> None:
    near, far = Ball(np.array((0.3, 1.0, 1.0)), 0.3), Ball(np.array((0.3, 0.6, -1.5)), 1.2)
    places = (np.arange(40) + 0.5) / 40
    one, other = trace([near, far], camera, places), trace([far, near], camera, places)
    assert np.array_equal(one.depth, other.depth)
    assert np.array_equal(np.where(one.solid < 0, -1, 1 - one.solid), other.solid)
    alone = trace([near], camera, places)
    assert (alone.solid == 0).any()
    assert np.array_equal(one.solid == 0, alone.solid == 0)
    assert np.array_equal(np.isinf(one.depth), one.solid == -1)
    for number, (rows, columns) in enumerate(one.windows):
        outside = one.solid == number
        outside[rows, columns] = False
        assert not outside.any()


def floor_points(side: int) -> NDArray[np.float32]:
    grid = np.linspace(-3, 3, side)
    return np.stack([*np.meshgrid(grid, [0.0], grid, indexing="ij")], axis=-1)[:, 0].astype(np.float32)


def test_a_balls_shadow_is_where_the_line_to_the_light_comes_nearer_than_its_radius() -> None:
    ball, light = Ball(np.array((0.2, 1.2, -0.1)), 0.6), np.array((0.48, 0.8, 0.36))
    points = floor_points(61)
    away = ball.centre - points
    miss = np.linalg.norm(away - (away @ light)[..., None] * light, axis=-1)
    upward = np.broadcast_to(UP.astype(np.float32), points.shape)
    everywhere = np.ones(points.shape[:2], bool)
    dark = shadowed([ball, Ball(np.array((9.0, 1.0, 9.0)), 0.1)], points, upward, everywhere, light)
    clear = np.abs(miss - 0.6) > 0.01
    assert dark.sum() > 100
    assert np.array_equal(dark[clear], (miss < 0.6)[clear])
    assert not shadowed([ball], points, upward, ~everywhere, light).any()


@pytest.mark.parametrize("name", [name for name in SOLIDS if name != "limb"])
def test_a_convex_solid_does_not_shadow_its_own_lit_side(name: str) -> None:
    solid, _ = SOLIDS[name]
    origins, directions = rays(150)
    distance = hits_of(solid, origins, directions)
    points = (origins + distance[:, None] * directions)[np.isfinite(distance)]
    normals, light = solid.normal(points), np.array((0.48, 0.8, 0.36))
    lit = normals @ light > 0.1
    assert lit.sum() > 5
    assert not shadowed([solid], points.astype(np.float32), normals.astype(np.float32), lit, light).any()


def test_a_roof_shadows_what_is_straight_below_it() -> None:
    points = floor_points(21)
    upward = np.broadcast_to(UP.astype(np.float32), points.shape)
    roof = Box(np.array((0.0, 2.0, 0.0)), np.array((1.0, 0.1, 1.0)), np.eye(3))
    covered = (np.abs(points[..., 0]) < 0.99) & (np.abs(points[..., 2]) < 0.99)
    assert np.array_equal(shadowed([roof], points, upward, np.ones(points.shape[:2], bool), UP), covered)
