"""Annotators of controlnet_aux on weights that both sides share: what tests compare with, and what is measured against."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotators.base import Image
from annotators.networks.loading import aux_module


@dataclass(frozen=True)
class Peer:
    """The network of an annotator's file, with random weights, and what the library makes of a picture with it."""

    create: Callable[[], torch.nn.Module]
    detect: Callable[[torch.nn.Module, Image, int], NDArray[Any]]
    """From network, picture, and short side in px."""


def lively(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights under which no answer is the same everywhere, as of some networks it is when they are made."""
    torch.manual_seed(1)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim == 4:
                value.normal_(0, 1.4 / value[0].numel() ** 0.5)
    return network.eval().requires_grad_(False)


def _options(side: int, **more: Any) -> dict[str, Any]:
    return {"detect_resolution": side, "image_resolution": side, "output_type": "np"} | more


def _hed(**more: Any) -> Peer:
    module = aux_module("hed")
    return Peer(
        lambda: lively(module.ControlNetHED_Apache2()),
        lambda net, photo, side: module.HEDdetector(net)(photo, **_options(side, **more)),
    )


def _pidinet(**more: Any) -> Peer:
    module = aux_module("pidi")
    return Peer(
        lambda: lively(module.pidinet()),
        lambda net, photo, side: module.PidiNetDetector(net)(photo, **_options(side, **more)),
    )


def _teed() -> Peer:
    module = aux_module("teed")
    return Peer(lambda: lively(module.TED()), lambda net, photo, side: module.TEEDdetector(net)(photo, side, 2, "np"))


def _lineart() -> Peer:
    module = aux_module("lineart")

    def detect(net: torch.nn.Module, photo: Image, side: int) -> Image:
        return module.LineartDetector(net, net)(photo, **_options(side))

    return Peer(lambda: lively(module.Generator(3, 1, 3)), detect)


def _mlsd(size: str) -> Peer:
    network = getattr(aux_module(f"mlsd.models.mbv2_mlsd_{size}"), f"MobileV2_MLSD_{size.capitalize()}")
    detector = aux_module("mlsd").MLSDdetector
    return Peer(
        lambda: lively(network()),
        lambda net, photo, side: detector(net)(photo, thr_v=0.1, thr_d=5.0, **_options(side)),
    )


def lineart_anime(width: int = 64) -> Peer:
    """Of a network that begins with so many channels; the real one has 64."""
    module = aux_module("lineart_anime")

    def create() -> torch.nn.Module:
        norm = partial(torch.nn.InstanceNorm2d, affine=False)
        return lively(module.UnetGenerator(3, 1, 8, width, norm_layer=norm))

    return Peer(create, lambda net, photo, side: module.LineartAnimeDetector(net)(photo, **_options(side)))


def leres() -> Peer:
    """The library turns RGB about and leaves out the division by 255; it is given what the network's authors give."""

    def create() -> torch.nn.Module:
        torch.manual_seed(0)
        return aux_module("leres.leres.multi_depth_model_woauxi").RelDepthModel(backbone="resnext101").eval()

    def detect(network: torch.nn.Module, photo: Image, side: int) -> NDArray[np.float32]:
        height, width = (round(length * side / min(photo.shape[:2])) for length in photo.shape[:2])
        far = aux_module("leres.leres.depthmap").estimateleres(photo[..., ::-1] / 255.0, network, width, height)
        near = 255 - 255 * (far - far.min()) / np.ptp(far)
        return np.repeat(near[..., None], 3, axis=2)

    return Peer(create, detect)


def normal_bae() -> Peer:
    """As made, what the network's layers see would fade away before the end."""

    def create() -> torch.nn.Module:
        torch.manual_seed(0)
        options = SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7)
        with contextlib.redirect_stdout(sys.stderr):  # it reports on building itself
            network = aux_module("normalbae.nets.NNET").NNET(options)
        for part in network.decoder.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0
        with torch.no_grad():
            for name, value in network.decoder.named_parameters():
                if name.startswith("out_conv"):
                    value.mul_(0 if name.endswith("bias") else 3)
            network(torch.randn(1, 3, 64, 64))
        return network.eval()

    detector = aux_module("normalbae").NormalBaeDetector
    return Peer(create, lambda net, photo, side: detector(net)(photo, **_options(side)))


PEERS: Mapping[str, Callable[[], Peer]] = MappingProxyType(
    {
        "hed": _hed,
        "hed_safe": lambda: _hed(safe=True),
        "pidinet": _pidinet,
        "pidinet_safe": lambda: _pidinet(safe=True),
        "teed": _teed,
        "lineart": _lineart,
        "lineart_coarse": _lineart,
        "mlsd": lambda: _mlsd("large"),
    }
)
"""By annotator; each annotator has the parameters of `SETTINGS`, the library its own that mean the same."""
SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"mlsd": {"distance_threshold": 5.0}})
LARGE_PEERS: Mapping[str, Callable[[], Peer]] = MappingProxyType(
    {"lineart_anime": lineart_anime, "normal_bae": normal_bae, "leres": leres}
)
"""Those whose networks have hundreds of megabytes."""
