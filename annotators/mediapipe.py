"""MediaPipe's holistic pose: bodies, hands and faces of all people, by seven small networks in ONNX files.

A detector finds heads in square windows of the photo, each with the place and size of its body. The landmark network reads
the joints in a turned square around the body; hands and faces are read in squares that follow from the joints. Sources: Google's
MediaPipe (BlazePose, Bazarevsky et al., 2020; Hands, Zhang et al., 2020; Face Mesh, Kartynnik et al., 2019). Constants are
MediaPipe's except where a comment names another source. MediaPipe finds one person; the rules for several are this project's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, param
from annotators.networks.loading import weights_folder
from annotators.people.body_annotator import PoseAnnotator, score_threshold
from annotators.people.mediapipe_networks import (
    Array,
    Detection,
    Detector,
    Network,
    Region,
    load_body_networks,
    load_face_networks,
    load_hand_networks,
    overlapping,
    sigmoid,
)
from annotators.people.pose_json import FACE_POINTS, HAND_POINTS, Points
from annotators.people.poses import Person
from annotators.runtime import Runtime

HEAD_LEAST, PALM_LEAST, FACE_LEAST = 0.3, 0.5, 0.5
"""Lowest scores of detections. MediaPipe has 0.5 for heads; what 0.3 adds wrongly, the rules for bodies reject."""
BODY_LEAST, PART_LEAST, WRIST_LEAST = 0.9, 0.5, 0.1
"""Lowest presence of a body (MediaPipe: 0.5) and of a hand or face; lowest score of a wrist whose hand is read."""
SPREAD_LEAST = 0.2
"""Smallest extent of a body's joints, in sides of its square: people measured had 0.29 and more, a texture 0.16."""
LATER_EXTRA = 0.05
"""Margin above the threshold for people found later: in a search window, or after somebody else was found."""
SEARCH_SIDE, MASK_EDGE = 512, 7
"""Long side in pixels of the photo in which heads are looked for, and width by which a person's mask is enlarged."""
WINDOW_SIZE, WINDOW_STEP = 1.35, 0.65
"""Side of a search window in halves or thirds of the long side, and distance of two windows in windows."""
SAME_BODY, SAME_HEAD, SAME_HAND = 0.4, 0.75, 0.25
"""Two findings are one person or hand above this similarity of joints, or below this distance in sizes of head or hand."""
JOINT_REACH = 0.1
"""Standard deviation of the similarity of joints, in sides of the body's square."""
AGREEMENT = 0.05
"""Largest distance of a joint from the mirrored photo's at which they are averaged, in sides of the body's square."""
HEAT_CELLS, HEAT_LEAST = 3, 0.5
"""Cells on each side of a joint in its heat map, and the height there from which the map corrects the joint."""

