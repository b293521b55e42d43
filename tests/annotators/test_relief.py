"""Normals out of depth: known surfaces under a known camera, and the annotator around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from annotators.base import Image
from annotators.embedded import DepthEmbedded
from annotators.maps.control_map import make_map
from annotators.maps.kinds import KINDS
from annotators.normal import DEPTHS, FIRST, NormalFromDepth, normals_of
from annotators.registry import annotator
from cnet_app.registry.conditions import condition
from models.errors import InputError

FIELD_OF_VIEW = 60.0
Surface = tuple[NDArray[np.float64], NDArray[np.float64]]
"""z (H, W) along the axis of the camera, infinity for nothing, and normals (H, W, 3): x right, y up, z to the viewer."""


def _rays(height: int, width: int) -> NDArray[np.float64]:
    """(H, W, 3) directions of unit depth: x right, y up, z to the viewer."""
    focal = max(height, width) / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([(x - width / 2) / focal, (height / 2 - y) / focal, -np.ones_like(x)], axis=2)


def _plane(height: int, width: int, normal: tuple[float, float, float], distance: float) -> Surface:
    unit = np.array(normal) / np.linalg.norm(normal)
    along = _rays(height, width) @ unit
    return np.where(along < 0, -distance / np.minimum(along, -1e-9), np.inf), np.broadcast_to(unit, (height, width, 3))


def _sphere(height: int, width: int, centre: tuple[float, float, float], radius: float) -> Surface:
    rays, middle = _rays(height, width), np.array(centre)
    a, b, c = (rays**2).sum(axis=2), rays @ middle, middle @ middle - radius**2
    inside = b * b - a * c
    z = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    points = np.where(np.isfinite(z), z, 0)[..., None] * rays
    return z, (points - middle) / radius


def _nearest(*surfaces: Surface) -> Surface:
    depths = np.stack([z for z, _ in surfaces])
    chosen = depths.argmin(axis=0)[None, ..., None]
    return depths.min(axis=0), np.take_along_axis(np.stack([normal for _, normal in surfaces]), chosen, axis=0)[0]


def _angles(made: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees between, where there is a surface."""
    return np.degrees(np.arccos(np.clip((made * wanted).sum(axis=2), -1, 1)))


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.5, 0, 1), (0, 1, 0.2), (-1, 0.3, 0.7), (0.1, -1, 0.1)])
@pytest.mark.parametrize("size", [(96, 128), (128, 96)])
def test_planes_are_exact(normal: tuple[float, float, float], size: tuple[int, int]) -> None:
    z, wanted = _plane(*size, normal, 3.0)
    seen = np.isfinite(z)
    angles = _angles(normals_of((1 / z).astype(np.float32), FIELD_OF_VIEW), wanted)
    inner = seen & np.roll(seen, 2, axis=0) & np.roll(seen, -2, axis=0)  # beyond the horizon there is nothing
    assert angles[inner].mean() < 0.05


@pytest.mark.parametrize("centre", [(0.0, 0.0, -4.0), (0.8, -0.5, -4.0)])
def test_a_sphere_before_a_wall_over_a_floor(centre: tuple[float, float, float]) -> None:
    size = (256, 320)
    scene = (_sphere(*size, centre, 1.0), _plane(*size, (0.0, 0.0, 1.0), 6.0), _plane(*size, (0.0, 1.0, 0.0), 1.4))
    z, wanted = _nearest(*scene)
    angles = _angles(normals_of((1 / z).astype(np.float32), FIELD_OF_VIEW), wanted)
    assert angles.mean() < 1
    sphere = z == scene[0][0]
    assert angles[sphere].mean() < 1
    assert np.median(angles[sphere]) < 0.1


def test_the_unit_of_depth_does_not_matter() -> None:
    inverse = (1 / _sphere(64, 64, (0, 0, -3.0), 1.0)[0]).astype(np.float32)
    one, other = (normals_of(inverse * factor, FIELD_OF_VIEW) for factor in (1, 1000))
    assert np.abs(one - other).max() < 1e-3


