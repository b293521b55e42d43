"""A study on the disk: a folder of its name with study.json, which never changes, and answers.sqlite3."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from annotators.base import shown
from cnet_app.evaluation.pairing import Method
from models.downloads.whole import write_whole
from models.errors import InputError, SaveError
from models.names import did_you_mean

STUDY, ANSWERS = "study.json", "answers.sqlite3"
SCHEMA = 1
Kind = Literal["ranking", "which"]
"""People give every picture of a group a rank; or they guess which of two models made a picture."""
Scale = Literal["ranks", "ratings"]
"""Of a ranking: each rank once in a group, the best being the number of methods; or 1 to 5, as often as one likes."""
KINDS: tuple[str, ...] = get_args(Kind)
SCALES: tuple[str, ...] = get_args(Scale)
BEST_RATING = 5
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,62}[\w-]|[A-Za-z0-9]", re.ASCII)
LONGEST_PARTICIPANT = 40

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Group:
    """Pictures of one name, one for each method in the study's order."""

    name: str
    control: Path | None
    pictures: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is shown, to whomever takes part."""

    folder: Path
    kind: Kind
    scale: Scale
    seed: int
    methods: tuple[Method, ...]
    groups: tuple[Group, ...]
    training: int = 0
    """So many groups at the beginning are shown with the letters of their models; the others are the test."""

    @property
    def name(self) -> str:
        """Return the study's name, which is that of its folder."""
        return self.folder.name

    @property
    def best(self) -> int:
        """Return the best rank or rating; the worst is 1."""
        return len(self.methods) if self.scale == "ranks" else BEST_RATING

    @property
    def missing(self) -> int:
        """Return how many groups have a file that is gone."""
        return sum(not all(path.is_file() for path in _files(group)) for group in self.groups)


def _files(group: Group) -> Iterable[Path]:
    return group.pictures if group.control is None else (*group.pictures, group.control)


def participant_of(text: str) -> str:
    """Return the name under which answers are kept: case and spaces around it do not count. Raises InputError."""
    name = unicodedata.normalize("NFC", text.strip().casefold())
    if not name or len(name) > LONGEST_PARTICIPANT or not name.isprintable():
        raise InputError(
            f"The participant is {shown(text)}, but it must be a name or number of 1 to {LONGEST_PARTICIPANT} characters; "
            "choose one."
        )
    return name


def shuffled(things: Sequence[Thing], *key: object) -> list[Thing]:
    """Return things in an order that depends on the key alone, whatever the Python version."""

    def place(index: int) -> bytes:
        return hashlib.sha256(json.dumps([*map(str, key), index]).encode()).digest()

    return [things[index] for index in sorted(range(len(things)), key=place)]


def check_name(name: str) -> None:
    """Raise InputError for a name that a study cannot have."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"The name of the study is {shown(name)}, but it must be 1 to 64 letters, digits, dots, hyphens and underscores; "
            "choose another."
        )


def write_study(study: Study) -> None:
    """Write study.json, whole or not at all. Raises SaveError."""
    path = study.folder / STUDY
    try:
        study.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(_to_json(study), indent=1) + "\n").encode())
    except OSError as error:
        raise SaveError(f"{study.folder} cannot be written ({error.strerror}); make room or choose another.") from error


def read_study(folder: Path) -> Study:
    """Return the study of a folder. Raises InputError where study.json is missing or damaged."""
    path = folder / STUDY
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _from_json(folder, values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a study ({error}); restore it, or make a new study.") from error


def all_studies(studies: Path) -> list[Study]:
    """Return the studies below the folder of all studies, by name; those whose study.json is damaged are left out."""
    found: list[Study] = []
    for path in sorted(studies.glob(f"*/{STUDY}")):
        try:
            found.append(read_study(path.parent))
        except InputError:
            continue
    return found


def find_study(studies: Path, name: str) -> Study:
    """Return a study by its name. Raises InputError where there is none; `names_of` is what it may suggest."""
    if NAME.fullmatch(name) and (studies / name / STUDY).is_file():
        return read_study(studies / name)
    names = [path.parent.name for path in studies.glob(f"*/{STUDY}")]
    known = f"choose one of: {', '.join(sorted(names))}" if names else "create one first"
    raise InputError(f"There is no study {shown(name)}{did_you_mean(name, names)}; {known}.")


def _to_json(study: Study) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": study.kind,
        "scale": study.scale,
        "seed": study.seed,
        "training": study.training,
        "methods": [{"name": method.name, "folder": str(method.folder)} for method in study.methods],
        "groups": [
            {
                "name": group.name,
                "control": None if group.control is None else str(group.control),
                "pictures": list(map(str, group.pictures)),
            }
            for group in study.groups
        ],
    }


def _from_json(folder: Path, values: dict[str, Any]) -> Study:
    if values["schema"] != SCHEMA:
        raise ValueError(f"its schema is {shown(values['schema'])}, and this version knows {SCHEMA}")
    if values["kind"] not in KINDS or values["scale"] not in SCALES:
        raise ValueError("its kind or scale is unknown")
    methods = tuple(Method(str(one["name"]), Path(one["folder"])) for one in values["methods"])
    groups = tuple(
        Group(
            name=str(one["name"]),
            control=None if one["control"] is None else Path(one["control"]),
            pictures=tuple(map(Path, one["pictures"])),
        )
        for one in values["groups"]
    )
    if len(methods) < 2 or not groups or any(len(group.pictures) != len(methods) for group in groups):
        raise ValueError("a group has not one picture for each method")
    return Study(
        folder=folder,
        kind=values["kind"],
        scale=values["scale"],
        seed=int(values["seed"]),
        methods=methods,
        groups=groups,
        training=int(values["training"]),
    )