# The landmark network's 39 points: 33 joints of BlazePose, then the middle of the hips and a point at the body's reach.
BODY_POINTS, HIPS, REACH = 39, 33, 34
BODY_FROM = (0, 0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""OpenPose's 18 points by their numbers in BlazePose; the neck (the second) is the middle of the shoulders."""
NECK, SHOULDERS, HEAD = 1, (11, 12), slice(0, 11)
EYES = (5, 2)
LEFT_HAND, RIGHT_HAND = (15, 17, 19), (16, 18, 20)
"""Wrist, base of the little finger, base of the index finger."""
MIRRORED = (0, 4, 5, 6, 1, 2, 3, *(point + (1 if point % 2 else -1) for point in range(7, 33)), *range(33, BODY_POINTS))
"""Each point's number in a mirrored photo, where left and right are exchanged."""
QUALITY_POINTS = 25
"""Points from the head to the hips and hands, the first ones, whose heat is a person's quality."""
# OpenPose's 70 points of a face among the 478 of the mesh: equal lengths along the contours of its canonical face.
FACE_FROM = (
    127, 234, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 195, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178,  # lips
    468, 473,  # pupils
)  # fmt: skip


@dataclass(frozen=True)
class MediaPipePose(PoseAnnotator):
    """Bodies, fingers and faces of all people, by MediaPipe's networks."""

    id = "mediapipe_pose"
    title = "MediaPipe"
    weights = ("mediapipe_pose",)
    library = "onnxruntime"
    note = "Ships with the project. People in crowds, far away or half hidden may be missed."

    search: str = param(
        "halves",
        "Also looks at halves or thirds of the photo one by one: finds smaller people, and takes longer.",
        choices=("whole", "halves", "thirds"),
    )
    person_threshold: float = param(0.45, "Lower finds less certain people.", minimum=0.05, maximum=0.95, step=0.05)
    score_threshold: float = score_threshold(0.5)

    def people(self, source_image: Image, runtime: Runtime) -> list[Person]:
        """Return the largest people."""
        folder = weights_folder(self.weights[0])
        finder, joints = runtime.load(load_body_networks, folder)
        parts = ("whole", "halves", "thirds").index(self.search) + 1
        bodies = find_bodies(finder, joints, source_image, parts, self.person_threshold)
        bodies = sorted(bodies, key=lambda body: -body.region.side)[: self.most_people]
        bodies = [steadied(joints, source_image, body) for body in bodies]
        people = [Person(body=to_openpose(body.points, source_image, self.score_threshold)) for body in bodies]
        if self.hands and bodies:
            networks = runtime.load(load_hand_networks, folder)
            hands = [find_hands(*networks, source_image, body) for body in bodies]
            people = [
                replace(person, left_hand=left, right_hand=right)
                for person, (left, right) in zip(people, hands, strict=True)
            ]
        if self.faces and bodies:
            networks = runtime.load(load_face_networks, folder)
            faces = [find_face(*networks, source_image, body) for body in bodies]
            people = [replace(person, face=face) for person, face in zip(people, faces, strict=True)]
        return people


@dataclass(frozen=True, eq=False)
class Body:
    """The joints of a person."""

    points: Points
    """(39, 3): x, y in the picture's pixels, and the smaller of visibility and presence."""
    region: Region
    presence: float
    quality: float
    """Mean height of the heat maps at the joints, 0 to 1."""
    mask: NDArray[np.bool_]
    """(256, 256): where the person is in the region."""


def find_bodies(finder: Detector, joints: Network, photo: Image, parts: int, threshold: float) -> list[Body]:
    """Return people of at least this quality, found in the whole photo, then in its halves, to its `parts`.

    The detector overlooks people next to a prominent one. Whoever is found is therefore painted out, and it looks again.
    """
    scale = min(1.0, SEARCH_SIDE / max(photo.shape[:2]))
    left = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    kept: list[Body] = []
    for part in range(1, parts + 1):
        while True:
            heads = find_heads(finder, left, part)
            regions = [body_region(*head.points[:2] / scale) for head in heads]
            bodies = [body for region in regions if (body := find_body(joints, photo, region))]
            least = threshold + (LATER_EXTRA if kept or part > 1 else 0)
            found = distinct([body for body in bodies if body.quality >= least], kept)
            if not found:
                break
            kept += found
            left = without(found, left, scale)
    return kept


def find_heads(finder: Detector, photo: Image, part: int) -> list[Detection]:
    """Return the heads in the photo, or in windows of this part of it, and of those that overlap the surest."""
    heads = [head for window in windows(photo, part) for head in finder(photo, window, HEAD_LEAST)]
    boxes, scores = np.array([head.box for head in heads]).reshape(-1, 2, 2), np.array([head.score for head in heads])
    return [heads[group[0]] for group in overlapping(boxes, scores)]


def distinct(bodies: list[Body], known: list[Body]) -> list[Body]:
    """Return the bodies that are neither known nor one another's, the best of each."""
    new: list[Body] = []
    for body in sorted(bodies, key=lambda body: -body.quality):
        if not any(is_same(body, other) for other in [*known, *new]):
            new.append(body)
    return new


def without(bodies: list[Body], photo: Image, scale: float) -> Image:
    """Return the photo with the bodies painted over by what is around them; `scale` is its size in sizes of the bodies' photo."""
    cover = np.zeros(photo.shape[:2], np.uint8)
    for body in bodies:
        corner = body.region.to_picture(np.zeros(2))
        to_photo = np.column_stack([body.region.axes / body.mask.shape[0], corner]) * scale
        wide = cv2.dilate(body.mask.astype(np.uint8), np.ones((MASK_EDGE, MASK_EDGE), np.uint8))
        cover |= np.asarray(cv2.warpAffine(wide, to_photo, photo.shape[1::-1], flags=cv2.INTER_NEAREST), np.uint8)
    return np.asarray(cv2.inpaint(photo, cover, 3, cv2.INPAINT_TELEA), np.uint8) if cover.any() else photo


def windows(photo: Image, part: int) -> Iterator[Region]:
    """Yield the whole photo as a square, or for a larger `part` overlapping squares of about that part of its long side."""
    height, width = photo.shape[:2]
    side = max(height, width) * (WINDOW_SIZE / part if part > 1 else 1)
    counts = (max(1, int(np.ceil((length - side) / (WINDOW_STEP * side))) + 1) for length in (width, height))
    across, down = (
        np.linspace(side / 2, length - side / 2, count) if count > 1 else [length / 2]
        for length, count in zip((width, height), counts, strict=True)
    )
    yield from (Region(np.array([x, y]), side) for y in down for x in across)


def body_region(hips: Array, reach: Array) -> Region:
    """Return the square around a body, upright in it, from the middle of the hips and the point that the body reaches to."""
    return Region.along(hips, 2.5 * length(reach - hips), hips, reach, 90)


def find_body(joints: Network, photo: Image, region: Region) -> Body | None:
    """Return the body in a region, read a second time in the square around the joints of the first reading, or None."""
    first = read_body(joints, photo, region)
    if first.presence < PART_LEAST:
        return None
    body = read_body(joints, photo, body_region(first.points[HIPS, :2], first.points[REACH, :2]))
    spread = np.ptp(body.points[:HIPS, :2], axis=0).max()
    return body if body.presence >= BODY_LEAST and spread >= SPREAD_LEAST * body.region.side else None


def steadied(joints: Network, photo: Image, body: Body) -> Body:
    """Return the body's mean with what is read in its mirrored region, where the two agree."""
    other = read_body(joints, photo, body.region, mirrored=True)
    near = np.linalg.norm(body.points[:, :2] - other.points[:, :2], axis=1) <= AGREEMENT * body.region.side
    return replace(body, points=np.where(near[:, None], (body.points + other.points) / 2, body.points))


def read_body(joints: Network, photo: Image, region: Region, mirrored: bool = False) -> Body:
    """Return the joints in a region, which may be read mirrored."""
    output = joints(photo, region, mirrored=mirrored)
    rows = output["landmarks"].reshape(BODY_POINTS, -1)
    places, heights = refine(rows[:, :2] / joints.side, sigmoid(output["heatmap"]))
    points = np.column_stack([places, sigmoid(rows[:, 3:5]).min(axis=1)])
    if mirrored:
        points = ([1, 0, 0] + points * [-1, 1, 1])[list(MIRRORED)]
    points[:, :2] = region.to_picture(points[:, :2])
    quality = float(heights[:QUALITY_POINTS].mean())
    return Body(points, region, float(output["presence"][0]), quality, np.asarray(output["mask"][..., 0] > 0))


def refine(places: Array, heat: Array) -> tuple[Array, Array]:
    """Move points to the centre of the heat around them, where it is high.

    (N, 2) parts of the side and (h, w, N) heat → (N, 2), and the highest heat near each point, 0 outside the map.
    """
    height, width = heat.shape[:2]
    moved, heights = places.copy(), np.zeros(len(places))
    for number, (x, y) in enumerate(places * (width, height)):
        if not (0 <= x < width and 0 <= y < height):
            continue
        left, top = max(int(x) - HEAT_CELLS, 0), max(int(y) - HEAT_CELLS, 0)
        near = heat[top : int(y) + HEAT_CELLS + 1, left : int(x) + HEAT_CELLS + 1, number]
        heights[number] = near.max()
        if heights[number] >= HEAT_LEAST:
            rows, columns = np.mgrid[top : top + near.shape[0], left : left + near.shape[1]]
            moved[number] = (near * columns).sum() / near.sum() / width, (near * rows).sum() / near.sum() / height
    return moved, heights


def is_same(body: Body, other: Body) -> bool:
    """Return whether two findings are one person: most joints near each other, or the heads."""
    distances = np.linalg.norm(body.points[:HIPS, :2] - other.points[:HIPS, :2], axis=1)
    reach = JOINT_REACH * max(body.region.side, other.region.side)
    similarity = float(np.exp(-((distances / reach) ** 2) / 2).mean())
    heads = [found.points[HEAD, :2] for found in (body, other)]
    apart = length(heads[0].mean(axis=0) - heads[1].mean(axis=0))
    return similarity >= SAME_BODY or apart < SAME_HEAD * max(length(np.ptp(head, axis=0)) for head in heads)


def to_openpose(points: Points, photo: Image, threshold: float) -> Points:
    """(39, 3) → OpenPose's (18, 3), with zeros for joints outside the photo or below the threshold."""
    body = points[list(BODY_FROM)]
    shoulders = points[list(SHOULDERS)]
    body[NECK] = *shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
    return inside(np.where(body[:, 2:] >= threshold, body, 0), photo)


def inside(points: Points, photo: Image) -> Points:
    """Return the points, with zeros for those outside the photo."""
    size = np.array(photo.shape[1::-1])
    outside = ((points[:, :2] < 0) | (points[:, :2] > size)).any(axis=1, keepdims=True)
    return np.where(outside, 0, points)


def find_hands(
    recrop: Network, palms: Detector, fingers: Network, photo: Image, body: Body
) -> tuple[Points | None, Points | None]:
    """Return the left and the right hand of a person, each (21, 3); None where there is none to be seen."""
    left, right = (_find_hand(recrop, palms, fingers, photo, body.points[list(arm)]) for arm in (LEFT_HAND, RIGHT_HAND))
    if left is not None and right is not None:
        apart = np.linalg.norm(left[0][:, :2] - right[0][:, :2], axis=1).mean()
        if apart < SAME_HAND * length(np.ptp(left[0][:, :2], axis=0)):  # one hand, found from both wrists
            left, right = (None, right) if left[1] + right[1] > 1 else (left, None)
    return left and inside(left[0], photo), right and inside(right[0], photo)


def _find_hand(
    recrop: Network, palms: Detector, fingers: Network, photo: Image, arm: Points
) -> tuple[Points, float] | None:
    """Return the hand at a wrist, and the probability that it is a right one."""
    wrist, little, index = arm[:, :2]
    if arm[0, 2] < WRIST_LEAST:
        return None
    middle = (2 * index + little) / 3
    near = Region.along(middle, 2 * length(middle - wrist), wrist, middle, 90).moved(-0.1, 2.7)
    base, tip = near.to_picture(recrop(photo, near)["crop"].reshape(2, 2) / recrop.side)
    found = _read_hand(fingers, photo, Region.along(base, 2 * length(tip - base), base, tip, -90).moved(-0.1))
    if found is None and (seen := palms(photo, replace(near, angle=0.0), PALM_LEAST)):
        palm = min(seen, key=lambda palm: length(palm.points[0] - wrist))
        side = float((palm.box[1] - palm.box[0]).max())
        region = Region.along(palm.box.mean(axis=0), side, palm.points[0], palm.points[2], 90)
        found = _read_hand(fingers, photo, region.moved(-0.5, 2.6))
    return found


def _read_hand(fingers: Network, photo: Image, region: Region) -> tuple[Points, float] | None:
    output = fingers(photo, region)
    presence = float(output["presence"][0])
    places = output["landmarks"].reshape(HAND_POINTS, 3)[:, :2] / fingers.side
    points = np.column_stack([region.to_picture(places), np.full(HAND_POINTS, presence)])
    return (points, float(output["handedness"][0])) if presence >= PART_LEAST else None


def find_face(faces: Detector, mesh: Network, photo: Image, body: Body) -> Points | None:
    """Return the face of a person, (70, 3); None where it is not seen, as from behind."""
    region = _around(body.points[HEAD, :2], *body.points[list(EYES), :2]).moved(0, 3)
    seen = faces(photo, region, FACE_LEAST)
    if not seen:
        return None
    face = min(seen, key=lambda face: length(face.points.mean(axis=0) - region.centre)).points
    region = _around(face, *face[:2]).moved(-0.1, 2)
    output = mesh(photo, region)
    presence = float(sigmoid(output["presence"]).max())
    places = output["landmarks"][list(FACE_FROM), :2] / mesh.side
    points = np.column_stack([region.to_picture(places), np.full(FACE_POINTS, presence)])
    return inside(points, photo) if presence >= PART_LEAST else None


def _around(points: Array, right_eye: Array, left_eye: Array) -> Region:
    """Return the square around points of a face, level with the eyes."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Region.along((low + high) / 2, float((high - low).max()), right_eye, left_eye, 0)


def length(step: Array) -> float:
    """Return the length of a vector, (2,)."""
    return float(np.hypot(*step))
