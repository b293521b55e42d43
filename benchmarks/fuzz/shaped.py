"""Random values of the calls' shapes, with words that mean something to the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from annotators.registry import ANNOTATORS
from benchmarks.fuzz.changes import Json, few, plain_text
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.registry.modes import MODES
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.ui.calls.shapes import AnyOf, Fields, ListOf, Names, Null, Number, Sha256, Shape, Switch, Text

PROMPTS = ("a cat", "a {red|blue} ball", "__a__", "[a:b:0.5]", "")
LIGHT = tuple(kind.id for kind in ANNOTATORS if not kind.weights)
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "condition": tuple(row.id for row in CONDITIONS),
        "conditions": tuple(row.id for row in CONDITIONS),
        "annotator": (*LIGHT, "none", ""),
        "control_mode": tuple(MODES),
        "scheduler": (*(row.id for row in SAMPLERS), ""),
        "base": ("embedded", "sd15", ""),
        "fit": ("crop", "pad", "stretch"),
        "mode": ("photo", "own", "square"),
        "source": ("photo", "own", "drawing", "pose", "classes"),
        "area": ("picture", "mask"),
        "size": ("follow", "frame"),
        "sort": ("newest", "oldest", "score"),
        "name": ("guidance_scale", "num_inference_steps", "seed", "prompt", "unit1.conditioning_scale", "a name"),
        "prompt": PROMPTS,
        "negative_prompt": PROMPTS,
        "values": ("1, 2", "1..3", "2"),
        "repairs": ("invert", "count_from_1"),
    }
)
"""What a text may be, by the name of its field."""
NUMBERS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "width": (64, 96, 128, 2048, 65),
        "height": (64, 96, 128, 2048),
        "num_inference_steps": (1, 2, 20),
        "count": (1, 2, 8),
        "factor": (1.5, 2, 4),
    }
)
PLAIN_NUMBERS = (0, 1, 2, 0.5, 0.1, 0.9, 7, 100, -1)
POSE: Json = {"people": [{"pose_keypoints_2d": [20.0, 20.0, 1.0] * 18}], "canvas_width": 64, "canvas_height": 64}


@dataclass(frozen=True)
class Known:
    """What the app has, to be named in calls."""

    pictures: tuple[str, ...]
    """Hashes of pictures that the page has sent."""
    words: Mapping[str, tuple[str, ...]]
    """Ids and paths, by the name of their field."""


def value_of(random: Random, shape: Shape, name: str, known: Known) -> Json:
    """Return a value of a shape; `name` is its field's. Of fields that may be left out about half are there."""
    if isinstance(shape, AnyOf):
        return value_of(random, random.choice(shape.shapes), name, known)
    if isinstance(shape, ListOf):
        return [
            value_of(random, shape.shape, name, known)
            for _ in range(min(few(random, 3) - random.randrange(2), shape.most))
        ]
    if isinstance(shape, Fields):
        chosen = [key for key in shape.fields if key in shape.needed or random.random() < 0.6]
        made = {key: value_of(random, shape.fields[key], key, known) for key in chosen}
        return POSE if name == "pose" and not shape.fields else made
    if isinstance(shape, Names):
        return {
            random.choice(("low_threshold", "high_threshold", "sigma", "a")): random.choice((1, 50, 0.5, True, "x"))
        }
    return _plain_value(random, shape, name, known)


def _plain_value(random: Random, shape: Shape, name: str, known: Known) -> Json:
    if isinstance(shape, Sha256):
        return random.choice((*known.pictures, "0" * 64))
    if isinstance(shape, Number):
        number = random.choice(NUMBERS.get(name, PLAIN_NUMBERS))
        return int(number) if shape.whole else number
    if isinstance(shape, Switch):
        return random.random() < 0.5
    if isinstance(shape, Null):
        return None
    assert isinstance(shape, Text), f"{type(shape).__name__} has no values here; add them"
    words = known.words.get(name) or WORDS.get(name)
    text = random.choice(words) if words and random.random() < 0.9 else plain_text(random)
    return text[: shape.longest]
