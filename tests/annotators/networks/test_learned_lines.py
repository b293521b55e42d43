"""Learned line annotators against the library's own detectors, on the same random weights and the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from annotators.base import Image, create
from annotators.lineart import LineArtAnime
from annotators.mlsd import MLSDTiny
from annotators.networks.loading import aux_module
from annotators.registry import annotator
from annotators.runtime import Runtime
from annotators.scribble import ScribbleHED, ScribblePiDiNet, scribble_from_softedge
from annotators.softedge import HED, EdgeNetwork, PiDiNet, SoftEdgeGradient
from annotators.sources.images import resize
from benchmarks.peers import PEERS, SETTINGS, lineart_anime
from models.catalogue.catalog import entry
from tests.annotators.conftest import ON_META
from tests.annotators.networks.thin import save_thin, thin

SIDE = 128


@pytest.fixture
def photo(photos: dict[str, Image]) -> Image:
    """Of sides at which nothing is resized."""
    return resize(photos["coffee"], 192, SIDE)


def _save(network: torch.nn.Module, models_dir: Path, id: str) -> None:
    path = models_dir / id / entry(id).files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    state = network.state_dict()
    if id == "pidinet":  # its file is that of a parallel training
        state = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(state, path)


@pytest.mark.slow
@pytest.mark.parametrize("id", PEERS)
def test_a_learned_map_is_the_librarys(id: str, models_dir: Path, photo: Image, meta_runtime: Runtime) -> None:
    peer, annotate = PEERS[id](), create(annotator(id), {"detect_resolution": SIDE} | dict(SETTINGS.get(id, {})))
    network = peer.create()
    for weights in annotate.weights:
        _save(network, models_dir, weights)
    ours, theirs = annotate(photo), peer.detect(network, photo, SIDE)
    with ON_META:
        annotate(photo, meta_runtime)
    assert len(np.unique(theirs)) > 1
    difference = np.abs(ours.astype(int) - theirs)
    # Of maps in steps, a pixel on a step's edge may fall to either side.
    assert difference.max() <= 1 or (difference > 1).mean() < 1e-3


@pytest.mark.slow
def test_anime_lines_are_the_librarys(models_dir: Path, photo: Image, meta_runtime: Runtime) -> None:
    """Its file is that of a parallel training."""
    peer = lineart_anime()
    network = thin(peer.create())
    save_thin({f"module.{name}": value for name, value in network.state_dict().items()},
              models_dir / "lineart_anime" / "netG.pth")  # fmt: skip
    square, annotate = resize(photo, 256, 256), LineArtAnime(detect_resolution=256)
    ours, theirs = annotate(square), peer.detect(network, square, 256)
    assert theirs.std() > 50
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    with ON_META:
        annotate(square, meta_runtime)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "edges"), [(ScribbleHED, HED), (ScribblePiDiNet, PiDiNet)])
def test_a_scribble_follows_the_edges(
    kind: type[ScribbleHED | ScribblePiDiNet], edges: type[EdgeNetwork],
    models_dir: Path, photo: Image, runtime: Runtime,
) -> None:  # fmt: skip
    _save(PEERS[kind.weights[0]]().create(), models_dir, kind.weights[0])
    soft = 255 * edges(detect_resolution=SIDE).edges(photo, runtime)
    threshold = int(np.clip(np.median(soft), 1, 190))
    strokes = kind(detect_resolution=SIDE, threshold=threshold)(photo, runtime)
    assert np.array_equal(strokes, scribble_from_softedge(soft, threshold))
    assert 0.05 < (strokes > 0).mean() < 0.95
    fewer = kind(detect_resolution=SIDE, threshold=threshold + 60)(photo, runtime)
    assert fewer.sum() < strokes.sum()
    assert runtime.networks.holding() == 1  # one network for edges and scribbles


@pytest.mark.parametrize("threshold", [90, 127])
def test_ridges_become_strokes_as_in_the_original(threshold: int, photos: dict[str, Image]) -> None:
    """The original's fake scribble, for the size that its numbers are meant for."""
    soft = SoftEdgeGradient()(resize(photos["chelsea"], 512, 512))[..., 0]
    ridges = aux_module("util").nms(soft, threshold, 3.0)
    theirs = np.where(cv2.GaussianBlur(ridges, (0, 0), 3.0) > 4, 255, 0)
    ours = scribble_from_softedge(soft, threshold)[..., 0]
    assert 0.005 < (theirs > 0).mean() < 0.5
    assert (ours != theirs).mean() < 0.05 * (theirs > 0).mean()  # the original rounds in between


@pytest.mark.slow
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
    from annotators.networks.loading import weights_file

    photo = resize(np.asarray(data.astronaut()), 256, 256)
    network = _load("cpu", "tiny", weights_file("mlsd_tiny"))
    theirs = aux_module("mlsd").MLSDdetector(network)(
        photo, detect_resolution=256, image_resolution=256, output_type="np"
    )
    assert np.array_equal(MLSDTiny(detect_resolution=256)(photo), theirs)
