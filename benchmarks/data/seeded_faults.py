"""One pair of a clean data set is spoiled for each fault that the doctor must find."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from annotators.base import Image
from annotators.sources.images import load_image
from benchmarks.data.drawn_pairs import is_ordinary, write_image

IMAGES, CONTROLS, VALIDATION = "images", "conditioning_images", "validation"


@dataclass(frozen=True)
class Place:
    """A pair in a folder of pairs, and another one."""

    folder: Path
    name: str
    other: str

    @property
    def image(self) -> Path:
        return self.folder / IMAGES / f"{self.name}.png"

    @property
    def control(self) -> Path:
        return self.folder / CONTROLS / f"{self.name}.png"

    def change(self, made: Callable[[Image], Image]) -> None:
        """Write another map in place of the pair's."""
        write_image(self.control, np.ascontiguousarray(made(load_image(self.control))))


def _swap(place: Place) -> None:
    other = place.control.with_stem(place.other)
    aside = place.control.with_suffix(".aside")
    place.control.rename(aside)
    other.rename(place.control)
    aside.rename(other)


def _shift(place: Place) -> None:
    def moved(control: Image) -> Image:
        height, width = control.shape[:2]
        matrix = np.array([[1, 0, 0.09 * width], [0, 1, -0.07 * height]], np.float32)
        return np.asarray(cv2.warpAffine(control, matrix, (width, height), flags=cv2.INTER_NEAREST), np.uint8)

    place.change(moved)


def _stretch(place: Place) -> None:
    place.change(lambda control: control[: control.shape[0] * 3 // 4])


def _mix(place: Place) -> None:
    place.change(lambda control: np.asarray(cv2.GaussianBlur(control, (0, 0), 1.5), np.uint8))


def _as_jpeg(place: Place) -> None:
    write_image(place.control.with_suffix(".jpg"), load_image(place.control))
    place.control.unlink()


def _copy(place: Place) -> None:
    """The picture again, smaller and as JPEG, with the same map."""
    image = load_image(place.image)
    smaller = cv2.resize(image, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    write_image(place.image.with_name(f"{place.name}_copy.jpg"), np.asarray(smaller, np.uint8))
    place.image.with_name(f"{place.name}_copy.txt").write_text("a copy")
    shutil.copy(place.control, place.control.with_stem(f"{place.name}_copy"))


def _leak(place: Place) -> None:
    for path in (place.image, place.control):
        held_out = place.folder.with_name(f"{place.folder.name}-{VALIDATION}") / path.parent.name / "held-out.png"
        held_out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, held_out)


def _empty_caption(place: Place) -> None:
    place.image.with_suffix(".txt").write_text(" \n")


def _cut_off(place: Place) -> None:
    place.image.write_bytes(place.image.read_bytes()[:-200])


ALL = ("canny", "softedge", "scribble", "depth", "normal", "segmentation", "openpose")
FOLLOWING = ALL[:-1]
"""Conditions whose maps have the edges of their pictures; sticks lie inside of people."""


@dataclass(frozen=True)
class Fault:
    """One way to spoil a pair."""

    conditions: tuple[str, ...]
    """Those whose data can have it."""
    spoil: Callable[[Place], None]
    found_as: str = "{name}"
    """Name of the pair that the doctor must name."""


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "missing": Fault(ALL, lambda place: place.control.unlink()),
        "swapped": Fault(FOLLOWING, _swap),
        "inverted": Fault(("canny", "softedge", "scribble", "depth"), lambda place: place.change(lambda control: 255 - control)),
        "bgr": Fault(("normal", "segmentation", "openpose"), lambda place: place.change(lambda control: control[..., ::-1])),
        "off_palette": Fault(("segmentation",), _mix),
        "shifted": Fault(FOLLOWING, _shift),
        "duplicate": Fault(ALL, _copy, "{name}_copy"),
        "caption": Fault(ALL, _empty_caption),
        "leak": Fault(ALL, _leak),
        "size": Fault(ALL, _stretch),
        "jpeg_labels": Fault(("segmentation", "openpose"), _as_jpeg),
        "blank": Fault(ALL, lambda place: place.change(np.zeros_like)),
        "unreadable": Fault(ALL, _cut_off),
    }
)  # fmt: skip
"""By the kind of problem; swapped maps are two pairs."""


def seed_faults(folder: Path, condition: str, step: int = 2) -> set[tuple[str, str]]:
    """Spoil a pair for each fault that the condition's data can have, and return kinds of problems with names of pairs.

    The pairs are shapes, scenes and photos, `step` apart: where a texture's map lies, nobody can see.
    """
    names = [name for name in sorted(path.stem for path in (folder / IMAGES).glob("*.png")) if is_ordinary(int(name))]
    expected: set[tuple[str, str]] = set()
    fitting = [(kind, fault) for kind, fault in FAULTS.items() if condition in fault.conditions]
    for number, (kind, fault) in enumerate(fitting):
        name, other = names[step * number], names[step * number + 1]
        fault.spoil(Place(folder, name, other))
        expected.add((kind, fault.found_as.format(name=name)))
        if kind == "swapped":
            expected.add((kind, other))
    return expected
