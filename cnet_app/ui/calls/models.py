"""Models: what is here, what could be downloaded, and downloads that the user agreed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, get_args

from annotators.base import create, shown
from annotators.registry import annotator
from cnet_app.api.describe import describe_models
from cnet_app.registry.conditions import CONDITIONS, can_control, start_scale
from cnet_app.registry.presets import FEW_STEPS
from cnet_app.request.checks.known import offered_models
from cnet_app.request.checks.refusals import (
    guess_refusal,
    mode_refusals,
    negative_refusal,
    sampler_refusals,
    unit_refusals,
)
from cnet_app.ui.bases import (
    OFFERS,
    control_blocks,
    controlnet_choices,
    defaults_of,
    family_of,
    model_choices,
    side_multiple_of,
    title_of,
)
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.labels import in_form_words
from models.catalogue.catalog import Kind, entry
from models.catalogue.local import FOLDERS, KIND_TITLES, LocalKind
from models.catalogue.missing import describe_download, total_words
from models.catalogue.own import known_rows
from models.catalogue.places import place_for
from models.catalogue.row import Weights
from models.environment import is_offline, models_folder
from models.errors import InputError
from models.families import FAMILIES, own_base_note, refusal
from models.family_facts import Capability, FamilyFacts
from models.files import HERE, short

KIND_NAMES: Mapping[Kind | LocalKind, str] = MappingProxyType(
    {
        "base": "Base model",
        "controlnet": "ControlNet",
        "adapter": "T2I-Adapter",
        "ip_adapter": "IP-Adapter",
        "lora": "LoRA",
        "vae": "VAE",
        "annotator": "Preprocessor",
        "tokenizer": "Tokenizer",
        "embedding": "Embedding",
    }
)
"""By kind, as the table of all models names it."""
NOTHING_REFUSED: Object = {"fields": {}, "control_mode": {}, "scheduler": {}}
"""Of a base whose family is not known: everything may fit."""
NO_DOWNLOADS = "Only the one who runs this app may download models onto its server; choose a model that is here, or ask for this one."


def choices(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List what can be chosen for a base, {base: id or empty}: its facts, and the models that fit it."""
    chosen = str(values.get("base") or "")
    base, reason = (chosen, "your choice") if chosen else context.base()
    family = family_of(base)
    status = context.runner.engine_status()
    offer = status.base_offer
    offered = None if context.settings.is_local else offered_models() | {""}

    def listed(pairs: Iterable[tuple[str, str]]) -> list[Object]:
        return [{"title": title, "id": id} for title, id in pairs if offered is None or id in offered]

    return {
        "base": {
            "id": base,
            "title": title_of(base),
            "reason": reason,
            "family": family,
            "is_demo": family == "embedded",
            "refused": _refused(base, FAMILIES[family]) if family else NOTHING_REFUSED,
            "defaults": asdict(defaults_of(base)),
            "side_multiple": side_multiple_of(base),
            "note": own_base_note(family, base),
        },
        "offer": describe_rows([entry(offer)]) if offer else None,
        "lists": {
            field: listed(model_choices(row, None if field == "base" else family)) for field, row in OFFERS.items()
        },
        "controlnets": {
            row.id: [
                one
                | {
                    "conditioning_scale": start_scale(row.id, one["id"] or None, base, family),
                    "blocks": control_blocks(row.id, one["id"], base, family),
                }
                for one in listed(controlnet_choices(row.id, family, base))
            ]
            for row in CONDITIONS
        },
        "conditions": [row.id for row in CONDITIONS if family is None or can_control(row.id, family, base)],
        "presets": [asdict(row) for row in FEW_STEPS if family in (None, row.family)],
    }


def _refused(base: str, facts: FamilyFacts) -> Object:
    """Return why a base refuses what the form offers, in the engine's sentences: by field, and by value of lists."""
    defaults = next((row.defaults for row in known_rows() if row.kind == "base" and row.id == base), None)
    subjects: Mapping[str, tuple[Capability, str]] = {
        "loras": ("loras", "A LoRA"),
        "ip_adapter": ("ip_adapters", "An image prompt"),
    }
    fields = {
        **unit_refusals(facts),
        "guess_mode": guess_refusal(facts),
        "negative_prompt": negative_refusal(facts, defaults),
        **{name: refusal(facts, need, subject) for name, (need, subject) in subjects.items()},
    }
    values = {"control_mode": mode_refusals(facts), "scheduler": sampler_refusals(facts)}
    return {
        "fields": {name: in_form_words(sentence) for name, sentence in fields.items() if sentence},
        **{field: {id: in_form_words(sentence) for id, sentence in found.items()} for field, found in values.items()},
    }


def catalogue(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List all models with size, licence, use, and whether they are on this disk; and where files of one's own go."""
    root = models_folder() or HERE
    folders = [{"title": KIND_TITLES[kind], "folder": short(root / FOLDERS[kind])} for kind in get_args(LocalKind)]
    return {"models": [_model(row) for row in describe_models()], "folders": folders, "offline": is_offline()}


def _model(row: Object) -> Object:
    family = row.get("family")
    return row | {
        "size": row.get("size", ""),
        "kind_title": KIND_NAMES[row["kind"]],
        "family_title": FAMILIES[family].title if family else "",
    }


def question(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe the download of catalogue rows or of an annotator: {ids} or {annotator} → {missing}."""
    ids = [str(id) for id in values.get("ids") or ()]
    if name := values.get("annotator"):
        ids += create(annotator(str(name))).needs()
    return {"missing": describe_rows(map(_row, ids))}


def download(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Start the download of rows, {ids}; /watch follows the job. Raises InputError where visitors may not."""
    check_download(context)
    ids = [str(id) for id in values.get("ids") or ()]
    if not ids:
        raise InputError("Nothing was chosen to be downloaded; choose a model.")
    return {"job": context.runner.download([_row(id).id for id in ids], visitor.session)}


def check_download(context: Context) -> None:
    """Raise InputError where the app's visitors may not download models onto its server."""
    if refusal := download_refusal(context):
        raise InputError(refusal)


def download_refusal(context: Context) -> str:
    """Return why a visitor may not download models, in one sentence; empty where the visitor may."""
    return "" if context.settings.lets_download else NO_DOWNLOADS


def start_engine(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Start the engine again after it went down."""
    context.runner.start()
    return {}


def unload(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Release all loaded models. Raises InputError for a visitor of a public app, who would slow down the others."""
    if not context.settings.is_local:
        raise InputError("Only the one who runs this app may release its models.")
    context.runner.unload()
    return {}


def _row(id: str) -> Weights:
    """Return the catalogue row of an id that the page sent."""
    try:
        return entry(id)
    except LookupError:
        raise InputError(f"There is no model {shown(id)} in the catalogue; reload the page.") from None


def describe_rows(rows: Iterable[Weights]) -> Object:
    """Return what a download would bring: a line a model with size, licence, use and page; total and folder.

    `files` and `folder` of an item are what a user without a network has to fetch by hand, and where it goes.
    """
    by_id = {row.id: row for row in rows}
    items = describe_download(by_id.values())
    return {
        "ids": [item.id for item in items],
        "items": [
            {
                "title": item.title,
                "size": item.size_words,
                "licence": item.licence,
                "terms": by_id[item.id].terms,
                "use": item.use,
                "gate": item.gate,
                "page": item.page,
                "files": list(item.files),
                "folder": short(place_for(by_id[item.id])),
            }
            for item in items
        ],
        "total": total_words(items),
        "place": items[0].place if items else "",
        "offline": is_offline(),
    }
