"""Conditions, annotators and models as JSON values. Loads no torch."""

from __future__ import annotations

from typing import Any, get_args

from annotators.base import Parameter, parameters, shown
from annotators.registry import annotator
from cnet_app.maps.annotate import Maps
from cnet_app.maps.availability import can_run, default_annotator
from cnet_app.registry.conditions import CONDITIONS, Condition, base_controlnets
from models.catalogue.catalog import Kind
from models.catalogue.local import LocalKind, local_files
from models.catalogue.own import known_rows
from models.catalogue.weights import find_row
from models.errors import InputError
from models.names import did_you_mean

KINDS = tuple(dict.fromkeys((*get_args(Kind), *get_args(LocalKind))))
"""Kinds of models."""


def describe_conditions(maps: Maps) -> list[dict[str, Any]]:
    """Return every condition with its annotators, their parameters, and its ControlNet for each base that has one."""
    return [_condition(row, maps) for row in CONDITIONS]


def describe_models(kind: str = "") -> list[dict[str, Any]]:
    """Return the models of a kind, or all: the user's own files, then the catalogue. Raises InputError for another kind."""
    if kind and kind not in KINDS:
        raise InputError(
            f"kind is {shown(kind)}{did_you_mean(kind, KINDS)}, but it must be one of: {', '.join(KINDS)}."
        )
    own = [
        {"id": file.name, "kind": file.kind, "title": file.name, "family": file.family, "here": True}
        for id in get_args(LocalKind)
        if kind in ("", id)
        for file in local_files(id)
    ]
    rows = [
        {
            "id": row.id,
            "kind": row.kind,
            "title": row.title,
            "family": row.family,
            "conditions": list(row.conditions),
            "bytes": row.size,
            "size": row.size_words if row.repo else "",
            "licence": row.licence,
            "use": row.use,
            "gate": row.gate,
            "page": row.page,
            "here": find_row(row) is not None,
        }
        for row in known_rows()
        if kind in ("", row.kind)
    ]
    return own + rows


def _condition(row: Condition, maps: Maps) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "help": row.help,
        "default_annotator": default_annotator(row.id, maps.faults),
        "annotators": [_annotator(id, maps) for id in row.annotators],
        "controlnets": base_controlnets(row.id),
        "measure": row.measure,
    }


def _annotator(id: str, maps: Maps) -> dict[str, Any]:
    kind = annotator(id)
    declared = {name: _parameter(one) for name, one in parameters(kind).items()}
    return {"id": id, "title": kind.title, "can_run": can_run(id, maps.faults), "parameters": declared}


def _parameter(declared: Parameter) -> dict[str, Any]:
    values = {
        "default": declared.default,
        "minimum": declared.minimum,
        "maximum": declared.maximum,
        "unit": declared.unit,
        "choices": list(declared.choices),
        "help": declared.help,
    }
    return {name: value for name, value in values.items() if value not in (None, "", [])}
