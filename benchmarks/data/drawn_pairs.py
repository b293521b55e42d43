"""Pictures of many kinds with their exact maps, as clean data sets for the doctor: shapes, scenes, photos, textures, near nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator

from annotators.base import Image, create
from annotators.maps.encoders import encode_depth, encode_normal, encode_segmentation, is_blank
from annotators.people.sticks import draw_pose
from annotators.registry import annotator
from cnet_app.embedded.world import control_images, create_scene
from cnet_app.embedded.world.photos import HELD_OUT_PHOTOS, load_photo

FROM_PICTURE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "canny": ("canny",),
        "softedge": ("softedge_gradient",),
        "scribble": ("scribble_xdog",),
        "lineart": ("lineart_standard",),
        "mlsd": ("lines_opencv",),
        "tile": ("tile", "blur"),
        "recolor": ("recolor_luminance",),
        "color": ("color_grid",),
    }
)
"""Conditions whose maps are made from the picture alone, with the annotators that take turns."""
PHOTOS = ("camera", "chelsea", "coins", "stereo_motorcycle", *HELD_OUT_PHOTOS)
GRAINS = ("brick", "gravel", "immunohistochemistry", "hubble_deep_field", "retina")
"""Photos of textures."""
STANDING = ((0, -46), (0, -30), (-12, -30), (-16, -12), (-18, 6), (12, -30), (16, -12), (18, 6), (-7, 8), (-8, 28), (-8, 48), (7, 8), (8, 28), (8, 48), (-3, -49), (3, -49), (-6, -47), (6, -47))  # fmt: skip
"""OpenPose's joints of a standing person, right and down from the middle, in hundredths of its height."""


@dataclass(frozen=True)
class Drawing:
    """A picture of shapes with what is known of every pixel."""

    image: Image
    classes: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    depth: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    normal: np.ndarray[tuple[int, int, int], np.dtype[np.float32]]


def draw_pair(condition: str, seed: int, side: int = 256) -> tuple[Image, Image]:
    """Return a picture, (side, side, 3), and its map, which is never blank: the same for the same condition and seed."""
    drawn = (_drawn(condition, seed, side, np.random.default_rng((seed, attempt))) for attempt in range(50))
    return next(pair for pair in drawn if not is_blank(pair[1]))


def _drawn(condition: str, seed: int, side: int, rng: Generator) -> tuple[Image, Image]:
    if condition == "openpose":
        return _people(rng, side)
    if condition in FROM_PICTURE:
        image = _SOURCES[seed % len(_SOURCES)](rng, side)
        names = FROM_PICTURE[condition]
        return image, create(annotator(names[seed % len(names)]), {})(image)
    if seed % 4 == 3:
        return _scene(condition, seed, side)
    drawing = draw_shapes(rng, side)
    maps: Mapping[str, Callable[[], Image]] = {
        "depth": lambda: encode_depth(drawing.depth),
        "normal": lambda: encode_normal(drawing.normal),
        "segmentation": lambda: encode_segmentation(drawing.classes),
    }
    return drawing.image, maps[condition]()


def write_pairs(folder: Path, condition: str, count: int, side: int = 256, first: int = 0) -> None:
    """Write a clean data set in two folders, with a caption beside each picture."""
    for name in ("images", "conditioning_images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + count):
        image, control = draw_pair(condition, seed, side)
        write_image(folder / "images" / f"{seed:05d}.png", image)
        write_image(folder / "conditioning_images" / f"{seed:05d}.png", control)
        (folder / "images" / f"{seed:05d}.txt").write_text(f"picture {seed}")


def write_image(path: Path, image: Image) -> None:
    """Write a picture, as PNG or JPEG by its ending."""
    data = cv2.imencode(
        path.suffix, image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4] if path.suffix == ".png" else []
    )[1]
    path.write_bytes(data.tobytes())


def draw_shapes(rng: Generator, side: int) -> Drawing:
    """Return circles, boxes and polygons before a ground that comes nearer towards the bottom."""
    image = np.full((side, side, 3), rng.integers(30, 225, 3), np.float32)
    image += (np.linspace(-40, 40, side) * rng.uniform(-1, 1))[:, None, None]
    classes = np.zeros((side, side), np.int64)
    depth = np.repeat(np.linspace(0, 0.5, side, dtype=np.float32)[:, None], side, axis=1)
    normal = np.zeros((side, side, 3), np.float32)
    normal[..., 1:] = np.sqrt(0.5)
    for _ in range(int(rng.integers(2, 7))):
        inside = _shape(rng, side)
        image[inside] = rng.integers(0, 255, 3)
        classes[inside] = rng.integers(1, 150)
        depth[inside] = 0.3 + 0.6 * rng.random()
        facing = np.array([rng.normal(0, 0.5), rng.normal(0, 0.5), 1], np.float32)
        normal[inside] = facing / np.linalg.norm(facing)
    image += rng.normal(0, rng.uniform(0, 8), image.shape)
    return Drawing(np.clip(image, 0, 255).astype(np.uint8), classes, depth, normal)


