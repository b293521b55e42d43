"""Learned line annotators against the library's own detectors, on the same random weights and the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from annotators.base import Annotator, Image, create
from annotators.images import resize
from annotators.lineart import LineArtAnime
from annotators.mlsd import MLSDTiny
from annotators.networks import aux_module
from annotators.registry import annotator
from annotators.runtime import Runtime
from annotators.scribble import ScribbleHED, ScribblePiDiNet
from benchmarks.peers import PEERS, SETTINGS, lineart_anime
from models.catalog import entry

SIDE = 128


@pytest.fixture
def photo(photos: dict[str, Image]) -> Image:
    """Of sides at which nothing is resized."""
    return resize(photos["coffee"], 192, SIDE)


def _save(network: torch.nn.Module, models_dir: Path, id: str) -> None:
    path = models_dir / id / entry(id).files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)


@pytest.mark.slow
@pytest.mark.parametrize("id", PEERS)
def test_a_learned_map_is_the_librarys(id: str, models_dir: Path, photo: Image) -> None:
    peer, annotate = PEERS[id](), create(annotator(id), {"detect_resolution": SIDE} | dict(SETTINGS.get(id, {})))
    network = peer.create()
    for weights in annotate.weights:
        _save(network, models_dir, weights)
    ours, theirs = annotate(photo), peer.detect(network, photo, SIDE)
    assert len(np.unique(theirs)) > 1
    difference = np.abs(ours.astype(int) - theirs)
    # Of maps in steps, a pixel on a step's edge may fall to either side.
    assert difference.max() <= 1 or (difference > 1).mean() < 1e-3


def test_anime_lines_are_the_librarys(monkeypatch: pytest.MonkeyPatch, photo: Image) -> None:
    """On a network an eighth as wide: the real one's file is 218 MB."""
    peer = lineart_anime(width=8)
    network = peer.create()
    monkeypatch.setattr("annotators.lineart.weights_file", Path)
    monkeypatch.setattr("annotators.lineart._load_anime", lambda device, path: network)
    square = resize(photo, 256, 256)
    ours, theirs = LineArtAnime(detect_resolution=256)(square), peer.detect(network, square, 256)
    assert np.ptp(theirs) > 50
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ScribbleHED, ScribblePiDiNet])
def test_a_scribble_follows_the_edges(kind: type[Annotator], models_dir: Path, photo: Image) -> None:
    _save(PEERS[kind.weights[0]]().create(), models_dir, kind.weights[0])
    strokes = kind(detect_resolution=SIDE, threshold=1)(photo)  # type: ignore[call-arg]
    assert set(np.unique(strokes)) == {0, 255}
    assert not kind(detect_resolution=SIDE, threshold=254)(photo).all()  # type: ignore[call-arg]


def test_the_tiny_network_finds_what_is_straight(photos: dict[str, Image]) -> None:
    """With its trained weights, which ship with the project: the rocket's towers stand upright."""
    from skimage import data

    rocket = resize(np.asarray(data.rocket()), 384, 384)
    segments = MLSDTiny().segments(rocket, Runtime())
    lengths = np.hypot(*(segments[:, 2:] - segments[:, :2]).T)
    upright = np.abs(segments[:, 2] - segments[:, 0]) < 0.15 * np.abs(segments[:, 3] - segments[:, 1])
    assert ((lengths > 100) & upright).sum() >= 4
    drawn = MLSDTiny()(rocket)
    assert set(np.unique(drawn)) == {0, 255}
    assert MLSDTiny(distance_threshold=100.0)(rocket).sum() < drawn.sum()
    assert not MLSDTiny(score_threshold=1.0)(rocket).any()  # nothing is that sure, and nothing fails


def test_the_tiny_network_is_the_librarys() -> None:
    from skimage import data

    from annotators.mlsd import _load
    from annotators.networks import weights_file

    photo = resize(np.asarray(data.astronaut()), 256, 256)
    network = _load("cpu", "tiny", weights_file("mlsd_tiny"))
    theirs = aux_module("mlsd").MLSDdetector(network)(
        photo, detect_resolution=256, image_resolution=256, output_type="np"
    )
    assert np.array_equal(MLSDTiny(detect_resolution=256)(photo), theirs)
