"""Line art: a drawing of the photo, white lines on black."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from annotators.base import Annotator, Image, param, resolution_param
from annotators.maps import lines
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

RESIDUAL_BLOCKS = 3
"""Of the published drawing networks."""
ANIME_MULTIPLE = 256
"""The anime network halves its sides eight times."""


@dataclass(frozen=True)
class LineArtStandard(Annotator):
    """Where every colour channel is darker than its surroundings, as strong as the picture's usual line."""

    id = "lineart_standard"
    title = "Standard (no weights)"
    kind = "soft_lines"
    note = "Works at once, without any network."

    sigma: float = param(
        6.0, "Reach of the surroundings where the short side is 512; larger draws broader.",
        minimum=0.5, maximum=20.0, step=0.5, unit="px",
    )  # fmt: skip
    threshold: int = param(8, "Darkness from which a pixel counts as a line.", minimum=0, maximum=64, step=1)

    def __call__(self, source_image: Image) -> Image:
        """Grey lines on black."""
        photo = source_image.astype(np.float32)
        around = cv2.GaussianBlur(photo, (0, 0), max(0.3, self.sigma * min(photo.shape[:2]) / 512))
        darker = (around - photo).min(axis=2).clip(0)
        drawn = darker[darker > self.threshold]
        usual = float(np.median(drawn)) if drawn.size else 0.0
        return lines(darker * (127 / max(16.0, usual)))


@dataclass(frozen=True)
class Invert(Annotator):
    """A drawing on paper, as a map: its dark lines become white ones on black."""

    id = "invert"
    title = "Drawing on paper (inverted)"
    kind = "soft_lines"
    note = "For a picture that is a drawing already; a photo's negative steers badly."

    def __call__(self, source_image: Image) -> Image:
        """255 minus the grey of the drawing."""
        return lines(255 - cv2.cvtColor(source_image, cv2.COLOR_RGB2GRAY))


@dataclass(frozen=True)
class LineArt(Annotator):
    """Lines as an artist draws them (Chan et al., 2022)."""

    id = "lineart"
    title = "Realistic"
    kind = "soft_lines"
    weights = ("lineart",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("lines are looked for")

    def __call__(self, source_image: Image) -> Image:
        """Grey lines on black; the network draws dark on white."""
        network = _load(weights_file(self.weights[0]))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=8)
        with torch.inference_mode():
            paper = network((to_batch(photo) / 255).contiguous())[0, 0].float().cpu().numpy()
        return lines(255 - 255 * resize_to(paper, source_image))


@dataclass(frozen=True)
class LineArtCoarse(LineArt):
    """The same network, taught by rougher drawings."""

    id = "lineart_coarse"
    title = "Coarse"
    weights = ("lineart_coarse",)


@dataclass(frozen=True)
class LineArtAnime(Annotator):
    """Lines as in anime."""

    id = "lineart_anime"
    title = "Anime"
    kind = "soft_lines"
    weights: ClassVar[tuple[str, ...]] = ("lineart_anime",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("lines are looked for", minimum=256, step=256)

    def __call__(self, source_image: Image) -> Image:
        """Grey lines on black; the network draws dark on white."""
        network = _load_anime(weights_file("lineart_anime"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=ANIME_MULTIPLE)
        with torch.inference_mode():
            paper = network((to_batch(photo) / 127.5 - 1).contiguous())[0, 0].float().cpu().numpy()
        return lines(127.5 - 127.5 * resize_to(paper, source_image))


@kept
def _load(path: Path) -> torch.nn.Module:
    return load_into(
        aux_module("lineart").Generator(3, 1, RESIDUAL_BLOCKS), load_state(path), path, channels_last=False
    )


@kept
def _load_anime(path: Path) -> torch.nn.Module:
    from functools import partial

    from torch.nn import InstanceNorm2d

    normalise = partial(InstanceNorm2d, affine=False, track_running_stats=False)
    network = aux_module("lineart_anime").UnetGenerator(3, 1, 8, 64, norm_layer=normalise, use_dropout=False)
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, state, path, channels_last=False)
