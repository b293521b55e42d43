"""Annotators of controlnet_aux on weights that both sides share: what tests compare with, and what is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from annotators.base import Image
from annotators.networks import aux_module


@dataclass(frozen=True)
class Peer:
    """The network of an annotator's file, and what the library makes of a picture with it."""

    create: Callable[[], torch.nn.Module]
    detect: Callable[[torch.nn.Module, Image, int], Image]
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
        module.ControlNetHED_Apache2, lambda net, photo, side: module.HEDdetector(net)(photo, **_options(side, **more))
    )


def _pidinet(**more: Any) -> Peer:
    module = aux_module("pidi")
    return Peer(module.pidinet, lambda net, photo, side: module.PidiNetDetector(net)(photo, **_options(side, **more)))


def _teed() -> Peer:
    module = aux_module("teed")
    return Peer(module.TED, lambda net, photo, side: module.TEEDdetector(net)(photo, side, 2, "np"))


def _lineart() -> Peer:
    module = aux_module("lineart")

    def detect(net: torch.nn.Module, photo: Image, side: int) -> Image:
        return module.LineartDetector(net, net)(photo, **_options(side))

    return Peer(lambda: module.Generator(3, 1, 3), detect)


def _mlsd(size: str) -> Peer:
    network = getattr(aux_module(f"mlsd.models.mbv2_mlsd_{size}"), f"MobileV2_MLSD_{size.capitalize()}")
    detector = aux_module("mlsd").MLSDdetector
    return Peer(network, lambda net, photo, side: detector(net)(photo, thr_v=0.1, thr_d=5.0, **_options(side)))


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
