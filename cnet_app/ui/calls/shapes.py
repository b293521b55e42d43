"""What a page can have sent: the shape of each call's values, which is checked before the call sees them.

A shape bounds types, sizes and counts. What a value means, and its range, is checked by the request that it becomes.
Fields that a shape does not name are left alone: no call reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, cast

from annotators.base import shown
from models.errors import InputError

LONG = 1_000_000
"""Characters of a text; what is too long for its field has a message of its own."""
NAME = 2_000
FILE_TEXT = 64_000_000
"""Characters of a file that is sent as text."""
MAX_LAYERS = 64
MAX_WHOLE = 1 << 53
"""A larger one is no whole number in a browser."""


class Shape(Protocol):
    """Something that a value can be."""

    def check(self, name: str, value: object) -> None:
        """Raise InputError where a value of this name cannot be."""
        ...


def refuse(name: str, value: object, what: str) -> InputError:
    """Return the refusal of a value that must be something else."""
    return InputError(f"{name or 'The call'} is {shown(value)}, but it must be {what}; reload the page.")


@dataclass(frozen=True)
class Text:
    """Text that can be written to a file, of at most `longest` characters."""

    longest: int = NAME

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, str) or re.search("[\ud800-\udfff]", value[: self.longest]):
            raise refuse(name, value, "text")
        if len(value) > self.longest:
            raise refuse(name, value, f"text of at most {self.longest:,} characters")


@dataclass(frozen=True)
class Number:
    """A finite number."""

    whole: bool = False

    def check(self, name: str, value: object) -> None:
        what = "a whole number" if self.whole else "a number"
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_WHOLE:  # NaN neither
            raise refuse(name, value, what)
        if self.whole and value != int(value):
            raise refuse(name, value, what)


@dataclass(frozen=True)
class Switch:
    """True or false."""

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, bool):
            raise refuse(name, value, "true or false")


@dataclass(frozen=True)
class Null:
    """Nothing, where that is a value of its own."""

    def check(self, name: str, value: object) -> None:
        if value is not None:
            raise refuse(name, value, "null")


@dataclass(frozen=True)
class ListOf:
    """A list of at most `most` values of one shape."""

    shape: Shape
    most: int = 64

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, list):
            raise refuse(name, value, "a list")
        parts = cast("list[object]", value)
        if len(parts) > self.most:
            raise refuse(name, value, f"a list of at most {self.most:,}")
        for place, part in enumerate(parts):
            self.shape.check(f"{name}[{place}]", part)


@dataclass(frozen=True)
class Fields:
    """An object; its fields may be left out or null, but for those that are `needed`."""

    fields: Mapping[str, Shape] = field(default_factory=lambda: MappingProxyType({}))
    needed: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise refuse(name, value, "an object")
        given = cast("dict[str, object]", value)
        for key, shape in self.fields.items():
            inner = f"{name}.{key}" if name else key
            if given.get(key) is not None:
                shape.check(inner, given[key])
            elif key in self.needed:
                raise refuse(inner, None, "given")


@dataclass(frozen=True)
class Names:
    """An object of any names, whose values are numbers, texts, true or false."""

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, dict) or len(cast("dict[str, object]", value)) > MAX_LAYERS:
            raise refuse(name, value, f"an object of at most {MAX_LAYERS} names and values")
        for key, part in cast("dict[str, object]", value).items():
            TEXT.check(f"a name of {name}", key)
            SCALAR.check(f"{name}.{key}", part)


@dataclass(frozen=True)
class AnyOf:
    """Of one of several shapes."""

    what: str
    shapes: tuple[Shape, ...]

    def check(self, name: str, value: object) -> None:
        for shape in self.shapes:
            try:
                return shape.check(name, value)
            except InputError:
                continue
        raise refuse(name, value, self.what)


@dataclass(frozen=True)
class Sha256:
    """The hash by which the page refers to a picture that it has sent."""

    def check(self, name: str, value: object) -> None:
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
            raise refuse(name, value, "the hash of a picture")


TEXT, LONG_TEXT, WHOLE, NUMBER, SWITCH = Text(), Text(LONG), Number(whole=True), Number(), Switch()
SCALAR = AnyOf("a number, a text, true or false", (NUMBER, TEXT, SWITCH))
SIZE = Fields({"width": NUMBER, "height": NUMBER}, ("width", "height"))
PICTURE = Fields({"sha256": Sha256(), "width": NUMBER, "height": NUMBER}, ("sha256",))
FRAME = Fields({"width": NUMBER, "height": NUMBER, "fit": TEXT})
CURVE = ListOf(ListOf(NUMBER, 2))
WEIGHTS = ListOf(NUMBER)
IDS = ListOf(TEXT, 50_000)
LAYER = Fields(
    {
        **dict.fromkeys(("id", "condition", "source", "annotator", "controlnet", "control_mode", "control_form"), TEXT),
        **dict.fromkeys(("picture", "drawing", "classes", "mask", "weight_map"), PICTURE),
        **dict.fromkeys(("strength_curve", "depth_curve"), CURVE),
        **dict.fromkeys(("block_weights", "unconditional_block_weights"), WEIGHTS),
        **dict.fromkeys(
            ("conditioning_scale", "control_guidance_start", "control_guidance_end", "mask_feather"), NUMBER
        ),
        "enabled": SWITCH,
        "part": SWITCH,
        "pose": Fields(),
        "parameters": Names(),
        "repairs": ListOf(TEXT),
        "prompt": LONG_TEXT,
    },
    ("condition",),
)
SETTINGS = Fields(
    {
        **dict.fromkeys(("base", "vae", "scheduler"), TEXT),
        **dict.fromkeys(
            ("num_inference_steps", "guidance_scale", "eta", "residual_interval", "reuse_threshold"), NUMBER
        ),
        **dict.fromkeys(("norm_preserving", "guess_mode"), SWITCH),
        "negative_prompt": LONG_TEXT,
        "loras": ListOf(Fields({"name": TEXT, "scale": NUMBER}, ("name",))),
        "ip_adapter": Fields({"name": TEXT, "scale": NUMBER, "picture": PICTURE}),
    }
)
START = Fields({"picture": PICTURE, "mask": PICTURE, "strength": NUMBER, "area": TEXT, "padding": NUMBER})
DRAFT = Fields(
    {
        "prompt": LONG_TEXT,
        "photo": PICTURE,
        "frame": FRAME,
        "count": WHOLE,
        "seed": Fields({"locked": SWITCH, "value": WHOLE}),
        "layers": ListOf(LAYER, MAX_LAYERS),
        "start": START,
        "settings": SETTINGS,
    }
)
AXIS_VALUE = AnyOf("a number, a text, true, false or null", (NUMBER, LONG_TEXT, SWITCH, Null()))
AXIS_VALUES = AnyOf("a list of values, or a text", (LONG_TEXT, ListOf(AXIS_VALUE, 1000)))
AXIS = AnyOf(
    "a setting and its values",
    (LONG_TEXT, Fields({"name": TEXT, "search": LONG_TEXT, "values": AXIS_VALUES})),
)
AXES = ListOf(AXIS, 8)
QUERY = Fields(
    {
        **dict.fromkeys(("text", "base", "board", "sort"), TEXT),
        **dict.fromkeys(("favourites", "deleted"), SWITCH),
        "conditions": ListOf(TEXT),
        "min_score": NUMBER,
    }
)
STUDY = Fields({"study": TEXT, "unfinished": SWITCH}, ("study",))
PARTICIPANT = {"study": TEXT, "participant": TEXT}
QUESTION = PARTICIPANT | {"question": WHOLE}
NAMED = Fields({"name": TEXT}, ("name",))
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "tables": Fields(),
        "choices": Fields({"base": TEXT}),
        "memory": Fields({"base": TEXT, "layers": ListOf(LAYER, MAX_LAYERS), "frame": FRAME}),
        "catalogue": Fields(),
        "question": Fields({"ids": IDS, "annotator": TEXT}),
        "download": Fields({"ids": IDS}),
        "unload": Fields(),
        "start_engine": Fields(),
        "example": Fields({"condition": TEXT}),
        "frame": Fields(
            {
                "size": Fields({"mode": TEXT, "fit": TEXT, "width": NUMBER, "height": NUMBER}),
                "photo": SIZE,
                "base": TEXT,
            }
        ),
        "put": Fields({"path": TEXT}),
        "map": Fields({"layer": LAYER, "photo": PICTURE, "frame": FRAME}, ("layer",)),
        "coverage": Fields({"draft": DRAFT}),
        "fighting": Fields({"norms": ListOf(ListOf(NUMBER, 10_000))}),
        "pose": Fields({"path": TEXT, "text": Text(FILE_TEXT), "name": TEXT, "frame": FRAME}),
        "generate": Fields({"draft": DRAFT}),
        "cancel": Fields({"job": TEXT}, ("job",)),
        "cancel_all": Fields(),
        "move": Fields({"job": TEXT, "place": WHOLE}, ("job", "place")),
        "resume": Fields({"job": TEXT}, ("job",)),
        "unfinished": Fields(),
        "before": Fields({"id": TEXT}, ("id",)),
        "vary": Fields({"id": TEXT}, ("id",)),
        "upscale": Fields({"id": TEXT, "factor": NUMBER}, ("id",)),
        "read_recipe": Fields({"id": TEXT, "path": TEXT, "text": Text(FILE_TEXT), "base": TEXT}),
        "overlay": Fields({"id": TEXT, "index": WHOLE}, ("id",)),
        "library": Fields({"query": QUERY, "offset": WHOLE, "limit": WHOLE, "mine": SWITCH}),
        "shelves": Fields(),
        "thumbnails": Fields({"ids": IDS}),
        "details": Fields({"id": TEXT}, ("id",)),
        "favour": Fields({"ids": IDS, "favourite": SWITCH}),
        "board": Fields({"ids": IDS, "board": TEXT}),
        "delete": Fields({"ids": IDS}),
        "restore": Fields({"ids": IDS}),
        "empty_trash": Fields(),
        "zip": Fields({"ids": IDS}),
        "sweep_fields": Fields({"draft": DRAFT}),
        "sweep_plan": Fields({"draft": DRAFT, "axes": AXES}),
        "grid": Fields({"draft": DRAFT, "axes": AXES, "name": TEXT}),
        "batch": Fields(
            {
                "draft": DRAFT,
                "files": ListOf(TEXT, 10_000),
                "table": TEXT,
                "into": ListOf(TEXT),
                "size": TEXT,
                "name": TEXT,
            }
        ),
        "sweeps": Fields({"ids": IDS}),
        "sweep": Fields({"sweep": TEXT}, ("sweep",)),
        "cancel_sweep": Fields({"sweep": TEXT}, ("sweep",)),
        "resume_sweep": Fields({"sweep": TEXT}, ("sweep",)),
        "wildcards": Fields({"prompt": LONG_TEXT}),
        **dict.fromkeys(("study", "study_results"), STUDY),
        "study_question": Fields(PARTICIPANT, tuple(PARTICIPANT)),
        "study_answer": Fields(
            QUESTION | {"quality": ListOf(WHOLE, 5), "fidelity": ListOf(WHOLE, 5), "chosen": WHOLE}, tuple(QUESTION)
        ),
        "study_picture": Fields(QUESTION | {"place": WHOLE}, tuple(QUESTION)),
        "studies": Fields(),
        "create_study": Fields(
            {
                **dict.fromkeys(("name", "kind", "scale", "controls"), TEXT),
                **dict.fromkeys(("groups", "training"), WHOLE),
                "methods": ListOf(Fields({"name": TEXT, "folder": TEXT}), 16),
            }
        ),
        "training_form": Fields({"base": TEXT}),
        "trainings": Fields(),
        "start_training": Fields({"plan": Names()}, ("plan",)),
        "resume_training": Fields({"name": TEXT, "steps": WHOLE}, ("name",)),
        **dict.fromkeys(("pause_training", "stop_training", "delete_training", "try_training"), NAMED),
        "follow_training": Fields({"name": TEXT, "byte": WHOLE}, ("name",)),
        "find_data": Fields({"path": TEXT}),
        "build_data": Fields(
            {**dict.fromkeys(("images", "condition", "annotator", "caption", "output"), TEXT), "size": NUMBER}
        ),
        "check_data": Fields({**dict.fromkeys(("data", "condition", "caption"), TEXT), "size": NUMBER}),
        "data_state": Fields(),
        "cancel_data": Fields(),
        "watch": Fields({"token": TEXT, "follow": IDS}),
    }
)
"""Of the values of each call (cnet_app.ui.studio.CALLS)."""
