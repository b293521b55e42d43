"""Which annotators can run here and now: their packages can be imported, and their weights are on this disk."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from annotators.base import create
from annotators.registry import annotator
from cnet_app.registry.conditions import condition
from models.catalogue.catalog import Weights, entry
from models.catalogue.weights import find

NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})
"""No annotator was found broken."""


def library_fault(annotator_id: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> str:
    """Return why the annotator cannot run even with its weights; empty where nothing speaks against it.

    `faults` are messages of annotators that were found broken (Maps.faults).
    """
    library = annotator(annotator_id).library
    if library and find_spec(library) is None:
        return f"This annotator needs {library}, which is not installed; run `pip install -r requirements.txt`."
    return faults.get(annotator_id, "")


def missing_weights(annotator_id: str) -> list[Weights]:
    """Rows of the files that an annotator with its default parameters would have to download."""
    return [entry(id) for id in create(annotator(annotator_id)).needs() if not find(id)]


def can_run(annotator_id: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> bool:
    """Now, without a download."""
    return not library_fault(annotator_id, faults) and not missing_weights(annotator_id)


def default_annotator(condition_id: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> str:
    """The best annotator of a condition that can run now, for any use; the last where none can."""
    ids = condition(condition_id).annotators
    return next((id for id in ids if _is_free(id) and can_run(id, faults)), ids[-1])


def free_annotator(condition_id: str) -> str:
    """Return the best annotator of a condition for any use whose packages are here, whether its weights are or not."""
    ids = condition(condition_id).annotators
    return next((id for id in ids if _is_free(id) and not library_fault(id)), ids[-1])


def instead_of(annotator_id: str, condition_id: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> str:
    """Another annotator of the condition that can run now, for the end of a sentence; empty where there is none."""
    other = default_annotator(condition_id, faults)
    if other == annotator_id or not can_run(other, faults):
        return ""
    return f"; until then choose {annotator(other).title} ({other})"


def _is_free(annotator_id: str) -> bool:
    return all(entry(weights).commercial == "yes" for weights in create(annotator(annotator_id)).needs())
