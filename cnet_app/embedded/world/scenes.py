"""Scenes: a few big things or people on a floor under a sky, drawn from one seed, with their exact ground truth."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.maps.encoders import ADE20K_CLASSES
from cnet_app.embedded.world import words
from cnet_app.embedded.world.figure import Figure, create_figure
from cnet_app.embedded.world.raycast import Ball, Box, Camera, Frustum, Solid, Vector, trace
from cnet_app.embedded.world.sample import Sample, Thing
from cnet_app.embedded.world.shading import paint
from cnet_app.embedded.world.stage import Stage, Surface

_ATTEMPTS = 24
_PROBE = 48
"""Side of the small picture that decides whether an arrangement is good."""
_MINIMUM_COVER = 0.055
_HEIGHTS = {"ball": 1.3, "box": 1.1, "cylinder": 1.4, "cone": 1.5, "person": 2.5}

_WIDTHS = {"ball": 0.95, "box": 1.15, "cylinder": 0.8, "cone": 0.85, "person": 0.5}
"""Width of a thing's place in the row, in heights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A composed scene: geometry in the world, the camera, and the words for it."""

    stage: Stage
    things: tuple[Thing, ...]
    figures: tuple[Figure, ...]
    style: str
    sky: str | None
    style_last: bool
    paint_seed: int


def create_scene(seed: int, size: int = 256) -> Sample:
    """Return the scene of a seed as a picture `size` pixels square. The same seed gives the same bytes."""
    scene = compose_scene(np.random.default_rng([seed, 1]))
    return render_scene(scene, size)


def compose_scene(rng: np.random.Generator) -> Scene:
    """Choose words, then arrange until every thing is large, inside the picture and hardly hidden."""
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    shapes = [str(shape) for shape in rng.choice(words.SHAPES[:-1], count)]
    if rng.random() < 0.45:
        shapes[int(rng.integers(count))] = "person"
        if count > 1 and rng.random() < 0.1:
            shapes[:2] = ["person", "person"]
    colours = [str(colour) for colour in rng.choice(list(words.COLOURS), count, replace=False)]
    things = tuple(Thing(shape=shape, colour=colour) for shape, colour in zip(shapes, colours, strict=True))
    style = str(rng.choice(words.STYLES, p=[0.4, 0.2, 0.2, 0.2]))
    sky = str(rng.choice(words.SKIES))
    stage, figures = _arrange(rng, things, "night" if style == "neon" else sky)
    for _ in range(_ATTEMPTS):
        if _is_good(stage, len(things)):
            break
        stage, figures = _arrange(rng, things, "night" if style == "neon" else sky)
    return Scene(
        stage=stage,
        things=things,
        figures=figures,
        style=style,
        sky=None if style == "neon" else sky,
        style_last=bool(rng.random() < 0.2),
        paint_seed=int(rng.integers(2**31)),
    )


def render_scene(scene: Scene, size: int) -> Sample:
    """Render through a grid of two places a pixel; every second one is a pixel's centre, where the ground truth is taken."""
    places = np.arange(2 * size + 1) / (2 * size)
    surface = Surface.look(scene.stage, places)
    fine = paint(scene.style, scene.stage, surface, scene.things, np.random.default_rng(scene.paint_seed))
    kernel = np.array([1, 2, 1], np.float32) / 4
    smooth = cv2.sepFilter2D(fine, -1, kernel, kernel)[1::2, 1::2]
    image = np.clip(smooth * 255 + 0.5, 0, 255).astype(np.uint8)
    centre = (slice(1, None, 2), slice(1, None, 2))
    named = [(thing.colour, thing.shape) for thing in scene.things]
    return Sample(
        image=image,
        caption=words.scene_caption(scene.style, named, scene.sky, style_last=scene.style_last),
        style=scene.style,
        sky=scene.sky,
        things=scene.things,
        instances=surface.owner[centre].astype(np.uint8),
        depth=_near_is_one(surface.depth[centre]),
        normal=surface.normal[centre] @ scene.stage.camera.rotation().T.astype(np.float32),
        segmentation=_segmentation(scene, surface.owner[centre], surface.ground[1::2]),
        people=tuple(_keypoints(figure, scene.stage.camera, size) for figure in scene.figures),
    )


def _arrange(rng: np.random.Generator, things: tuple[Thing, ...], sky: str) -> tuple[Stage, tuple[Figure, ...]]:
    """Put the things in a loose row, place the camera at a random height, and zoom until they fill the picture."""
    count = len(things)
    distance = rng.uniform(5.5, 9.0)
    elevation = np.radians(rng.uniform(7, 20) if count < 3 else rng.uniform(9, 24))
    position = np.array((0.0, max(0.5, distance * np.sin(elevation)), distance * np.cos(elevation)))
    sizes = [_HEIGHTS[thing.shape] * rng.uniform(0.85, 1.15) for thing in things]
    widths = [size * _WIDTHS[thing.shape] for thing, size in zip(things, sizes, strict=True)]
    steps = np.cumsum([0.0] + [(a + b) / 2 + rng.uniform(-0.05, 0.25) for a, b in itertools.pairwise(widths)])
    across = rng.permutation(count)
    solids: list[Solid] = []
    owners: list[int] = []
    covers: list[str] = []
    figures: list[Figure] = []
    for number, thing in enumerate(things):
        order = int(across[number])
        place = np.array((steps[order] - steps.mean(), 0.0, rng.uniform(-0.9, 0.9) if count > 1 else 0.0))
        if thing.shape == "person":
            figure = create_figure(rng, place, sizes[number], position)
            figures.append(figure)
            new, cover = [part.solid for part in figure.parts], [part.cover for part in figure.parts]
        else:
            new, cover = [_solid(rng, thing.shape, place, sizes[number])], ["main"]
        solids += new
        covers += cover
        owners += [number + 1] * len(new)
    half_length = things[0].shape == "person" and count == 1 and rng.random() < 0.25
    camera = _fit(rng, Camera(position, float(rng.uniform(0, 0.7) * elevation)), solids, count, half_length=half_length)
    turn, lift = rng.uniform(0.35, 1.0) * rng.choice([-1, 1]), rng.uniform(0.75, 1.15)
    light = np.array((np.sin(turn), lift, np.cos(turn) * 0.75))
    stage = Stage(
        solids=solids,
        owners=np.array(owners, np.int16),
        covers=covers,
        eyes=[figure.eyes for figure in figures],
        eye_radius=0.026 * (figures[0].scale if figures else 1.0),
        camera=camera,
        light=light / np.linalg.norm(light),
        sky=sky,
        floor=str(rng.choice(["checker", "plain", "planks"], p=[0.4, 0.35, 0.25])),
        floor_turn=float(rng.uniform(0, np.pi / 2)),
        wall=-float(rng.uniform(2.5, 4.0)),
    )
    return stage, tuple(figures)


