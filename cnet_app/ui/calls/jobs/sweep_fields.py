"""What of a draft's request a grid can vary, in the words of the form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotators.base import Parameter, parameters
from annotators.registry import annotator
from cnet_app.registry.modes import MODES
from cnet_app.registry.samplers import SAMPLERS, sampler
from cnet_app.request.generation import MASK_AREA, GenerationRequest
from cnet_app.request.sweeps.fields import ANNOTATOR, PROMPTS, Field, Value, find_field, known_fields
from cnet_app.request.sweeps.grids import Axis
from cnet_app.request.sweeps.grids import label_of as text_of
from cnet_app.ui.bases import OFFERS, Choices, controlnet_choices, family_of, model_choices
from cnet_app.ui.calls.context import Object
from cnet_app.ui.calls.draft.drafts import active_layers
from cnet_app.ui.labels import label_of
from models.errors import InputError

MODEL_LISTS = ("base", "vae")
PLACES = 4
"""Decimals of an example."""


@dataclass(frozen=True)
class FieldWords:
    """The fields of a request, and the layers of its draft, as the page names them."""

    request: GenerationRequest
    layers: Sequence[str]
    """Titles of the layers, a unit each."""

    @classmethod
    def of(cls, request: GenerationRequest, draft: Mapping[str, Any], titles: Mapping[str, str]) -> FieldWords:
        """Return the words for a draft; `titles` are those of the conditions. Layers of one condition are numbered."""
        all_layers = draft.get("layers") or ()
        return cls(request, [_layer_title(layer, all_layers, titles) for layer in active_layers(draft)])

    def fields(self) -> Iterator[Field]:
        """Yield each field that has an effect on this request, once."""
        fields = {field.name: field for field in known_fields(self.request) if _acts(field, self.request)}
        yield from fields.values()

    def group(self, field: Field) -> str:
        """Return what a field belongs to: the title of its layer, or Picture."""
        return self.layers[field.index] if field.owner in ("unit", "annotator") else "Picture"

    def label(self, field: Field) -> str:
        """Return the label of a field within its group."""
        if field.field == ANNOTATOR:
            return "Preprocessor"
        if field.owner == "lora":
            return f"LoRA {field.index + 1}" + (", strength" if field.field == "scale" else "")
        return label_of("ip_scale" if field.owner == "ip_adapter" else field.field)

    def full(self, field: Field) -> str:
        """Return the label with the layer it belongs to."""
        group = self.group(field)
        return self.label(field) if group == "Picture" else f"{group}: {self.label(field)}"

    def title(self, axis: Axis) -> str:
        """Return an axis as a heading names it."""
        name = self.full(find_field(self.request, axis.name))
        return f"{name}, {axis.search} becomes" if axis.search else name

    def value_titles(self, axis: Axis) -> list[str]:
        """Return the values of an axis as the page names them: a choice by its title, all others as they are typed."""
        field = find_field(self.request, axis.name)
        is_typed = field.is_number or _is_prompt(field)
        titles = {} if is_typed else dict(_choices(self.request, field))
        return [titles.get(value) or text_of(value) for value in axis.values]

    def refusal(self, error: InputError) -> InputError:
        """Return the error with fields and units under the names that the page gives them."""
        text = str(error)
        for field in sorted(known_fields(self.request), key=lambda field: -len(field.name)):
            before = r"(?<![\w.])" if "." in field.name else r"(?<=axis )"
            text = re.sub(rf"{before}{re.escape(field.name)}(?![\w.]*\w)", f"“{self.full(field)}”", text)
        for index, title in enumerate(self.layers):
            text = re.sub(rf"(?<![\w.])unit{index + 1}\b(?!\.\w)", f"“{title}”", text)
        return InputError(text)

    def describe(self, field: Field) -> Object:
        """Return a field as the page offers it; `kind` is number, choice or prompt."""
        value = _value(self.request, field)
        known: Object = {
            "name": field.name,
            "group": self.group(field),
            "label": self.label(field),
            "full": self.full(field),
            "value": value,
        }
        if _is_prompt(field):
            return known | {"kind": "prompt"}
        if field.is_number and field.limit:
            limit = field.limit
            bounds = {"minimum": limit.minimum, "maximum": limit.maximum, "unit": limit.unit}
            return known | bounds | {"kind": "number", "example": _example(limit, value)}
        choices = [{"value": value, "title": title} for value, title in _choices(self.request, field)]
        return known | {"kind": "choice", "choices": choices}


def _layer_title(layer: Mapping[str, Any], layers: Iterable[Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """The title of a layer's card (web/layers/layer_actions.js)."""
    alike = [one for one in layers if one["condition"] == layer["condition"]]
    title = titles[str(layer["condition"])]
    return f"{title} {alike.index(layer) + 1}" if len(alike) > 1 else title


def _is_prompt(field: Field) -> bool:
    return field.field in PROMPTS and field.owner == "request"


def _acts(field: Field, request: GenerationRequest) -> bool:
    if field.owner == "annotator":
        id = request.units[field.index].annotator
        return id is not None and field.field in parameters(annotator(id))
    if field.owner == "unit":
        return field.field != "mask_feather" or request.units[field.index].mask is not None
    idle = {
        "strength": request.initial_image is None,
        "inpaint_padding": request.inpaint_area != MASK_AREA,
        "eta": not sampler(request.scheduler).has_eta,
        "residual_interval": not request.units,
        "guess_mode": not request.units,
        "norm_preserving": not request.units,
    }
    return field.owner != "request" or not idle.get(field.field, False)


def _value(request: GenerationRequest, field: Field) -> Value:
    if field.owner == "annotator":
        given = request.units[field.index].annotator_parameters
        return given.get(field.field, field.limit.default if field.limit else None)
    owner = {
        "request": lambda: request,
        "unit": lambda: request.units[field.index],
        "lora": lambda: request.loras[field.index],
        "ip_adapter": lambda: request.ip_adapter,
    }[field.owner]()
    return getattr(owner, field.field)


def _example(limit: Parameter, value: Value) -> str:
    """Three values around the one that there is, as they are typed."""
    now = float(value) if isinstance(value, int | float) else 0.0
    low, high = limit.minimum or 0.0, limit.maximum or 0.0
    if isinstance(limit.default, int) and high - low > 10_000:  # a seed
        return "1-4"
    around = [min(max(factor * now, low), high) for factor in (0.5, 1, 1.5)]
    values = around if len(set(around)) == len(around) else [low, (low + high) / 2, high]
    step = float(limit.step or 10**-PLACES)
    return ", ".join(text_of(round(round(one / step) * step, PLACES)) for one in values)


def _choices(request: GenerationRequest, field: Field) -> list[tuple[Value, str]]:
    if field.limit is not None and not field.limit.choices:
        return [(True, "On"), (False, "Off")]
    if field.limit is not None:
        return [(id, _choice_title(field, id)) for id in field.limit.choices]
    if field.field == "scheduler":
        return [(row.id, row.title) for row in SAMPLERS]
    return [(id or None, title) for title, id in _models(request, field) if id or field.field in ("vae", "controlnet")]


def _choice_title(field: Field, id: str) -> str:
    if field.field == ANNOTATOR:
        return annotator(id).title
    return MODES[id].title if field.field == "control_mode" else label_of(id)


def _models(request: GenerationRequest, field: Field) -> Choices:
    family = family_of(request.base)
    if field.field == "controlnet":
        return controlnet_choices(request.units[field.index].condition, family, request.base)
    offer = OFFERS[field.field if field.field in MODEL_LISTS else "lora"]
    return model_choices(offer, None if field.field == "base" else family)