def _shape(rng: Generator, side: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros((side, side), np.uint8)
    across, down = (int(one) for one in rng.integers(side // 12, side - side // 12, 2))
    radius = int(rng.integers(side // 20, side // 4))
    kind = rng.integers(3)
    if kind == 0:
        cv2.circle(mask, (across, down), radius, 1, -1)
    elif kind == 1:
        cv2.rectangle(mask, (across - radius, down - radius // 2), (across + radius, down + radius // 2), 1, -1)
    else:
        corners = rng.integers(-radius, radius, (int(rng.integers(3, 7)), 2)) + np.array([across, down])
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask > 0


def _shapes_image(rng: Generator, side: int) -> Image:
    return draw_shapes(rng, side).image


def _photo(rng: Generator, side: int) -> Image:
    return _part_of_photo(rng, side, PHOTOS)


def _part_of_photo(rng: Generator, side: int, names: Sequence[str]) -> Image:
    """Return a part of a photo, brightened or darkened."""
    photo = load_photo(str(rng.choice(names)))
    height, width = photo.shape[:2]
    part = int(min(height, width) * rng.uniform(0.4, 0.95))
    left, top = int(rng.integers(width - part + 1)), int(rng.integers(height - part + 1))
    crop = cv2.resize(photo[top : top + part, left : left + part], (side, side), interpolation=cv2.INTER_AREA)
    return np.clip(crop.astype(np.float32) * rng.uniform(0.7, 1.2), 0, 255).astype(np.uint8)


def _texture(rng: Generator, side: int) -> Image:
    """Return stripes, tiles or grain, in one direction or several, or a photo of such."""
    if rng.random() < 0.3:
        return _part_of_photo(rng, side, GRAINS)
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    wave = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        turn, period = rng.uniform(0, np.pi), rng.uniform(side / 40, side / 5)
        wave += np.sin((across * np.cos(turn) + down * np.sin(turn)) * 2 * np.pi / period)
    wave = np.sign(wave) if rng.random() < 0.5 else wave
    image = rng.integers(60, 190, 3) + wave[..., None] * rng.uniform(-40, 40, 3)
    return np.clip(image + rng.normal(0, rng.uniform(0, 20), image.shape), 0, 255).astype(np.uint8)


def _dense(rng: Generator, side: int) -> Image:
    """Return hundreds of small things."""
    image = np.full((side, side, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(int(rng.integers(200, 600))):
        centre = [int(one) for one in rng.integers(0, side, 2)]
        colour = [int(one) for one in rng.integers(0, 255, 3)]
        cv2.circle(image, centre, int(rng.integers(2, side // 20)), colour, -1)
    return image


def _faint(rng: Generator, side: int) -> Image:
    """Return nearly one colour, with one small thing."""
    image = np.full((side, side, 3), rng.integers(120, 250, 3), np.float32) + rng.normal(0, 1, (side, side, 3))
    centre = [int(one) for one in rng.integers(side // 4, 3 * side // 4, 2)]
    darker = cv2.circle(np.zeros((side, side), np.uint8), centre, int(rng.integers(side // 25, side // 8)), 1, -1)
    image[darker > 0] -= rng.uniform(60, 110)
    return np.clip(image, 0, 255).astype(np.uint8)


_SOURCES = (_shapes_image, _photo, _texture, _shapes_image, _dense, _photo, _faint)


def is_ordinary(seed: int) -> bool:
    """Return whether a picture whose map is made from it is neither a texture nor nearly empty."""
    return _SOURCES[seed % len(_SOURCES)] in (_shapes_image, _photo)


def _scene(condition: str, seed: int, side: int) -> tuple[Image, Image]:
    """Return a ray-traced scene with its exact map."""
    small = create_scene(seed, 128)
    control = control_images(small)[condition]
    image = cv2.resize(small.image, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, np.uint8), np.asarray(
        cv2.resize(control, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8
    )


def _people(rng: Generator, side: int) -> tuple[Image, Image]:
    """Return stick figures with thick limbs before shapes, and their pose map."""
    image = draw_shapes(rng, side).image
    people: list[np.ndarray[tuple[int, int], np.dtype[np.float64]]] = []
    for _ in range(int(rng.integers(1, 3))):
        tall = side * rng.uniform(0.4, 0.9)
        middle = rng.uniform(0.3 * side, 0.7 * side, 2)
        joints = np.array(STANDING) / 100 * tall + middle + rng.normal(0, tall / 50, (18, 2))
        people.append(np.column_stack([joints, np.ones(18)]))
        colour = [int(one) for one in rng.integers(0, 255, 3)]
        for chain in ((0, 1, 8, 9, 10), (1, 11, 12, 13), (1, 2, 3, 4), (1, 5, 6, 7)):
            cv2.polylines(image, [joints[list(chain)].astype(np.int32)], False, colour, max(3, round(tall / 12)))
        cv2.circle(image, joints[0].astype(int).tolist(), round(tall / 14), colour, -1)
    return image, draw_pose(people, side, side)
