"""Maps of the user's own: pictures that are maps already, and people as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from annotators.base import Image, create
from annotators.maps.control_map import ControlMap
from annotators.maps.encoders import is_blank, resize_map
from annotators.maps.label_files import counts_from_0
from annotators.maps.map_files import map_role
from annotators.maps.recognise import REPAIRS, Repair, diagnose, repair
from annotators.people.body_annotator import PoseAnnotator
from annotators.people.poses import Pose, load_noted_pose
from annotators.sources.images import ResizeMode, load_noted
from annotators.sources.picture_files import check_size, decode_picture
from annotators.sources.roles import PHOTO, Role
from cnet_app.registry.conditions import condition
from models.errors import InputError


def control_image_from_map(
    condition_id: str,
    image: Image,
    width: int,
    height: int,
    mode: ResizeMode = "crop",
    repairs: Sequence[str] = (),
) -> ControlMap:
    """A map of the user's own at this size. Nothing in it is changed but the size, and what the repairs asked for change."""
    row = condition(condition_id)
    check_size(image.shape[1], image.shape[0], "The map")
    image, done = repair(image, row.kind, repairs)
    pixels = np.array(resize_map(image, row.kind, width, height, mode))
    pixels.flags.writeable = False
    found = diagnose(row.kind, pixels, row.title)
    return ControlMap(
        pixels=pixels,
        kind=row.kind,
        warnings=(*done, found.message) if found else done,
        repairs=found.repairs if found else (),
    )


def control_image_from_pose(
    condition_id: str,
    pose: Pose,
    parameters: Mapping[str, object] | None,
    width: int,
    height: int,
    mode: ResizeMode = "crop",
) -> ControlMap:
    """People brought as data, drawn at this size without any network."""
    row = condition(condition_id)
    if row.kind.id != "pose":
        raise InputError(
            f"{row.title} reads pictures, not people as data; give it a picture, or the people to openpose."
        )
    check_size(width, height, "The map")
    drawn = cast(PoseAnnotator, create(PoseAnnotator, parameters)).choose(pose.resized(width, height, mode))
    pixels = drawn.draw()
    pixels.flags.writeable = False
    return ControlMap(
        pixels=pixels, kind=row.kind, data=drawn, warnings=(row.kind.nothing,) if is_blank(pixels) else ()
    )


def file_repairs(condition_id: str, data: bytes) -> tuple[Repair, ...]:
    """Return the repairs of a map that its file suggests and its pixels do not show. Raises InputError for no picture."""
    kind = condition(condition_id).kind
    if kind.id != "labels" or not counts_from_0(decode_picture(data, "The map", nearest=True)[0]):
        return ()
    return (REPAIRS["count_from_1"],)


def is_data(path: Path) -> bool:
    """Whether a file holds people as data, and no picture."""
    return path.suffix.lower() == ".json"


def source_role(condition_id: str, annotator_id: str | None) -> Role:
    """Return the role of a source: a map of the condition's kind where no annotator makes one, else a photo."""
    return PHOTO if annotator_id else map_role(condition(condition_id).kind)


def load_source(
    path: Path, role: Role = PHOTO, size: tuple[int, int] | None = None
) -> tuple[Image | Pose, tuple[str, ...]]:
    """Return a picture, or people as data, and notes on what of the file is not used as it is. Raises InputError.

    `size` is the width and height of people whose file names none; without it they get the extent of their points.
    """
    return load_noted_pose(path, size) if is_data(path) else load_noted(path, role=role)
