"""Normals: red is left, green is up, blue faces the viewer."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from annotators.base import Annotator, Image, param
from annotators.networks import (
    aux_module,
    kept,
    load_into,
    load_state,
    resize_for_network,
    resize_to,
    to_batch,
    weights_file,
)

if TYPE_CHECKING:
    import torch

# Of ImageNet, with which the network was trained; for pixels from 0 to 255.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)


@dataclass(frozen=True)
class NormalBAE(Annotator):
    """Surface normals by Bae et al. (2021), trained on ScanNet; the network's own axes are those of the map."""

    id = "normal_bae"
    title = "Normals (BAE)"
    kind = "normal"
    weights = ("normal_bae",)

    detect_resolution: int = param(
        512, "Short side at which surfaces are looked at.", minimum=128, maximum=1024, step=64, unit="px"
    )

    def __call__(self, source_image: Image) -> Image:
        """Unit vectors as colours."""
        path = weights_file("normal_bae")
        import torch

        network = _load(path)
        photo = resize_for_network(source_image, self.detect_resolution, multiple=64)
        with torch.inference_mode():
            finest = network(to_batch((photo - MEAN) / DEVIATION))[0][-1]
        vectors = resize_to(finest[0, :3].permute(1, 2, 0).float().cpu().numpy(), source_image)
        return np.clip(np.rint(vectors * 127.5 + 127.5), 0, 255).astype(np.uint8)


@kept
def _load(path: Path) -> torch.nn.Module:
    # What the sampling ratios are does not matter outside training.
    options = SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7)
    module = aux_module("normalbae.nets.NNET")
    with contextlib.redirect_stdout(sys.stderr):  # it reports on building itself
        network = module.NNET(options)
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, state, path)
