"""A new study from folders of pictures that have the same names."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotators.base import shown
from annotators.sources.images import load_image
from cnet_app.evaluation.pairing import Method, pictures_below
from cnet_app.evaluation.study.plan import (
    KINDS,
    SCALES,
    STUDY,
    Group,
    Kind,
    Scale,
    Study,
    check_name,
    shuffled,
    write_study,
)
from models.errors import InputError

MOST_METHODS = 5
MAX_GROUPS = 2000
MAX_SEED = 2**32 - 1
LONGEST_METHOD = 60
TRAINING_SHARE = 3
"""One group in so many teaches, where no number is given: the paper's 100 pictures of each model before a test of 200."""


@dataclass(frozen=True, kw_only=True)
class StudyDraft:
    """A study before its folders are read."""

    name: str
    methods: tuple[Method, ...]
    """Two to five; for the kind which, two."""
    kind: Kind = "ranking"
    controls: Path | None = None
    """Folder of the control images; a ranking needs one, because fidelity is judged against them."""
    scale: Scale = "ranks"
    groups: int | None = None
    """How many of the common names are taken, by chance; all where it is left out."""
    training: int | None = None
    """How many of those teach, in the kind which."""
    seed: int | None = None
    """Of the choice and of all orders; random where it is left out."""


@dataclass(frozen=True)
class Created:
    """A study that was written, and how many names were left out because not every folder has them."""

    study: Study
    left_out: int


def create_study(
    studies: Path, draft: StudyDraft, report: Callable[[int, int], None] = lambda done, total: None
) -> Created:
    """Read every picture once, write studies/NAME/study.json and return the study; pictures stay where they are.

    `report` is given the pictures that were read and their number. Raises InputError, and SaveError where nothing can be
    written.
    """
    _check(studies, draft)
    seed = secrets.randbelow(MAX_SEED) if draft.seed is None else draft.seed
    found = {method.name: _by_name(method.name, method.folder) for method in draft.methods}
    controls = _by_name("control images", draft.controls) if draft.controls else {}
    every = [*found.values(), *([controls] if draft.controls else [])]
    common = sorted(set.intersection(*(set(names) for names in every)))
    if not common:
        folders = ", ".join(str(folder) for folder in _folders(draft))
        raise InputError(
            f"No name is common to {folders}; pictures of one group have equal names but for their endings, as in 0001.png "
            "and 0001.jpg."
        )
    names = shuffled(common, seed, "groups")[: _count(draft, len(common))]
    groups = tuple(
        Group(name, controls.get(name), tuple(found[method.name][name] for method in draft.methods)) for name in names
    )
    _read_all(groups, report)
    study = Study(
        folder=studies / draft.name,
        kind=draft.kind,
        scale=draft.scale,
        seed=seed,
        methods=tuple(dataclasses.replace(one, folder=one.folder.resolve()) for one in draft.methods),
        groups=groups,
        training=_training(draft, len(groups)),
    )
    write_study(study)
    return Created(study, len(set().union(*every)) - len(common))


def _check(studies: Path, draft: StudyDraft) -> None:
    """Raise InputError for what no folder can mend."""
    check_name(draft.name)
    if (studies / draft.name / STUDY).exists():
        raise InputError(f"There is a study {draft.name} already, whose answers are kept; choose another name.")
    for name, value, known in (("kind", draft.kind, KINDS), ("scale", draft.scale, SCALES)):
        if value not in known:
            raise InputError(f"{name} is {shown(value)}, but it must be one of: {', '.join(known)}.")
    if draft.seed is not None and not 0 <= draft.seed <= MAX_SEED:
        raise InputError(f"seed is {draft.seed}, but it must be from 0 to {MAX_SEED}.")
    if draft.kind == "ranking" and draft.training is not None:
        raise InputError("training has no effect in a ranking; leave it out, or choose the kind which.")
    if draft.kind == "ranking" and draft.controls is None:
        raise InputError(
            "A ranking needs the control images, because fidelity is judged against them; give their folder."
        )
    if draft.kind == "which" and draft.scale != "ranks":
        raise InputError("scale has no effect in a study of which model made a picture; leave it out.")
    _check_methods(draft.kind, draft.methods)
    for folder in _folders(draft):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}; check its name, and give a folder of pictures.")


def _check_methods(kind: Kind, methods: Sequence[Method]) -> None:
    if kind == "which" and len(methods) != 2:
        raise InputError(
            f"{len(methods)} methods are given, but a study of which model made a picture has 2; give two folders."
        )
    if not 2 <= len(methods) <= MOST_METHODS:
        raise InputError(
            f"{len(methods)} methods are given, but a ranking has 2 to {MOST_METHODS}; give a folder for each."
        )
    names, folders = [method.name for method in methods], [method.folder.resolve() for method in methods]
    for name, folder in zip(names, folders, strict=True):
        if not name.strip() or len(name) > LONGEST_METHOD or not name.isprintable():
            raise InputError(
                f"A method is named {shown(name)}, but its name must have 1 to {LONGEST_METHOD} characters."
            )
        if names.count(name) > 1:
            raise InputError(f"Two methods are named {shown(name)}; give each a name of its own.")
        if folders.count(folder) > 1:
            raise InputError(f"Two methods have the folder {folder}; give each a folder of its own.")


def _folders(draft: StudyDraft) -> list[Path]:
    return [*(method.folder for method in draft.methods), *([draft.controls] if draft.controls else [])]


def _by_name(owner: str, folder: Path) -> Mapping[str, Path]:
    """Return the pictures of a folder by their names without endings; a name stands for one picture."""
    by_name: dict[str, Path] = {}
    for path in pictures_below(folder.resolve()):
        if path.stem in by_name:
            raise InputError(f"{owner}: {by_name[path.stem]} and {path} have one name; move one of them away.")
        by_name[path.stem] = path
    return by_name


def _count(draft: StudyDraft, common: int) -> int:
    count = min(common, MAX_GROUPS) if draft.groups is None else draft.groups
    if not 1 <= count <= min(common, MAX_GROUPS):
        raise InputError(
            f"groups is {count}, but {common} names are common to all folders; it must be from 1 to {min(common, MAX_GROUPS)}."
        )
    return count


def _training(draft: StudyDraft, groups: int) -> int:
    """Return how many groups teach; at least one must, and one must be left to test."""
    if draft.kind == "ranking":
        return 0
    if groups < 2:
        raise InputError(
            "Only 1 name is common to both folders, but one is needed to teach and one to test; add pictures."
        )
    training = max(1, groups // TRAINING_SHARE) if draft.training is None else draft.training
    if not 1 <= training < groups:
        raise InputError(f"training is {training}, but with {groups} groups it must be from 1 to {groups - 1}.")
    return training


def _read_all(groups: Sequence[Group], report: Callable[[int, int], None]) -> None:
    """Raise InputError for the first picture that cannot be shown."""
    paths = [path for group in groups for path in (*group.pictures, *([group.control] if group.control else []))]
    for done, path in enumerate(paths, 1):
        load_image(path, str(path))
        report(done, len(paths))
