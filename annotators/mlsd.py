"""Straight lines of walls, roofs and furniture, one pixel wide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Filter, Image, NetworkAnnotator, param, resolution_param
from annotators.networks.loading import (
    aux_module,
    load_into,
    load_state,
    resize_for_network,
    to_batch,
    weights_file,
)
from annotators.runtime import Runtime

if TYPE_CHECKING:
    import torch

MOST_LINES = 200
"""Limit of the lines, those with the highest scores; as in the original."""
STRIDE = 2
"""Pixels of the network's input in a cell of its output."""


@dataclass(frozen=True)
class MLSD(NetworkAnnotator):
    """M-LSD (Gu et al., 2022), which finds each line by its centre and the offsets of both ends."""

    id = "mlsd"
    title = "M-LSD"
    kind = "lines"
    weights = ("mlsd",)
    library = "controlnet_aux"
    size: ClassVar[str] = "large"

    score_threshold: float = param(0.1, "Lower finds more lines.", minimum=0.01, maximum=1.0, step=0.01)
    distance_threshold: float = param(
        0.1, "Shortest line, at half the detect resolution; 20 keeps long lines only.",
        minimum=0.01, maximum=100.0, step=0.01, unit="px",
    )  # fmt: skip
    detect_resolution: int = resolution_param("lines are found")

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return white lines on black, drawn at the picture's size."""
        return draw_segments(self.segments(source_image, runtime), *source_image.shape[:2])

    def segments(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return (N, 4): x, y of both ends of every line, in pixels of the picture."""
        network = runtime.load(_load, self.size, weights_file(self.weights[0]))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=64)
        opaque = np.full((*photo.shape[:2], 1), 1, np.float32)  # the network was trained with a fourth channel
        with torch.inference_mode():
            output = network(to_batch(np.concatenate([photo, opaque], axis=2), runtime.device) / 127.5 - 1)[0].float()
        found = decode_segments(output, self.score_threshold, self.distance_threshold)
        scale = STRIDE * np.array(source_image.shape[1::-1]) / photo.shape[1::-1]
        return found * np.tile(scale, 2).astype(np.float32)


@dataclass(frozen=True)
class MLSDTiny(MLSD):
    """M-LSD's small network."""

    id = "mlsd_tiny"
    title = "M-LSD tiny"
    note = "Ships with the project; M-LSD finds more."
    weights = ("mlsd_tiny",)
    size = "tiny"


@dataclass(frozen=True)
class OpenCVLines(Filter):
    """OpenCV's line segment detector (von Gioi et al., 2010), which finds straight runs of gradients."""

    id = "lines_opencv"
    title = "OpenCV (no weights)"
    kind = "lines"
    note = "Needs no network and no download; finds straight gradients, not walls."

    shortest: int = param(24, "Shortest line for a short side of 512 px.", minimum=1, maximum=256, step=1, unit="px")

    def annotate(self, source_image: Image) -> Image:
        """Return white lines on black."""
        height, width = source_image.shape[:2]
        found: Any = cv2.createLineSegmentDetector().detect(cv2.cvtColor(source_image, cv2.COLOR_RGB2GRAY))[0]
        segments = np.zeros((0, 4), np.float32) if found is None else found.reshape(-1, 4)
        lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
        return draw_segments(segments[lengths >= self.shortest * min(height, width) / 512], height, width)


def decode_segments(output: torch.Tensor, score_threshold: float, distance_threshold: float) -> NDArray[np.float32]:
    """The network's (9, h, w) output, of which five channels are used → (N, 4) ends of lines in cells, best score first.

    Channel 0 is the logit of a line's centre, 1 to 4 are the offsets of its ends. Lines not longer than
    `distance_threshold` cells are left out.
    """
    from torch.nn.functional import max_pool2d

    width = output.shape[2]
    score = output[:1].sigmoid()
    centres = (score * (max_pool2d(score, 3, stride=1, padding=1) == score)).flatten()
    scores, places = centres.topk(min(MOST_LINES, centres.numel()))
    offsets = output[1:5].flatten(1)[:, places].T.cpu().numpy()
    places = places.cpu().numpy()
    centre = np.column_stack([places % width, places // width])
    lengths = np.hypot(offsets[:, 0] - offsets[:, 2], offsets[:, 1] - offsets[:, 3])
    chosen = (scores.cpu().numpy() > score_threshold) & (lengths > distance_threshold)
    return (np.tile(centre, 2) + offsets)[chosen].astype(np.float32)


def draw_segments(segments: NDArray[Any], height: int, width: int) -> Image:
    """(N, 4) x, y of both ends → white lines on black, one pixel wide."""
    canvas = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in segments.astype(np.int64).tolist():  # truncated, as in the original
        cv2.line(canvas, (x0, y0), (x1, y1), (255, 255, 255), 1)
    return canvas


def _load(device: str, size: str, path: Path) -> torch.nn.Module:
    create = getattr(aux_module(f"mlsd.models.mbv2_mlsd_{size}"), f"MobileV2_MLSD_{size.capitalize()}")
    return load_into(create(), load_state(path), path, device)
