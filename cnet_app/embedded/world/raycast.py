"""Solids, a camera, and the rays between them: vectorised, each solid tested only where it can be seen.

World space: x right, y up, the floor at y = 0, the camera on the positive z side looking towards negative z.
Rays are q + t * d with either one origin and many directions (the camera) or many origins and one direction (the light).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
"""(3,) or (N, 3)."""
Scalars = NDArray[np.float64]
"""(N,)."""
EPSILON = 1e-4


class Solid(Protocol):
    """A body that rays can hit."""

    def hit(self, origin: Vector, direction: Vector) -> Scalars:
        """Return the distance (N,) along each ray to the first hit in front of the origin, infinity for none."""
        ...

    def normal(self, point: Vector) -> Vector:
        """Return outward unit normals (N, 3) at surface points."""
        ...

    def hull(self) -> tuple[Vector, float]:
        """Return points (K, 3) and a radius: the convex hull of balls of that radius around the points contains the solid."""
        ...


@dataclass(frozen=True, eq=False)
class Ball:
    centre: Vector
    radius: float

    def hit(self, origin: Vector, direction: Vector) -> Scalars:
        return _first_root(*_sphere_terms(self.centre - origin, direction, self.radius))

    def normal(self, point: Vector) -> Vector:
        return (point - self.centre) / self.radius

    def hull(self) -> tuple[Vector, float]:
        return self.centre[None], self.radius


@dataclass(frozen=True, eq=False)
class Box:
    centre: Vector
    half: Vector
    """(3,) half edge lengths."""
    axes: Vector
    """(3, 3) unit edge directions, one a row."""

    def hit(self, origin: Vector, direction: Vector) -> Scalars:
        offset, along = (self.centre - origin) @ self.axes.T, direction @ self.axes.T
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        reach = np.sign(along) * self.half
        x, y, z = np.moveaxis((offset - reach) / along, -1, 0)
        enter = np.maximum(np.maximum(x, y), z)
        x, y, z = np.moveaxis((offset + reach) / along, -1, 0)
        leave = np.minimum(np.minimum(x, y), z)
        return np.where((enter < leave) & (enter > EPSILON), enter, np.inf)

    def normal(self, point: Vector) -> Vector:
        local = (point - self.centre) @ self.axes.T / self.half
        side = np.abs(local).argmax(axis=-1)
        return self.axes[side] * np.sign(np.take_along_axis(local, side[:, None], axis=1))

    def hull(self) -> tuple[Vector, float]:
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        return self.centre + (signs * self.half) @ self.axes, 0.0


@dataclass(frozen=True, eq=False)
class Frustum:
    """A cylinder (equal radii) or a cone (top radius 0), closed by discs."""

    base: Vector
    axis: Vector
    """(3,) unit direction from base to top."""
    height: float
    radius: float
    top_radius: float

    def hit(self, origin: Vector, direction: Vector) -> Scalars:
        relative = self.base - origin
        side = _frustum_side(relative, direction, self.axis, self.height, self.radius, self.top_radius)
        along, foot = _dot(direction, self.axis), _dot(relative, self.axis)
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        for level, radius in ((0.0, self.radius), (self.height, self.top_radius)):
            if radius > 0:
                distance = (foot + level) / along
                squared = _squared_miss(relative, direction, distance) - level**2
                side = np.where((distance > EPSILON) & (squared <= radius**2) & (distance < side), distance, side)
        return side

    def normal(self, point: Vector) -> Vector:
        relative = point - self.base
        level = relative @ self.axis
        outward = relative - level[:, None] * self.axis
        radial = np.maximum(np.linalg.norm(outward, axis=1), 1e-9)
        slope = (self.radius - self.top_radius) / self.height
        normal = (outward / radial[:, None] + slope * self.axis) / np.hypot(1.0, slope)
        off_side = np.abs(radial - (self.radius - slope * level)) / np.hypot(1.0, slope)
        for disc_level, direction in ((0.0, -self.axis), (self.height, self.axis)):
            off_disc = np.abs(level - disc_level)
            normal = np.where((off_disc < off_side)[:, None], direction, normal)
            off_side = np.minimum(off_disc, off_side)
        return normal

    def hull(self) -> tuple[Vector, float]:
        one = np.cross(self.axis, (1.0, 0, 0) if abs(self.axis[0]) < 0.9 else (0, 0, 1.0))
        one /= np.linalg.norm(one)
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)[:, None]
        rim = (np.cos(turn) * one + np.sin(turn) * np.cross(self.axis, one)) / np.cos(np.pi / 12)
        top = self.base + self.height * self.axis
        return np.concatenate([self.base + self.radius * rim, top + self.top_radius * rim]), 0.0


@dataclass(frozen=True, eq=False)
class Limb:
    """A capsule whose ends may differ in radius."""

    start: Vector
    end: Vector
    radius: float
    end_radius: float

    def hit(self, origin: Vector, direction: Vector) -> Scalars:
        axis, length = self._axis()
        relative = self.start - origin
        side = _frustum_side(relative, direction, axis, length, self.radius, self.end_radius)
        first = _first_root(*_sphere_terms(relative, direction, self.radius))
        last = _first_root(*_sphere_terms(self.end - origin, direction, self.end_radius))
        return np.minimum(side, np.minimum(first, last))

    def normal(self, point: Vector) -> Vector:
        axis, length = self._axis()
        relative = point - self.start
        level = np.clip(relative @ axis, 0, length)
        normal = relative - level[:, None] * axis
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)

    def hull(self) -> tuple[Vector, float]:
        return np.stack([self.start, self.end]), max(self.radius, self.end_radius)

    def _axis(self) -> tuple[Vector, float]:
        span = self.end - self.start
        length = float(np.linalg.norm(span))
        return span / length, length


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with a shifted lens; lengths on the picture in units of its side."""

    position: Vector
    pitch: float
    """Radians, positive looks down."""
    focal: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)
    """Where the optical axis meets the picture: x to the right, y down, from its top left corner."""

    def rotation(self) -> Vector:
        """Return (3, 3): the camera's right, up and backward directions in the world, one a row."""
        cosine, sine = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])

    def project(self, points: Vector) -> Vector:
        """Project world points (N, 3) to places on the picture (N, 2)."""
        right, up, back = ((points - self.position) @ self.rotation().T).T
        return np.stack([self.centre[0] - self.focal * right / back, self.centre[1] + self.focal * up / back], axis=1)

    def bounds(self, solid: Solid) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of a rectangle on the picture that contains the solid."""
        points, radius = solid.hull()
        right, up, back = ((points - self.position) @ self.rotation().T).T
        depth = np.maximum(-back, radius + 0.05)
        below = depth**2 - radius**2

        def reach(across: Scalars) -> tuple[float, float]:
            spread = radius * np.sqrt(np.maximum(across**2 + below, 0))
            return ((across * depth - spread) / below).min(), ((across * depth + spread) / below).max()

        (left, end), (low, high) = reach(right), reach(up)
        x, y = self.centre
        return x + self.focal * left, y - self.focal * high, x + self.focal * end, y - self.focal * low

    def directions(self, columns: Scalars, rows: Scalars) -> Vector:
        """Return world directions (H, W, 3) of unit depth through the places (column, row) of the picture."""
        grid = np.empty((len(rows), len(columns), 3))
        grid[..., 0] = (columns - self.centre[0]) / self.focal
        grid[..., 1:] = self.row_directions(rows)[:, None]
        return grid

    def row_directions(self, rows: Scalars) -> Vector:
        """Return y and z of the directions through each row, (H, 2); without roll they are constant along a row."""
        up = (self.centre[1] - rows) / self.focal
        return np.stack([up, -np.ones_like(up)], axis=1) @ self.rotation()[1:, 1:]


@dataclass(frozen=True, eq=False)
class Hits:
    """The first hits of a square grid of rays."""

    depth: Scalars
    """(N, N), infinity for nothing."""
    solid: NDArray[np.int16]
    """(N, N) index of the solid, -1 for none."""
    windows: list[tuple[slice, slice]]
    """For every solid, where in the grid it can be."""


def trace(solids: list[Solid], camera: Camera, places: Scalars) -> Hits:
    """Return the first hits through a square grid of `places` (N ascending, in picture sides) along both axes."""
    depth = np.full((len(places), len(places)), np.inf)
    index = np.full(depth.shape, -1, np.int16)
    windows: list[tuple[slice, slice]] = []
    for number, solid in enumerate(solids):
        left, top, right, bottom = camera.bounds(solid)
        columns, rows = slice(*np.searchsorted(places, (left, right))), slice(*np.searchsorted(places, (top, bottom)))
        windows.append((rows, columns))
        seen = depth[rows, columns]
        if seen.size:
            directions = camera.directions(places[columns], places[rows]).reshape(-1, 3)
            distance = solid.hit(camera.position, directions).reshape(seen.shape)
            index[rows, columns][distance < seen] = number
            np.minimum(seen, distance, out=seen)
    return Hits(depth, index, windows)


def shadowed(
    solids: list[Solid],
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    asked: NDArray[np.bool_],
    light: Vector,
) -> NDArray[np.bool_]:
    """Return whether a solid lies between a surface's points (..., 3) and a far light in direction `light` (3,).

    Only where `asked` (...); elsewhere False.
    """
    one = np.cross(light, (0.0, 0.0, 1.0))
    one /= np.linalg.norm(one)
    plane = np.stack([one, np.cross(light, one)])
    hulls = [(hull @ plane.T, radius) for hull, radius in (solid.hull() for solid in solids)]
    boxes = np.array([(*(hull.min(axis=0) - radius), *(hull.max(axis=0) + radius)) for hull, radius in hulls])
    first, second = (points.reshape(-1, 3) @ axis.astype(np.float32) for axis in plane)
    (left, low), (right, high) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    inside = (first > left) & (first < right) & (second > low) & (second < high) & asked.reshape(-1)
    chosen = np.flatnonzero(inside)
    first, second = first[chosen], second[chosen]
    origins = points.reshape(-1, 3)[chosen].astype(np.float64) + 2e-3 * normals.reshape(-1, 3)[chosen]
    dark = np.zeros(len(chosen), bool)
    for solid, (left, low, right, high) in zip(solids, boxes, strict=True):
        near = np.flatnonzero((first > left) & (first < right) & (second > low) & (second < high) & ~dark)
        if len(near):
            dark[near] = np.isfinite(solid.hit(origins[near], light))
    full = np.zeros(inside.shape, bool)
    full[chosen[dark]] = True
    return full.reshape(asked.shape)


def _dot(one: Vector, other: Vector) -> Scalars:
    """Return inner products of (3,) with (3,) or (N, 3), in either order."""
    return other @ one if one.ndim == 1 else one @ other


def _sphere_terms(relative: Vector, direction: Vector, radius: float) -> tuple[Scalars, Scalars, Scalars]:
    length = np.einsum("...i,...i->...", direction, direction)
    distance = np.einsum("...i,...i->...", relative, relative)
    return length, _dot(direction, relative), distance - radius**2


def _first_root(a: Scalars, b: Scalars, c: Scalars) -> Scalars:
    """Return the smaller t with a t^2 - 2 b t + c = 0 for a > 0, infinity where there is none in front."""
    inside = b * b - a * c
    root = (b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside > 0) & (root > EPSILON), root, np.inf)


def _frustum_side(
    relative: Vector, direction: Vector, axis: Vector, height: float, radius: float, top_radius: float
) -> Scalars:
    """Return the distance to the open side of a (truncated) cone: |across the axis| = radius - slope * level."""
    slope = (radius - top_radius) / height
    length, towards, distance = _sphere_terms(relative, direction, 0.0)
    along, foot = _dot(direction, axis), _dot(relative, axis)
    reach = radius + slope * foot
    a = length - along * along * (1 + slope**2)
    a = np.where(np.abs(a) < 1e-12, 1e-12, a)
    b = towards - along * foot - reach * slope * along
    c = distance - foot * foot - reach * reach
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    best = np.full(np.shape(inside), np.inf)
    for candidate in ((b - root) / a, (b + root) / a):
        level = candidate * along - foot
        good = (inside > 0) & (candidate > EPSILON) & (level >= 0) & (level <= height) & (candidate < best)
        best = np.where(good, candidate, best)
    return best


def _squared_miss(relative: Vector, direction: Vector, distance: Scalars) -> Scalars:
    """Return the squared distance from the ray's point at `distance` to the place `relative` to its origin."""
    length, towards, far = _sphere_terms(relative, direction, 0.0)
    return length * distance * distance - 2 * towards * distance + far
