"""The tables of the registry as the page reads them: conditions, modes, samplers, limits, classes, joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotators.base import Parameter, parameters
from annotators.maps.control_map import DataAnnotator
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from annotators.people import sticks
from annotators.registry import annotator, licence_text
from cnet_app import __version__
from cnet_app.embedded.world import words
from cnet_app.embedded.world.posters import PALETTES, POSTER_STYLES
from cnet_app.maps.availability import NOTHING_KNOWN, can_run, default_annotator, library_fault, missing_weights
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.registry.modes import MODES, even_places
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import MAX_LORAS, MAX_UNITS, REQUEST_LIMITS
from cnet_app.request.limits import MAX_PROMPT
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, UNIT_LIMITS
from cnet_app.request.upscale import UPSCALE_LIMITS
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.models import download_refusal
from cnet_app.ui.examples import FIRST_VIEW
from cnet_app.ui.labels import LABELS

CURVE_PLACES = even_places((1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8))
"""Places of a Stable Diffusion ControlNet, for the drawing of a mode."""


def tables(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return everything the page needs to build its forms."""
    return {
        "version": __version__,
        "local": context.settings.is_local,
        "no_downloads": download_refusal(context),
        "can_train": context.settings.is_local,
        "max_upload_mb": context.settings.max_upload_mb,
        "conditions": [_condition(row, context) for row in CONDITIONS],
        "modes": [_mode(id) for id in MODES],
        "samplers": [{"id": row.id, "title": row.title, "has_eta": row.has_eta} for row in SAMPLERS],
        "limits": {
            "request": declared(REQUEST_LIMITS),
            "unit": declared(UNIT_LIMITS),
            "lora": declared(LORA_LIMITS),
            "ip_adapter": declared(IP_ADAPTER_LIMITS),
            "upscale": declared(UPSCALE_LIMITS),
            "max_units": MAX_UNITS,
            "max_loras": MAX_LORAS,
            "max_prompt": MAX_PROMPT,
        },
        "labels": dict(LABELS),
        "classes": [
            {"id": id, "name": name, "colour": ADE20K_PALETTE[id].tolist()} for id, name in enumerate(ADE20K_CLASSES)
        ],
        "skeleton": {
            "limbs": sticks.LIMBS,
            "colours": sticks.POSE_COLOURS,
            "limb_brightness": sticks.LIMB_BRIGHTNESS,
            "fingers": sticks.FINGERS,
            "finger_colours": sticks.FINGER_COLOURS,
            "knuckle_colour": sticks.KNUCKLE_COLOUR,
            "face_colour": sticks.FACE_COLOUR,
            "stick_at_512": sticks.STICK_AT_512,
            "finger_at_512": sticks.FINGER_AT_512,
            "knuckle_at_512": sticks.KNUCKLE_AT_512,
            "face_at_512": sticks.FACE_AT_512,
        },
        "first_view": list(FIRST_VIEW),
        "demo_words": _demo_words(),
    }


def _condition(row: Condition, context: Context) -> Object:
    first = annotator(row.annotators[0])
    return {
        "id": row.id,
        "title": row.title,
        "help": row.help,
        "kind": row.kind.id,
        "canvas": row.canvas,
        "masked": row.masked,
        "data": row.kind.id if row.kind.id == "pose" else "classes" if row.kind.id == "labels" else None,
        "measure": row.measure,
        "families": list(row.families),
        "example_prompt": row.example_prompt,
        "annotators": describe_annotators(row.id, context.maps.faults),
        "default_annotator": default_annotator(row.id, context.maps.faults),
        "finds_data": issubclass(first, DataAnnotator),
    }


def describe_annotators(condition_id: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> list[Object]:
    """Return the annotators of a condition with licence, parameters, and why one cannot run."""
    return [_annotator(id, faults) for id in condition(condition_id).annotators]


def _annotator(id: str, faults: Mapping[str, str]) -> Object:
    kind, missing = annotator(id), [row for row in missing_weights(id) if row.repo]
    return {
        "id": id,
        "title": kind.title,
        "note": kind.note,
        "licence": licence_text(kind),
        "fault": library_fault(id, faults),
        "can_run": can_run(id, faults),
        "is_demo": id.endswith("_embedded"),
        "downloads": [f"{row.title} ({row.size_words})" for row in missing],
        "parameters": declared(parameters(kind)),
        "ordered": [list(pair) for pair in kind.ordered],
    }


def declared(rows: Mapping[str, Parameter]) -> Object:
    """Return declarations of parameters as the page reads them, by name."""
    return {
        name: {
            "default": row.default,
            "minimum": row.minimum,
            "maximum": row.maximum,
            "step": row.step,
            "unit": row.unit,
            "choices": list(row.choices),
            "whole": isinstance(row.default, int) and not isinstance(row.default, bool),
            "help": row.help,
        }
        for name, row in rows.items()
    }


def _mode(id: str) -> Object:
    row = MODES[id]
    return {
        "id": id,
        "title": row.title,
        "help": row.help,
        "both_sides": row.both_sides,
        "curve": list(row.weights(CURVE_PLACES)),
    }


def _demo_words() -> Object:
    """The words that the embedded model was trained with, by what they name."""
    phrases: Sequence[str] = [*POSTER_STYLES.values()]
    return {
        "starts": [*phrases, *(f"{words.with_article(style)} picture of" for style in words.STYLES)],
        "palettes": [f"in {name} colours" for name in PALETTES],
        "things": [words.with_article(f"{colour} {shape}") for colour in words.COLOURS for shape in words.SHAPES],
        "skies": list(words.SKY_PHRASES.values()),
        "known": sorted({word for phrase in _vocabulary() for word in phrase.split()}),
    }


def _vocabulary() -> list[str]:
    parts = [
        *POSTER_STYLES.values(),
        *words.SKY_PHRASES.values(),
        *words.COLOURS,
        *words.SHAPES,
        *words.STYLES,
        *PALETTES,
    ]
    return [*parts, "a an and in of with picture colours photo lines shapes"]
