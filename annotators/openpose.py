"""OpenPose: bodies, hands and faces by the networks of Cao et al. (2017) and Simon et al. (2017)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, param
from annotators.networks.loading import aux_module, load_into, load_state, to_batch, weights_file
from annotators.people.affinity import STRIDE, bodies_from_fields
from annotators.people.body_annotator import PoseAnnotator, score_threshold
from annotators.people.openpose_parts import (
    HAND_MAP,
    LEFT_ARM,
    RIGHT_ARM,
    Box,
    face_box,
    face_points,
    hand_box,
    hand_points,
)
from annotators.people.poses import Person, Points
from annotators.runtime import Runtime

if TYPE_CHECKING:
    import torch

# Pixels of the networks' inputs, as ControlNet's authors set them.
BODY_HEIGHT_AT_512 = 184
HAND_SIDES, HAND_SOFTENING = (184, 368, 552, 736), 0.8
FACE_SIDE = 384
WIDEST = 8
"""Limit of the input's width over its height; a wider picture is shrunk, for the network's memory."""


@dataclass(frozen=True)
class OpenPose(PoseAnnotator):
    """Body, hands and face by heat maps and part affinity fields."""

    id = "openpose"
    title = "OpenPose"
    weights = ("openpose_body",)
    library = "controlnet_aux"
    note = "For non-commercial use only; hands need 147 MB more, faces 154 MB."

    hands: bool = param(False, "Also finds and draws fingers.")
    faces: bool = param(False, "Also finds and draws faces.")
    detect_resolution: int = param(
        512,
        "Height at which people are found: 512 as in ControlNet's own code; more finds smaller people.",
        minimum=256,
        maximum=1536,
        step=64,
        unit="px",
    )
    score_threshold: float = score_threshold(0.1)

    def needs(self) -> tuple[str, ...]:
        """Return a network for each part."""
        return (*self.weights, *("openpose_hand",) * self.hands, *("openpose_face",) * self.faces)

    def people(self, source_image: Image, runtime: Runtime) -> list[Person]:
        """Return bodies, with their hands and faces."""
        photo = np.ascontiguousarray(source_image[..., ::-1])  # the networks were trained on BGR
        people = [Person(body=body) for body in self._bodies(photo, runtime)]
        if self.hands:
            network = runtime.load(load_hand_network, weights_file("openpose_hand"))
            people = [_with_hands(person, photo, network, runtime.device) for person in people]
        if self.faces:
            network = runtime.load(load_face_network, weights_file("openpose_face"))
            people = [_with_face(person, photo, network, runtime.device) for person in people]
        return people

    def _bodies(self, photo: Image, runtime: Runtime) -> list[Points]:
        network = runtime.load(load_body_network, weights_file("openpose_body"))
        height, width = photo.shape[:2]
        scale = BODY_HEIGHT_AT_512 * self.detect_resolution / 512 / max(height, width / WIDEST)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        heat, fields = read_fields(network, resize_smoothly(photo, *size), runtime.device)
        to_photo = np.array([width / size[0], height / size[1], 1])
        bodies = [body * to_photo for body in bodies_from_fields(heat, fields, size[1], size[0])]
        return [np.where(body[:, 2:] >= self.score_threshold, body, 0) for body in bodies]


def read_fields(network: Any, photo: Image, device: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W, 3) BGR of any size → heat (h, w, 19) and fields (h, w, 38), eight times smaller."""
    height, width = photo.shape[:2]
    padded = np.pad(photo, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), constant_values=128)
    fields, heat = _run(network, padded, device)
    return _channels_last(heat), _channels_last(fields)


def _with_hands(person: Person, photo: Image, network: Any, device: str) -> Person:
    height, width = photo.shape[:2]
    boxes = [hand_box(person.body, arm, height, width) for arm in (LEFT_ARM, RIGHT_ARM)]
    left, right = (box and _moved(find_hand(network, _crop(photo, box), device), box) for box in boxes)
    return Person(body=person.body, left_hand=left, right_hand=right, face=person.face)


def _with_face(person: Person, photo: Image, network: Any, device: str) -> Person:
    box = face_box(person.body, *photo.shape[:2])
    face = box and _moved(find_face(network, _crop(photo, box), device), box)
    return Person(body=person.body, left_hand=person.left_hand, right_hand=person.right_hand, face=face)


def find_hand(network: Any, crop: Image, device: str) -> Points:
    """(H, W, 3) BGR of one hand → (21, 3) in its pixels, from the mean heat at four sizes."""
    soft = np.asarray(cv2.GaussianBlur(crop, (0, 0), HAND_SOFTENING), np.uint8)
    heat = np.zeros((HAND_MAP, HAND_MAP, 22), np.float32)
    for side in HAND_SIDES:
        cells = _channels_last(_run(network, resize_smoothly(soft, side, side), device))
        heat += cv2.resize(cells, (HAND_MAP, HAND_MAP), interpolation=cv2.INTER_LANCZOS4) / len(HAND_SIDES)
    return hand_points(heat, *crop.shape[:2])


def find_face(network: Any, crop: Image, device: str) -> Points:
    """(H, W, 3) BGR of one face → (70, 3) in its pixels."""
    stages = _run(network, resize_smoothly(crop, FACE_SIDE, FACE_SIDE), device)
    return face_points(stages[-1][0].cpu().numpy(), *crop.shape[:2])


def resize_smoothly(photo: Image, width: int, height: int) -> Image:
    """Resize as the original does: area means to shrink, Lanczos to enlarge."""
    smaller = width + height < sum(photo.shape[:2])
    method = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(photo, (width, height), interpolation=method), np.uint8)


def _run(network: Any, photo: Image, device: str) -> Any:
    """Return the network's own output for pixels from -0.5 to 0.5, as in its training."""
    import torch

    with torch.inference_mode():
        return network(to_batch(photo, device) / 256 - 0.5)


def _channels_last(maps: torch.Tensor) -> NDArray[np.float32]:
    """(1, C, h, w) → (h, w, C)."""
    return np.ascontiguousarray(maps[0].permute(1, 2, 0).cpu().numpy(), np.float32)


def _crop(photo: Image, box: Box) -> Image:
    return np.ascontiguousarray(photo[box.y : box.y + box.side, box.x : box.x + box.side])


def _moved(points: Points, box: Box) -> Points:
    """Convert points from the box's pixels to the picture's; points that were not found stay zero."""
    return np.where(points[:, 2:] > 0, np.add(points, (box.x, box.y, 0)), 0)


def load_body_network(device: str, path: Path) -> Any:
    """Return OpenPose's body network."""
    return _load_unnamed("bodypose_model", path, device)


def load_hand_network(device: str, path: Path) -> Any:
    """Return OpenPose's hand network."""
    return _load_unnamed("handpose_model", path, device)


def load_face_network(device: str, path: Path) -> Any:
    """Return OpenPose's face network."""
    return load_into(aux_module("open_pose.face").FaceNet(), load_state(path), path, device)


def _load_unnamed(name: str, path: Path, device: str) -> Any:
    """Return a network whose file lacks the block name that the module puts before each layer's name."""
    network = getattr(aux_module("open_pose.model"), name)()
    names = {full.split(".", 1)[1]: full for full in network.state_dict()}
    state = {names.get(short, short): value for short, value in load_state(path).items()}
    return load_into(network, state, path, device)
