"""A stage has everything of a scene that can be visible; a surface is its visible part, place by place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnet_app.embedded.world.raycast import Camera, Solid, Vector, trace

SKY, FLOOR, WALL = 0, 1, 2
"""Kinds of ground behind the things."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """Solids on a floor at height 0, in front of a sky or of a studio's wall."""

    solids: list[Solid]
    owners: NDArray[np.int16]
    """(solids,) number of the thing a solid belongs to, from 1."""
    covers: list[str]
    """Cover of each solid: "main", "skin", "hair" or "shoe"."""
    eyes: list[Vector]
    """Places of painted eyes."""
    eye_radius: float
    camera: Camera
    light: Vector
    """(3,) unit direction towards the light."""
    sky: str
    floor: str
    """ "checker", "plain" or "planks"."""
    floor_turn: float
    """Radians the floor's pattern is turned by."""
    wall: float
    """Place of the studio's wall (world z)."""

    def horizon(self) -> float:
        """The height on the picture at which an endless floor would end, in picture sides from the top."""
        return float(self.camera.centre[1] - self.camera.focal * np.tan(self.camera.pitch))


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """Arrays over a square grid of (N, N) places."""

    places: NDArray[np.float64]
    depth: NDArray[np.float32]
    """Distance along the camera's axis, infinity in the sky."""
    solid: NDArray[np.int16]
    """Index of the solid, -1 for none."""
    owner: NDArray[np.int16]
    """Number of the thing, 0 for none."""
    ground: NDArray[np.uint8]
    """(N,) SKY, FLOOR or WALL behind the things in each row."""
    ground_depth: NDArray[np.float32]
    """(N,) its depth."""
    point: NDArray[np.float32]
    """(N, N, 3) in the world; unset in the sky."""
    normal: NDArray[np.float32]
    """(N, N, 3) unit normals in the world, zero in the sky."""

    @classmethod
    def look(cls, stage: Stage, places: NDArray[np.float64]) -> Surface:
        hits = trace(stage.solids, stage.camera, places)
        ground, ground_depth = _behind(stage, places)
        depth = np.where(hits.solid < 0, ground_depth[:, None], hits.depth).astype(np.float32)
        owner = np.concatenate([stage.owners, np.zeros(1, np.int16)])[hits.solid]
        camera, side = stage.camera, len(places)
        reach = np.where(np.isfinite(depth), depth, np.float32(0))
        point = np.empty((side, side, 3), np.float32)
        across = ((places - camera.centre[0]) / camera.focal).astype(np.float32)
        down = camera.row_directions(places).astype(np.float32)[:, :, None]
        for axis, direction in enumerate((across, down[:, 0], down[:, 1])):
            np.multiply(reach, direction, out=point[..., axis])
            point[..., axis] += np.float32(camera.position[axis])
        up_or_back = np.array([(0, 0, 0), (0, 1, 0), (0, 0, 1)], np.float32)[ground]
        normal = np.empty_like(point)
        for axis in range(3):
            normal[..., axis] = up_or_back[:, axis, None]
        for number, (one, window) in enumerate(zip(stage.solids, hits.windows, strict=True)):
            here = hits.solid[window] == number
            if here.any():
                normal[window][here] = one.normal(point[window][here].astype(np.float64))
        return cls(
            places=places,
            depth=depth,
            solid=hits.solid,
            owner=owner,
            ground=ground,
            ground_depth=ground_depth.astype(np.float32),
            point=point,
            normal=normal,
        )

    @property
    def floor_rows(self) -> slice:
        """The rows with the floor behind the things: all from the first one down."""
        return slice(int(np.searchsorted(self.ground == FLOOR, True)), None)


def _behind(stage: Stage, places: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return SKY, FLOOR or WALL for each row, and its depth."""
    slope, ahead = stage.camera.row_directions(places).T
    below = slope < -1e-6
    depth = np.where(below, -stage.camera.position[1] / np.where(below, slope, -1), np.inf)
    ground = np.where(below, FLOOR, SKY).astype(np.uint8)
    if stage.sky == "studio":
        wall = (stage.wall - stage.camera.position[2]) / ahead
        ground = np.where(wall < depth, WALL, ground).astype(np.uint8)
        depth = np.minimum(depth, wall)
    return ground, depth
