"""Scores of single pictures, kept in a file as they are made, so that an evaluation goes on where it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from annotators.base import Image
from annotators.maps.control_map import ControlMap
from annotators.maps.map_files import map_role
from annotators.sources.images import load_image
from cnet_app.evaluation.pairing import Item
from cnet_app.fidelity.compare import compare
from cnet_app.fidelity.measures import class_overlaps
from cnet_app.fidelity.score import value_of
from cnet_app.registry.conditions import Condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.plain import Json, Scalar
from cnet_app.request.units import ControlUnit
from models.errors import USER_ERRORS, InputError, SaveError

Annotate = Callable[[ControlUnit, Image], ControlMap]
OVERLAPS = "class_iou"
"""Id of the measure that is computed from the pixel counts of all pictures together."""
FILE = "pictures.jsonl"


@dataclass(frozen=True, kw_only=True)
class PictureScore:
    """Measures of one picture."""

    method: str
    name: str
    """Of its control image."""
    picture: str
    """Its path."""
    stamp: str
    """Sizes and dates of picture and control image: a score of files that have changed is not used again."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """By measure; None where one cannot be computed."""
    overlaps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of a label map, by colour: pixels in which both maps have it, and in which either has it."""
    reason: str = ""
    """Why values are missing."""
    fits: bool = True
    """Whether the picture has the proportions of its control image."""


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How pictures are measured."""

    row: Condition
    annotator: str | None
    """Id of the annotator of the pictures; None is the condition's default."""
    parameters: Mapping[str, Scalar]
    annotate: Annotate

    def __post_init__(self) -> None:
        if not self.row.evaluated:
            raise InputError(self.row.no_score)
        if self.annotator is not None and self.annotator not in self.row.annotators:
            allowed = ", ".join(self.row.annotators)
            raise InputError(
                f"annotator is {self.annotator!r}, which makes no maps for {self.row.title}; choose one of: {allowed}."
            )

    @property
    def facts(self) -> dict[str, Any]:
        """What must be the same for scores to be used again."""
        return {
            "condition": self.row.id,
            "annotator": self.annotator,
            "parameters": dict(self.parameters),
            "measures": list(self.row.evaluated),
        }


def control_unit(item: Item, judging: Judging) -> ControlUnit:
    """Return a unit with an item's control image. Raises InputError where a file cannot be read."""
    pixels = load_image(item.control, item.control.name, map_role(judging.row.kind))
    return ControlUnit(
        condition=judging.row.id,
        control_image=encode_png(pixels),
        control_data=_read_data(item.data) if item.data else None,
        annotator=judging.annotator,
        annotator_parameters=judging.parameters,
    )


def _read_data(path: Path) -> Mapping[str, Json]:
    try:
        values: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); write it again, or remove it.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no JSON object; write it again, or remove it.")
    return cast("Mapping[str, Json]", values)


def score_item(item: Item, judging: Judging, known: Mapping[tuple[str, str], PictureScore]) -> Iterator[PictureScore]:
    """Yield the scores of an item's pictures; those that are known are not computed again."""
    unit: ControlUnit | None = None
    for method, paths in item.pictures.items():
        for path in paths:
            stamp = f"{_stamp(path)} {_stamp(item.control)}"
            found = known.get((method, str(path)))
            if found and found.stamp == stamp:
                yield found
                continue
            fits = True
            try:
                unit = unit or control_unit(item, judging)
                picture = load_image(path, path.name)
                fits = _fits(picture, unit.pixels)
                values, overlaps, reason = _measure(unit, picture, judging)
            except USER_ERRORS as error:
                values, overlaps, reason = {}, {}, str(error)
            yield PictureScore(
                method=method, name=item.name, picture=str(path), stamp=stamp,
                values=values, overlaps=overlaps, reason=reason, fits=fits,
            )  # fmt: skip


def _fits(picture: Image, control: Image) -> bool:
    """Return whether a picture, scaled to the width of a control image, has its height but for a pixel."""
    (height, width), (wanted, side) = picture.shape[:2], control.shape[:2]
    return abs(height * side / width - wanted) <= 1


def _measure(
    unit: ControlUnit, picture: Image, judging: Judging
) -> tuple[dict[str, float | None], dict[str, tuple[int, int]], str]:
    compared = compare(unit, picture, judging.annotate)
    values: dict[str, float | None] = {}
    reasons: dict[str, None] = {}
    for id in judging.row.evaluated:
        try:
            values[id] = value_of(id, compared)
        except InputError as error:
            values[id] = None
            reasons[str(error)] = None
    overlaps: dict[str, tuple[int, int]] = {}
    if values.get(OVERLAPS) is not None:
        counts = class_overlaps(compared.wanted, compared.found, where=compared.where)
        overlaps = {f"{colour:06x}": pair for colour, pair in counts.items()}
    return values, overlaps, " ".join(reasons)


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "gone"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


class ScoreFile:
    """Scores as JSON Lines: first the facts of the judging, then a picture a line. Without a path nothing is kept."""

    def __init__(self, path: Path | None, facts: Mapping[str, Any]) -> None:
        """Read what is there. Raises InputError where the file is of another judging, and SaveError."""
        self._path = path
        self.known: dict[tuple[str, str], PictureScore] = {}
        if path is None:
            return
        lines = _lines(path)
        if lines and lines[0] != dict(facts):
            raise InputError(f"{path} holds scores of another evaluation ({lines[0]}); give another --output.")
        for line in lines[1:]:
            score = _score(path, line)
            self.known[score.method, score.picture] = score
        if not lines:
            self._write("w", facts)

    def add(self, score: PictureScore) -> None:
        """Keep a score. Raises SaveError."""
        if self._path is not None and self.known.get((score.method, score.picture)) != score:
            self._write("a", asdict(score))
        self.known[score.method, score.picture] = score

    def _write(self, mode: str, values: Mapping[str, Any]) -> None:
        assert self._path is not None
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
                file.flush()
                os.fsync(file.fileno()) if mode == "w" else None
        except OSError as error:
            raise SaveError(
                f"{self._path} cannot be written ({error.strerror}); make room, and run the command again: what is there "
                "already is kept."
            ) from error


def _score(path: Path, line: Mapping[str, Any]) -> PictureScore:
    try:
        overlaps: Any = {key: tuple(pair) for key, pair in line["overlaps"].items()}
        return PictureScore(**dict(line) | {"overlaps": overlaps})
    except (TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} holds a line that is no score; remove the file, or give another --output.") from error


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file; one that was cut off by a kill is left out, and cut from the file."""
    try:
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            path.write_bytes(whole)
        found: Sequence[object] = [json.loads(line) for line in whole.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it, or give another --output.") from error
    if not all(isinstance(line, dict) for line in found):
        raise InputError(f"{path} is no file of scores; remove it, or give another --output.")
    return cast("list[dict[str, Any]]", found)