def _solid(rng: np.random.Generator, shape: str, place: Vector, size: float) -> Solid:
    """Return a solid of about the given height, standing on the floor (a cylinder sometimes lies)."""
    up = np.array((0.0, 1.0, 0.0))
    if shape == "ball":
        return Ball(place + up * size / 2, size / 2)
    # never frontal or end on, where a box would look like a rectangle, and a lying cylinder like a disc
    turn = rng.uniform(0.28, 1.29) if shape == "box" else rng.uniform(-0.8, 0.8)
    along = np.array((np.cos(turn), 0.0, np.sin(turn)))
    if shape == "box":
        half = size / 2 * np.array((rng.uniform(0.8, 1.15), rng.uniform(0.75, 1.2), rng.uniform(0.8, 1.15)))
        return Box(place + up * half[1], half, np.stack([along, up, np.cross(along, up)]))
    if shape == "cone":
        return Frustum(place, up, size * rng.uniform(0.9, 1.15), size * rng.uniform(0.36, 0.46), 0.0)
    radius = size * rng.uniform(0.3, 0.4)
    if rng.random() < 0.15:
        length = size * rng.uniform(0.9, 1.1)
        return Frustum(place + up * radius - along * length / 2, along, length, radius, radius)
    return Frustum(place, up, size * rng.uniform(0.8, 1.1), radius, radius)


def _fit(rng: np.random.Generator, camera: Camera, solids: list[Solid], count: int, *, half_length: bool) -> Camera:
    """Zoom and shift the lens so that everything fills most of the picture; half_length cuts a person's legs off."""
    bounds = np.array([camera.bounds(solid) for solid in solids])
    (left, top), (right, bottom) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    widest = rng.uniform(0.5, 0.8) if count == 1 else rng.uniform(0.84, 0.98)
    tallest, headroom = rng.uniform(0.66, 0.86), rng.uniform(0.5, 0.75)
    if half_length:
        widest, tallest, headroom = 1.2, rng.uniform(1.25, 1.7), rng.uniform(-0.2, -0.1)
    focal = min(widest / (right - left), tallest / (bottom - top))
    slack_x, slack_y = 1 - focal * (right - left), 1 - focal * (bottom - top)
    x = rng.uniform(0.2, 0.8) * slack_x - focal * left
    y = headroom * slack_y - focal * top
    return replace(camera, focal=focal, centre=(float(x), float(y)))


def _is_good(stage: Stage, count: int) -> bool:
    """Return whether every thing covers enough and is hardly hidden, and floor and sky are both visible."""
    if not 0.16 < stage.horizon() < 0.8:
        return False
    places = (np.arange(_PROBE) + 0.5) / _PROBE
    depths = np.full((count + 1, _PROBE, _PROBE), 1e9)
    for number in range(1, count + 1):
        alone = [solid for solid, owner in zip(stage.solids, stage.owners, strict=True) if owner == number]
        depths[number] = trace(alone, stage.camera, places).depth
        if np.isfinite(depths[number]).mean() < _MINIMUM_COVER:
            return False
    owner = depths.argmin(axis=0)
    for number in range(1, count + 1):
        seen = (owner == number).mean()
        if seen < max(_MINIMUM_COVER, 0.8 * np.isfinite(depths[number]).mean()):
            return False
    return True


def _near_is_one(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return inverse depth, stretched to [0, 1]."""
    inverse = 1 / depth
    low, high = float(inverse.min()), float(inverse.max())
    return ((inverse - low) / max(high - low, 1e-9)).astype(np.float32)


def _segmentation(scene: Scene, owner: NDArray[np.int16], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return class indices (S, S) of the numbers of things (S, S) and the ground (S,) behind them."""
    behind = np.array([ADE20K_CLASSES.index(name) for name in ("sky", "floor", "wall")], np.uint8)[ground]
    names = ["sky"] + [words.ADE20K_CLASS[thing.shape] for thing in scene.things]
    things = np.array([ADE20K_CLASSES.index(name) for name in names], np.uint8)
    return np.where(owner > 0, things[owner], behind[:, None])


def _keypoints(figure: Figure, camera: Camera, size: int) -> NDArray[np.float32]:
    """Return (18, 3): x, y in pixels (a pixel's centre is at a half) and 1 where the point is in the picture, else 0."""
    places = camera.project(figure.keypoints) * size
    inside = ((places >= 0) & (places < size)).all(axis=1) & figure.seen
    return np.concatenate([places, inside[:, None]], axis=1).astype(np.float32)
