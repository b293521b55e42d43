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

from annotators.base import Annotator, create
from annotators.control_map import complete_map, run_annotator
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.registry.conditions import condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.plain import Scalar
from cnet_app.training.data.framing import Framing, bucket_of, frame_image
from cnet_app.training.data.pairs import Pair, read_image
from cnet_app.training.data.readers import FACTS
from models.errors import USER_ERRORS, InputError, SaveError

IMAGES, CONTROLS, METADATA = "images", "conditioning_images", "metadata.jsonl"


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """How maps are made."""

    condition: str
    annotator: str
    parameters: Mapping[str, Scalar]
    size: int = 512
    """Side of the square whose area the pictures are brought to, in px."""
    keeps_aspect: bool = True
    caption: str = ""
    """Prompt of pictures without one."""

    def create(self) -> Annotator:
        """Return the annotator. Raises InputError."""
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
    message: str = ""
    """Why it was left out, or what its map lacks; empty where all is well."""
    left_out: bool = False


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
    _check_same(plan, output)
    written: list[dict[str, str]] = []
    try:
        for name in (IMAGES, CONTROLS):
            (output / name).mkdir(parents=True, exist_ok=True)
        (output / FACTS).write_text(json.dumps(_facts(plan), indent=2) + "\n", encoding="utf-8")
        for number, (name, pair) in enumerate(_plain_names(pictures), 1):
            message, left_out = "", False
            if not _is_built(output, name):
                message, left_out = _build_pair(pair, name, made_by, plan, output, runtime)
            if not left_out:
                written.append(_row(name, pair.caption or plan.caption))
            report(Built(pair.name, number, len(pictures), message, left_out))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)
        (output / METADATA).write_text(lines, encoding="utf-8")
    except OSError as error:
        raise SaveError(
            f"The data could not be written to {output} ({error.strerror}); make room, and run the command again: what is "
            "there already is kept."
        ) from error
    return len(written)


def _facts(plan: BuildPlan) -> dict[str, Any]:
    return {
        "condition": plan.condition,
        "annotator": plan.annotator,
        "annotator_parameters": dict(plan.parameters),
        "size": plan.size,
        "keeps_aspect": plan.keeps_aspect,
    }


def _check_same(plan: BuildPlan, output: Path) -> None:
    """Refuse to mix maps of two kinds in one folder."""
    try:
        known = json.loads((output / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if known != _facts(plan):
        raise InputError(f"{output} holds maps that were built with other settings ({known}); give another --output.")


def _plain_names(pairs: list[Pair]) -> Iterator[tuple[str, Pair]]:
    """Yield each pair with a name for its files: pictures of one name in two folders stay apart."""
    for pair in pairs:
        yield pair.name.replace("/", "__"), pair


def _is_built(output: Path, name: str) -> bool:
    """The map is written last."""
    return (output / CONTROLS / f"{name}.png").is_file()


def _build_pair(
    pair: Pair, name: str, made_by: Annotator, plan: BuildPlan, output: Path, runtime: Runtime
) -> tuple[str, bool]:
    """Write picture, caption, data and map; return what is to be reported, and whether the pair was left out."""
    try:
        image = read_image(pair)
    except USER_ERRORS as error:
        return str(error), True
    height, width = image.shape[:2]
    framed = frame_image(image, Framing(*bucket_of(width, height, plan.size, plan.keeps_aspect)))
    made = complete_map(made_by, framed, *run_annotator(made_by, framed, runtime))
    if made.warnings:
        return f"{pair.image.title}: {made.warnings[0]}", True
    _write(output / IMAGES / f"{name}.png", encode_png(framed))
    caption = pair.caption or plan.caption
    if caption:
        _write(output / IMAGES / f"{name}.txt", caption.encode())
    if made.data is not None:
        _write(output / CONTROLS / f"{name}.json", json.dumps(made.data.to_json()).encode())
    _write(output / CONTROLS / f"{name}.png", encode_png(made.pixels))
    return "", False


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def _row(name: str, caption: str) -> dict[str, str]:
    return {"image": f"{IMAGES}/{name}.png", "conditioning_image": f"{CONTROLS}/{name}.png", "text": caption}
