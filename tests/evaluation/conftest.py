"""Folders of pictures whose scores are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotators.base import Image
from annotators.maps.encoders import lines
from cnet_app.request.pictures import encode_png

SIDE = 192
BLACK = np.zeros((8, 8, 3), np.uint8)


def depth_map(seed: int) -> Image:
    """Return a grey map with smooth content."""
    noise = np.random.default_rng(seed).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 8)
    return lines(cv2.normalize(smooth, smooth, 0, 255, cv2.NORM_MINMAX))


def write(path: Path, pixels: Image) -> None:
    """Write a PNG, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))


@dataclass(frozen=True)
class Folders:
    """Control images of `color`, pictures that follow them closely, and pictures that follow them less."""

    controls: Path
    good: Path
    bad: Path


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Six control images with two methods' pictures."""
    made = Folders(tmp_path / "controls", tmp_path / "good", tmp_path / "bad")
    rng = np.random.default_rng(0)
    for number in range(6):
        control = depth_map(number)
        write(made.controls / f"{number:04d}.png", control)
        for folder, noise in ((made.good, 10), (made.bad, 60)):
            noisy = np.clip(control + rng.normal(0, noise, control.shape), 0, 255).astype(np.uint8)
            write(folder / f"{number:04d}.png", noisy)
    return made