def test_strength_tilts() -> None:
    inverse = (1 / _plane(32, 32, (0, 0.5, 1), 3.0)[0]).astype(np.float32)
    tilts = [normals_of(inverse, FIELD_OF_VIEW, strength)[16, 16, 1] for strength in (0.5, 1, 2)]
    assert tilts == sorted(tilts)


def _embedded_measures(monkeypatch: pytest.MonkeyPatch, inverse: NDArray[np.float32]) -> None:
    monkeypatch.setattr(DepthEmbedded, "nearness", lambda self, image, runtime: inverse)


def test_a_dome_is_red_left_green_top_blue_front(monkeypatch: pytest.MonkeyPatch) -> None:
    z, _ = _sphere(96, 96, (0, 0, -3.0), 1.0)
    _embedded_measures(monkeypatch, (1 / z).astype(np.float32))
    made = NormalFromDepth(depth="depth_embedded", field_of_view=60)(np.zeros((96, 96, 3), np.uint8)).astype(int)
    assert made[48, 30, 0] > 150 > 100 > made[48, 66, 0]
    assert made[30, 48, 1] > 150 > 100 > made[66, 48, 1]
    assert made[48, 48].tolist() == pytest.approx([128, 128, 255], abs=6)
    assert (made[0, 0] == (128, 128, 255)).all()  # the background


def test_one_depth_is_told_and_divides_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _embedded_measures(monkeypatch, np.full((32, 32), 0.3, np.float32))
    for threshold in (0.0, 0.1):
        flat = NormalFromDepth(depth="depth_embedded", background_threshold=threshold)
        made = make_map(flat, np.zeros((32, 32, 3), np.uint8))
        assert made.warnings == (KINDS["normal"].nothing,)
        assert (made.pixels == (128, 128, 255)).all()


def test_the_depths_are_those_of_the_depth_condition() -> None:
    assert set(DEPTHS) == set(condition("depth").annotators)
    assert tuple(DEPTHS)[-1] == "leres"  # taken last, for nobody knows its terms
    assert all(annotator(id) is kind for id, kind in DEPTHS.items())
    with pytest.raises(InputError, match="depth is 'radar', but it must be one of: first, midas"):
        NormalFromDepth(depth="radar")


@pytest.mark.parametrize("here", ["depth_embedded", "zoe"])
def test_the_first_depth_that_is_here_is_named(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"embedded_annotator", here}
    monkeypatch.setattr("annotators.normal.find", lambda id: Path(id) if id in names else None)
    assert NormalFromDepth().depth == here
    assert NormalFromDepth(depth=FIRST) == NormalFromDepth(depth=here)
    assert NormalFromDepth(depth="midas").depth == "midas"


def test_the_map_names_the_depth(models_dir: Path, photos: dict[str, Image]) -> None:
    made = make_map(NormalFromDepth(), photos["coffee"])
    assert made.parameters["depth"] == "depth_embedded"
    assert made.pixels.shape == photos["coffee"].shape
    assert len(np.unique(made.pixels.reshape(-1, 3), axis=0)) > 50


def test_smoothing_calms_noise_and_keeps_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (96, 96))
    step = np.where(np.arange(96) < 48, 0.4, 0.9)[None] + noise
    step[0, 0] = 0  # the far end of the range
    _embedded_measures(monkeypatch, step.astype(np.float32))
    photo = np.zeros((96, 96, 3), np.uint8)
    tilts = {
        smoothing: np.abs(NormalFromDepth(depth="depth_embedded", smoothing=smoothing)(photo)[4:].astype(int) - 128)
        for smoothing in (0, 3)
    }
    assert tilts[3][..., :2].mean() < tilts[0][..., :2].mean() / 2
    assert tilts[3][:, 46:50, 0].mean() < 40
