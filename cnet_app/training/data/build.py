"""Build a data set from pictures alone: each gets its map, by any annotator that runs here. Loads no torch by itself.

A picture is brought to its size first, so that lines have the width that they have in training. What is there already is
not made again, so that an interrupted build goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.base import Annotator, create, parameters
from annotators.maps.control_map import complete_map, run_annotator
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.registry.conditions import condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TRAINING_LIMITS
from cnet_app.training.data.framing import Framing, bucket_of, frame_image
from cnet_app.training.data.pairs import Pair, read_image
from cnet_app.training.data.readers import FACTS
from models.downloads.whole import sweep_unfinished, write_whole
from models.errors import USER_ERRORS, InputError, SaveError

IMAGES, CONTROLS, METADATA = "images", "conditioning_images", "metadata.jsonl"


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """How maps are made."""

    condition: str
    annotator: str
    parameters: Mapping[str, object]
    """Of the annotator; those left out take their defaults."""
    size: int = 512
    """Side of the square whose area the pictures are brought to, in px."""
    keeps_aspect: bool = True
    caption: str = ""
    """Prompt of pictures without one."""

    def create(self) -> Annotator:
        """Return the annotator. Raises InputError."""
        TRAINING_LIMITS["size"].check("size", self.size)
        row = condition(self.condition)
        if self.annotator not in row.annotators:
            raise InputError(
                f"annotator is {self.annotator!r}, which makes no maps for {row.title}; choose one of: {', '.join(row.annotators)}."
            )
        return create(annotator(self.annotator), self.parameters)


@dataclass(frozen=True)
class Built:
    """One picture of a build."""

    name: str
    done: int
    total: int
    left_out: str = ""
    """Why it was left out; empty where all is well."""


def check_apart(images: Path, output: Path) -> None:
    """Raise InputError where a build would read what it writes, or write over the pictures that it reads."""
    source, target = images.resolve(), output.resolve()
    if target.is_relative_to(source):
        place = "that folder" if target == source else "inside of it"
        raise InputError(
            f"output is {output}, and the pictures are read from {images}: a second build would read its own maps, as they are "
            f"{place}; give a folder outside of {images}."
        )
    own = next((name for name in (IMAGES, CONTROLS) if source.is_relative_to(target / name)), None)
    if own:
        raise InputError(
            f"output is {output}, and the pictures are read from {images}, where the build would write; give another folder."
        )


def build_data(
    pairs: Iterable[Pair],
    plan: BuildPlan,
    output: Path,
    runtime: Runtime,
    report: Callable[[Built], None] = lambda built: None,
) -> int:
    """Write the pairs of all pictures below `output`, and return their number.

    A picture that cannot be read, and one whose map shows nothing, is left out and reported. Raises InputError where the
    folder was built in another way, and SaveError.
    """
    made_by, pictures = plan.create(), list(pairs)
    _check_same(plan, made_by, output)
    written: list[dict[str, str]] = []
    try:
        for name in (IMAGES, CONTROLS):
            (output / name).mkdir(parents=True, exist_ok=True)
            sweep_unfinished(output / name)
        write_whole(output / FACTS, (json.dumps(_facts(plan, made_by), indent=2) + "\n").encode())
        for number, (name, pair) in enumerate(_plain_names(pictures), 1):
            fault = "" if _is_built(output, name) else _build_pair(pair, name, made_by, plan, output, runtime)
            if not fault:
                caption = pair.caption or plan.caption
                _write_caption(output / IMAGES / f"{name}.txt", caption)
                written.append(_row(name, caption))
            report(Built(pair.name, number, len(pictures), fault))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)
        write_whole(output / METADATA, lines.encode())
    except OSError as error:
        raise SaveError(
            f"The data could not be written to {output} ({error.strerror}); make room, and run the command again: what is "
            "there already is kept."
        ) from error
    return len(written)


def _facts(plan: BuildPlan, made_by: Annotator) -> dict[str, Any]:
    return {
        "condition": plan.condition,
        "annotator": plan.annotator,
        "annotator_parameters": {name: getattr(made_by, name) for name in parameters(type(made_by))},
        "size": plan.size,
        "keeps_aspect": plan.keeps_aspect,
    }


def _check_same(plan: BuildPlan, made_by: Annotator, output: Path) -> None:
    """Refuse to mix maps of two kinds in one folder."""
    try:
        known = json.loads((output / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if known != _facts(plan, made_by):
        raise InputError(f"{output} holds maps that were built with other settings ({known}); give another --output.")


def _plain_names(pairs: list[Pair]) -> Iterator[tuple[str, Pair]]:
    """Yield each pair with a name for its files: pictures of one name in two folders stay apart."""
    taken: set[str] = set()
    for pair in pairs:
        plain = pair.name.replace("/", "__")
        name = next(
            one for one in (plain, *(f"{plain}-{number}" for number in range(2, len(pairs) + 2))) if one not in taken
        )
        taken.add(name)
        yield name, pair


def _is_built(output: Path, name: str) -> bool:
    """The map is written last."""
    return (output / CONTROLS / f"{name}.png").is_file()


def _build_pair(pair: Pair, name: str, made_by: Annotator, plan: BuildPlan, output: Path, runtime: Runtime) -> str:
    """Write picture, data and map, the map last; return why it was left out instead, or nothing."""
    try:
        image = read_image(pair)
    except USER_ERRORS as error:
        return str(error)
    height, width = image.shape[:2]
    framed = frame_image(image, Framing(*bucket_of(width, height, plan.size, plan.keeps_aspect)))
    made = complete_map(made_by, framed, *run_annotator(made_by, framed, runtime))
    if made.warnings:
        return f"{pair.image.title}: {made.warnings[0]}"
    write_whole(output / IMAGES / f"{name}.png", encode_png(framed), lasting=False)
    if made.data is not None:
        write_whole(output / CONTROLS / f"{name}.json", json.dumps(made.data.to_json()).encode(), lasting=False)
    write_whole(output / CONTROLS / f"{name}.png", encode_png(made.pixels), lasting=False)
    return ""


def _write_caption(path: Path, caption: str) -> None:
    """Also of a pair that was built before: captions may be others now."""
    if caption:
        write_whole(path, caption.encode(), lasting=False)
    else:
        path.unlink(missing_ok=True)


def _row(name: str, caption: str) -> dict[str, str]:
    return {"image": f"{IMAGES}/{name}.png", "conditioning_image": f"{CONTROLS}/{name}.png", "text": caption}
