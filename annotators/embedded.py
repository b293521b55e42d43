"""The annotators that ship with the project: one small network, trained on procedural scenes, for five conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, NetworkAnnotator
from annotators.depth import DepthAnnotator
from annotators.maps.control_map import MapData
from annotators.maps.encoders import encode_normal, lines
from annotators.maps.segments import Segments
from annotators.networks.loading import (
    check_finite,
    check_memory,
    resize_for_network,
    resize_to,
    to_batch,
    weights_folder,
)
from annotators.people.body_annotator import BodyAnnotator, score_threshold
from annotators.people.poses import Person, Pose
from annotators.runtime import Runtime
from annotators.segmentation import SegmentationAnnotator
from models.errors import DamagedError

if TYPE_CHECKING:
    from annotators.networks.scene_net import SceneMaps, SceneNet

WEIGHTS = ("embedded_annotator",)
SHORT_SIDE = 256
"""Pixels of the network's training pictures."""
JOINT_THRESHOLD = 0.3
"""Height of a heat map above which a joint counts as found."""
SURE = 0.62
"""Mean height of a person's joints below which the person is in doubt: those that are seen in photos of a cat, a cup and a
rocket have at most 0.6, nineteen of twenty in the network's own scenes have more."""
NECK = 1


def _note(better: str, source: str = "a download") -> str:
    return f"Trained on drawn scenes and weak on real photos; for photos choose {better} ({source})."


@dataclass(frozen=True)
class DepthEmbedded(DepthAnnotator):
    """Inverse depth by the embedded network."""

    id = "depth_embedded"
    title = "Embedded"
    weights = WEIGHTS
    note = _note("MiDaS")

    def nearness(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return inverse depth in [0, 1]."""
        return resize_to(_maps(source_image, runtime).depth[0, 0].cpu().numpy(), source_image)


@dataclass(frozen=True)
class NormalEmbedded(NetworkAnnotator):
    """Normals by the embedded network."""

    id = "normal_embedded"
    title = "Embedded"
    kind = "normal"
    weights = WEIGHTS
    note = _note("Normals (BAE)")

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return a map with red left, green top, blue front."""
        vectors = resize_to(_maps(source_image, runtime).normal[0].permute(1, 2, 0).cpu().numpy(), source_image)
        return encode_normal(vectors / np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-6))


@dataclass(frozen=True)
class SegmentationEmbedded(SegmentationAnnotator):
    """Classes by the embedded network, which knows the eight of its scenes."""

    id = "segmentation_embedded"
    title = "Embedded"
    weights = WEIGHTS
    note = _note("OneFormer")

    def detect(self, source_image: Image, runtime: Runtime) -> Segments:
        """Return the classes; -1 is none of the eight."""
        from annotators.networks.scene_net import SEGMENTS

        logits = resize_to(_maps(source_image, runtime).segmentation[0].permute(1, 2, 0).cpu().numpy(), source_image)
        return Segments(np.array(SEGMENTS, np.int16)[logits.argmax(axis=2)])


@dataclass(frozen=True)
class OpenPoseEmbedded(BodyAnnotator):
    """Joints by the embedded network, of up to two people."""

    id = "openpose_embedded"
    title = "Embedded"
    weights = WEIGHTS
    note = _note("MediaPipe", "ships with the project")

    score_threshold: float = score_threshold(JOINT_THRESHOLD)

    def people(self, source_image: Image, runtime: Runtime) -> list[Person]:
        """Return people with bodies, without hands or faces."""
        height, width = source_image.shape[:2]
        heat = _maps(source_image, runtime).pose[0].sigmoid().cpu().numpy()
        scale = np.array([width / heat.shape[2], height / heat.shape[1], 1])
        return [Person(body=person * scale) for person in people_from_heat(heat, self.score_threshold)]

    def doubt(self, data: MapData) -> str:
        """Return a warning about the person with the least confidence, where that is below SURE."""
        people = data.people if isinstance(data, Pose) else ()
        heights = [float(person.body[person.body[:, 2] > 0, 2].mean()) for person in people]
        if not heights or min(heights) >= SURE:
            return ""
        return (
            f"A person was found with a confidence of {100 * min(heights):.0f} % only, which is probably none; "
            "for photos choose MediaPipe, which ships with the project."
        )


