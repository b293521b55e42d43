"""Line art: a drawing of the photo, white lines on black."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from annotators.base import Filter, Image, NetworkAnnotator, param, resolution_param
from annotators.maps.encoders import lines
from annotators.networks.loading import (
    aux_module,
    load_into,
    load_state,
    resize_for_network,
    resize_to,
    to_batch,
    weights_file,
)
from annotators.runtime import Runtime

if TYPE_CHECKING:
    import torch

RESIDUAL_BLOCKS = 3
"""Of the published drawing networks."""
ANIME_MULTIPLE = 256
"""The anime network halves each side of its input eight times."""


@dataclass(frozen=True)
class LineArtStandard(Filter):
    """Lines where all colour channels are darker than their surroundings, relative to the picture's median line."""

    id = "lineart_standard"
    title = "Standard (no weights)"
    kind = "soft_lines"
    note = "Needs no network and no download."

    sigma: float = param(
        6.0, "Width of the surroundings for a short side of 512 px; larger draws broader lines.",
        minimum=0.5, maximum=20.0, step=0.5, unit="px",
    )  # fmt: skip
    threshold: int = param(8, "Lower draws fainter lines.", minimum=0, maximum=64, step=1)

    def annotate(self, source_image: Image) -> Image:
        """Return grey lines on black."""
        photo = source_image.astype(np.float32)
        around = cv2.GaussianBlur(photo, (0, 0), max(0.3, self.sigma * min(photo.shape[:2]) / 512))
        darker = (around - photo).min(axis=2).clip(0)
        drawn = darker[darker > self.threshold]
        usual = float(np.median(drawn)) if drawn.size else 0.0
        return lines(darker * (127 / max(16.0, usual)))


@dataclass(frozen=True)
class Invert(Filter):
    """A drawing on paper as a map: dark lines become white on black."""

    id = "invert"
    title = "Drawing on paper (inverted)"
    kind = "soft_lines"
    note = "For pictures that are drawings already; a photo's negative is a poor map."
    reads_drawings = True

    def annotate(self, source_image: Image) -> Image:
        """Return 255 minus the grey of the drawing."""
        return lines(255 - cv2.cvtColor(source_image, cv2.COLOR_RGB2GRAY))


@dataclass(frozen=True)
class LineArt(NetworkAnnotator):
    """Lines as an artist draws them (Chan et al., 2022)."""

    id = "lineart"
    title = "Realistic"
    kind = "soft_lines"
    weights = ("lineart",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("lines are found")

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return grey lines on black; the network draws dark on white."""
        network = runtime.load(_load, weights_file(self.weights[0]))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=8)
        with torch.inference_mode():
            paper = network((to_batch(photo, runtime.device) / 255).contiguous())[0, 0].float().cpu().numpy()
        return lines(255 - 255 * resize_to(paper, source_image))


@dataclass(frozen=True)
class LineArtCoarse(LineArt):
    """The same network, trained on rougher drawings."""

    id = "lineart_coarse"
    title = "Coarse"
    weights = ("lineart_coarse",)


@dataclass(frozen=True)
class LineArtAnime(NetworkAnnotator):
    """Lines as in anime."""

    id = "lineart_anime"
    title = "Anime"
    kind = "soft_lines"
    weights: ClassVar[tuple[str, ...]] = ("lineart_anime",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("lines are found", minimum=256, step=256)

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return grey lines on black; the network draws dark on white."""
        network = runtime.load(_load_anime, weights_file("lineart_anime"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=ANIME_MULTIPLE)
        with torch.inference_mode():
            paper = network((to_batch(photo, runtime.device) / 127.5 - 1).contiguous())[0, 0].float().cpu().numpy()
        return lines(127.5 - 127.5 * resize_to(paper, source_image))


def _load(device: str, path: Path) -> torch.nn.Module:
    network = aux_module("lineart").Generator(3, 1, RESIDUAL_BLOCKS)
    return load_into(network, load_state(path), path, device, channels_last=False)


def _load_anime(device: str, path: Path) -> torch.nn.Module:
    from functools import partial

    from torch.nn import InstanceNorm2d

    normalise = partial(InstanceNorm2d, affine=False, track_running_stats=False)
    network = aux_module("lineart_anime").UnetGenerator(3, 1, 8, 64, norm_layer=normalise, use_dropout=False)
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, state, path, device, channels_last=False)
