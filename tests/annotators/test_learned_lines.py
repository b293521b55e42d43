"""Learned line annotators against the library's own detectors, on the same random weights and the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotators.base import Annotator, Image
from annotators.images import resize
from annotators.lineart import LineArt, LineArtAnime, LineArtCoarse
from annotators.mlsd import MLSD, MLSDTiny
from annotators.networks import aux_module
from annotators.scribble import ScribbleHED, ScribblePiDiNet
from annotators.softedge import HED, TEED, HEDSafe, PiDiNet, PiDiNetSafe
from models.catalog import entry

SIDE = 128


@dataclass(frozen=True)
class Peer:
    """The network of an annotator's file, and what the library makes of a picture with it."""

    create: Callable[[], torch.nn.Module]
    detect: Callable[[torch.nn.Module, Image], Image]


def _options(side: int = SIDE, **more: Any) -> dict[str, Any]:
    return {"detect_resolution": side, "image_resolution": side, "output_type": "np"} | more


def _hed(**more: Any) -> Peer:
    module = aux_module("hed")
    return Peer(module.ControlNetHED_Apache2, lambda net, photo: module.HEDdetector(net)(photo, **_options(**more)))


def _pidinet(**more: Any) -> Peer:
    module = aux_module("pidi")
    return Peer(module.pidinet, lambda net, photo: module.PidiNetDetector(net)(photo, **_options(**more)))


def _teed() -> Peer:
    module = aux_module("teed")
    return Peer(module.TED, lambda net, photo: module.TEEDdetector(net)(photo, SIDE, 2, "np"))


def _lineart() -> Peer:
    module = aux_module("lineart")
    return Peer(
        lambda: module.Generator(3, 1, 3), lambda net, photo: module.LineartDetector(net, net)(photo, **_options())
    )


def _anime() -> Peer:
    module = aux_module("lineart_anime")

    def create() -> torch.nn.Module:
        norm: Any = lambda channels: torch.nn.InstanceNorm2d(channels)  # noqa: E731
        return module.UnetGenerator(3, 1, 8, 8, norm_layer=norm)

    return Peer(create, lambda net, photo: module.LineartAnimeDetector(net)(photo, **_options(256)))


def _mlsd(size: str) -> Peer:
    network = getattr(aux_module(f"mlsd.models.mbv2_mlsd_{size}"), f"MobileV2_MLSD_{size.capitalize()}")
    detector = aux_module("mlsd").MLSDdetector
    return Peer(network, lambda net, photo: detector(net)(photo, thr_v=0.1, thr_d=5.0, **_options()))


CASES: dict[str, tuple[Annotator, Callable[[], Peer]]] = {
    "hed": (HED(detect_resolution=SIDE), _hed),
    "hed_safe": (HEDSafe(detect_resolution=SIDE), lambda: _hed(safe=True)),
    "pidinet": (PiDiNet(detect_resolution=SIDE), _pidinet),
    "pidinet_safe": (PiDiNetSafe(detect_resolution=SIDE), lambda: _pidinet(safe=True)),
    "teed": (TEED(detect_resolution=SIDE), _teed),
    "lineart": (LineArt(detect_resolution=SIDE), _lineart),
    "lineart_coarse": (LineArtCoarse(detect_resolution=SIDE), _lineart),
    "mlsd": (MLSD(detect_resolution=SIDE, distance_threshold=5.0), lambda: _mlsd("large")),
}


@pytest.fixture
def photo(photos: dict[str, Image]) -> Image:
    """Of sides at which nothing is resized."""
    return resize(photos["coffee"], 192, SIDE)


def _save(network: torch.nn.Module, models_dir: Path, id: str) -> None:
    path = models_dir / id / entry(id).files[0].name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)


def _lively(network: torch.nn.Module) -> torch.nn.Module:
    """As made, some answer the same everywhere."""
    torch.manual_seed(1)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim == 4:
                value.normal_(0, 1.4 / np.sqrt(value[0].numel()))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("id", CASES)
def test_a_learned_map_is_the_librarys(id: str, models_dir: Path, photo: Image) -> None:
    annotate, create = CASES[id]
    peer = create()
    network = _lively(peer.create())
    for weights in annotate.weights:
        _save(network, models_dir, weights)
    ours, theirs = annotate(photo), peer.detect(network, photo)
    assert len(np.unique(theirs)) > 1
    difference = np.abs(ours.astype(int) - theirs)
    # Of maps in steps, a pixel on a step's edge may fall to either side.
    assert difference.max() <= 1 or (difference > 1).mean() < 1e-3


def test_anime_lines_are_the_librarys(monkeypatch: pytest.MonkeyPatch, photo: Image) -> None:
    """On a network an eighth as wide: the real one's file is 218 MB."""
    peer = _anime()
    network = _lively(peer.create())
    monkeypatch.setattr("annotators.lineart.weights_file", Path)
    monkeypatch.setattr("annotators.lineart._load_anime", lambda path: network)
    square = resize(photo, 256, 256)
    ours, theirs = LineArtAnime(detect_resolution=256)(square), peer.detect(network, square)
    assert np.ptp(theirs) > 50
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("kind", [ScribbleHED, ScribblePiDiNet])
def test_a_scribble_follows_the_edges(kind: type[Annotator], models_dir: Path, photo: Image) -> None:
    peer = _hed() if kind is ScribbleHED else _pidinet()
    _save(_lively(peer.create()), models_dir, kind.weights[0])
    strokes = kind(detect_resolution=SIDE, threshold=1)(photo)  # type: ignore[call-arg]
    assert set(np.unique(strokes)) == {0, 255}
    assert not kind(detect_resolution=SIDE, threshold=254)(photo).all()  # type: ignore[call-arg]


def test_the_tiny_network_finds_what_is_straight(photos: dict[str, Image]) -> None:
    """With its trained weights, which ship with the project: the rocket's towers stand upright."""
    from skimage import data

    rocket = resize(np.asarray(data.rocket()), 384, 384)
    segments = MLSDTiny().segments(rocket)
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
    network = _load("tiny", weights_file("mlsd_tiny"))
    theirs = aux_module("mlsd").MLSDdetector(network)(photo, **_options(256))
    assert np.array_equal(MLSDTiny(detect_resolution=256)(photo), theirs)
