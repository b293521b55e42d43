"""A hub on this machine, own folders, miniatures for models, and a terminal with somebody at it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnet_app.cli import main
from tests.models.conftest import hub, own_folders
from tests.tiny import files

__all__ = ["files", "hub", "own_folders"]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes standard input and error a terminal where this line is typed."""

    def type_line(text: str) -> None:
        for stream in (sys.stdin, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys.stdin, "readline", lambda: f"{text}\n", raising=False)

    return type_line


@pytest.fixture
def tiny_models(files: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, with a miniature of SD 1.5 in it that commands use where they name no base."""
    own_folders.mkdir()
    for folder in files.iterdir():
        (own_folders / folder.name).symlink_to(folder)
    for name, value in {"BASE": "sd15", "DEVICE": "cpu", "SPEED": "exact"}.items():
        monkeypatch.setenv(f"CNET_{name}", value)
    return own_folders


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A yellow box on grey, 128x96."""
    pixels = np.full((96, 128, 3), 30, np.uint8)
    pixels[24:72, 40:90] = (220, 180, 60)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """One person on a canvas of 128x96, in OpenPose's JSON."""
    body = [number for joint in range(18) for number in (10.0 + 6 * joint, 10.0 + 4 * (joint % 9), 1.0)]
    face = [number for point in range(70) for number in (60.0, 20.0 + 0.3 * point, 1.0)]
    person = {"pose_keypoints_2d": body, "face_keypoints_2d": face}
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"people": [person], "canvas_width": 128, "canvas_height": 96}))
    return path


def pixels(path: str | Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture on the disk, (H, W, 3)."""
    return np.asarray(Image.open(path))
