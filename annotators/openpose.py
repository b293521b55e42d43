"""OpenPose: people as coloured sticks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param
from annotators.maps import draw_pose
from annotators.networks import aux_module, kept, load_into, load_state, resize_for_network, weights_file

HAND_BONES = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
"""Five fingers of four bones each, from the wrist (point 0)."""


@dataclass(frozen=True)
class OpenPose(Annotator):
    """Body, hands and face by part affinity fields (Cao et al., 2017)."""

    id = "openpose"
    title = "OpenPose"
    kind = "pose"
    weights = ("openpose_body",)
    note = "Its weights are free for non-commercial use only; hands and faces need 147 MB and 154 MB more."

    detect_resolution: int = param(
        512, "Short side at which people are looked for.", minimum=128, maximum=1024, step=64, unit="px"
    )
    hands: bool = param(False, "Draw fingers too.")
    faces: bool = param(False, "Draw faces too.")

    def __call__(self, source_image: Image) -> Image:
        """Sticks on black; black alone where nobody is found."""
        height, width = source_image.shape[:2]
        photo = resize_for_network(source_image, self.detect_resolution, multiple=64)
        paths = [weights_file(f"openpose_{part}") for part in ("body", *self._more())]
        found = _load(tuple(paths), self._more()).detect_poses(photo, include_hand=self.hands, include_face=self.faces)
        canvas = draw_pose([_body(person.body.keypoints, height, width) for person in found], height, width)
        for person in found:
            for hand in (person.left_hand, person.right_hand):
                _draw_hand(canvas, _points(hand, height, width))
            _draw_face(canvas, _points(person.face, height, width))
        return canvas

    def _more(self) -> tuple[str, ...]:
        return ("hand",) * self.hands + ("face",) * self.faces


@kept
def _load(paths: tuple[Path, ...], more: tuple[str, ...]) -> Any:
    """The library's detector; parts that were not asked for are None. Its own loading would unpickle anything."""
    library = aux_module("open_pose")
    parts: dict[str, Any] = {"body": None, "hand": None, "face": None}
    for name, path in zip(("body", *more), paths, strict=True):
        state = load_state(path)
        part = parts[name] = object.__new__(getattr(library, name.capitalize()))
        if name == "face":
            part.model = aux_module("open_pose.face").FaceNet()
            part.inference_size, part.sigma, part.threshold = 736, 2.5, 0.1  # the library's own numbers
        else:
            part.model = getattr(aux_module("open_pose.model"), f"{name}pose_model")()
            # The file's names lack the block that the module puts before each layer.
            names = {full.split(".", 1)[1]: full for full in part.model.state_dict()}
            state = {names.get(short, short): value for short, value in state.items()}
        part.model = load_into(part.model, state, path)
    return library.OpenposeDetector(parts["body"], parts["hand"], parts["face"])


def _body(keypoints: list[Any], height: int, width: int) -> NDArray[np.float64]:
    """(18, 3) in pixels of the map; the library counts in fractions of the picture."""
    points = [(point.x * width, point.y * height, 1.0) if point else (0.0, 0.0, 0.0) for point in keypoints]
    return np.array(points).reshape(18, 3)


def _points(keypoints: list[Any] | None, height: int, width: int) -> list[tuple[int, int] | None]:
    """Pixels of the map; what was not found has a coordinate at or below zero and is None."""
    return [
        (round(point.x * width), round(point.y * height)) if min(point.x, point.y) > 0 else None
        for point in keypoints or []
    ]


def _draw_hand(canvas: Image, points: list[tuple[int, int] | None]) -> None:
    """Bones in the colours of the rainbow, joints blue; thickness 2 and radius 4 where the short side is 512."""
    if not points:
        return
    pixel = min(canvas.shape[:2]) / 512
    hues = np.array([[[179 * i / len(HAND_BONES), 255, 255]] for i in range(len(HAND_BONES))], np.uint8)
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[:, 0].tolist()
    for (start, end), colour in zip(HAND_BONES, colours, strict=True):
        first, last = points[start], points[end]
        if first and last:
            cv2.line(canvas, first, last, colour, max(1, round(2 * pixel)))
    for point in points:
        if point:
            cv2.circle(canvas, point, max(1, round(4 * pixel)), (0, 0, 255), -1)


def _draw_face(canvas: Image, points: list[tuple[int, int] | None]) -> None:
    """White dots, radius 3 where the short side is 512."""
    for point in points:
        if point:
            cv2.circle(canvas, point, max(1, round(3 * min(canvas.shape[:2]) / 512)), (255, 255, 255), -1)