@dataclass(frozen=True)
class SoftEdgeEmbedded(NetworkAnnotator):
    """Soft edges by the embedded network."""

    id = "softedge_embedded"
    title = "Embedded"
    kind = "soft_lines"
    weights = WEIGHTS
    note = _note("HED")

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return soft white lines on black."""
        return lines(resize_to(255 * _maps(source_image, runtime).softedge[0, 0].sigmoid().cpu().numpy(), source_image))


def people_from_heat(heat: NDArray[np.float32], threshold: float = JOINT_THRESHOLD) -> list[NDArray[np.float64]]:
    """(18, h, w) in [0, 1] → people as (18, 3): x, y in cells from the corner, and the height of the peak or 0.

    There is a person for each peak of the neck's map, at most two; a joint belongs to the person whose neck is nearest.
    Without a neck above the threshold, the highest peaks are one person. A person has at least three joints.
    """
    peaks = [_peaks(channel, threshold) for channel in heat]
    people = [np.zeros((len(heat), 3)) for _ in peaks[NECK]] or [np.zeros((len(heat), 3))]
    for joint, found in enumerate(peaks):
        for x, y, score in reversed(found):  # the highest is written last
            distances = [(x - neck[0]) ** 2 + (y - neck[1]) ** 2 for neck in peaks[NECK]]
            people[int(np.argmin(distances)) if distances else 0][joint] = x, y, score
    return [person for person in people if np.count_nonzero(person[:, 2]) >= 3]


def _peaks(channel: NDArray[np.float32], threshold: float) -> list[tuple[float, float, float]]:
    """Return up to two local maxima, the highest first: x, y to fractions of a cell, height."""
    highest = (channel == cv2.dilate(channel, np.ones((7, 7), np.uint8))) & (channel > threshold)
    places = sorted(np.argwhere(highest).tolist(), key=lambda place: -channel[place[0], place[1]])[:2]
    return [(*_centre(channel, row, column), float(channel[row, column])) for row, column in places]


def _centre(channel: NDArray[np.float32], row: int, column: int) -> tuple[float, float]:
    """Return the top of the bell whose highest cell this is: x, y in cells from the corner of the map."""
    around = np.log(np.maximum(np.pad(channel, 1, mode="edge")[row : row + 3, column : column + 3], 1e-6))
    return column + 0.5 + _vertex(*around[1]), row + 0.5 + _vertex(*around[:, 1])


def _vertex(before: float, peak: float, after: float) -> float:
    """Return the top of the parabola through three neighbours, from -0.5 to 0.5; exact for a bell's logarithm."""
    bend = before + after - 2 * peak
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < -1e-6 else 0.0


def _maps(source_image: Image, runtime: Runtime) -> SceneMaps:
    """Return all maps of the picture, at the network's size."""
    folder = weights_folder(WEIGHTS[0])
    import torch

    from annotators.networks.scene_net import MULTIPLE

    network = runtime.load(_load, folder)
    with torch.inference_mode():
        return network(to_batch(resize_for_network(source_image, SHORT_SIDE, MULTIPLE), runtime.device) / 255)


def _load(device: str, folder: Path) -> SceneNet:
    from annotators.networks.scene_net import load_scene_net

    try:
        network = load_scene_net(folder)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        check_memory(folder, error)
        raise DamagedError(
            f"The embedded annotator in {folder} is damaged ({type(error).__name__}); get the project again."
        ) from error
    check_finite(network, folder)
    return network.to(device)
