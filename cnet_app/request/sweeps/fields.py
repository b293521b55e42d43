"""Fields of a request by the names that grids and tables give them: `guidance_scale`, `unit1.conditioning_scale`,
`unit1.annotator.low_threshold`, `lora1.scale`, `ip_adapter.scale`. Units and LoRAs are counted from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from annotators.base import Parameter, create, parameters, shown
from annotators.registry import annotator, parse_values
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, MODES
from cnet_app.registry.samplers import sampler
from cnet_app.request.generation import REQUEST_LIMITS, GenerationRequest
from cnet_app.request.limits import MAX_NAME, MAX_PROMPT
from cnet_app.request.plain import Scalar
from cnet_app.request.prompts.wildcards import TEMPLATES
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, UNIT_LIMITS, ControlUnit
from models.errors import InputError
from models.names import did_you_mean

Owner = Literal["request", "unit", "annotator", "lora", "ip_adapter"]
Value: TypeAlias = Scalar | None
RemakeMap: TypeAlias = Callable[[GenerationRequest, int, str, Mapping[str, Scalar]], ControlUnit]
"""From a request, the index of a unit, and an annotator with its parameters, to that unit with the map made again at the
request's size. Raises InputError where the unit's source image is not known."""
SWITCHES = ("guess_mode", "norm_preserving")
REQUEST_TEXTS = ("prompt", "negative_prompt", "base", "vae", "scheduler")
UNIT_TEXTS = ("control_mode", "controlnet")
PROMPTS = tuple(TEMPLATES)
MAP_FIELDS = ("control_image", "control_data", "annotator", "annotator_parameters", "source_sha256")
"""Fields of a unit that its map and nothing else gives."""
NONE = "none"
"""Stands for no VAE and no ControlNet of one's own."""
ANNOTATOR = "annotator"


@dataclass(frozen=True)
class Field:
    """One field that can vary."""

    name: str
    owner: Owner
    field: str
    """Name within its owner; of an annotator's parameter the parameter's."""
    index: int = 0
    """Of the unit or LoRA, from 0."""
    limit: Parameter | None = None
    """None for text."""

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.limit is not None and not isinstance(self.limit.default, bool | str)

    def check(self, value: object) -> Value:
        """Return the value in the field's own type; InputError."""
        if self.limit is not None:
            return self.limit.check(self.name, value)
        longest = MAX_PROMPT if self.field in PROMPTS else MAX_NAME
        if value is None and self.field in ("vae", "controlnet"):
            return None
        if not isinstance(value, str) or len(value) > longest:
            raise InputError(f"{self.name} is {shown(value)}, but it must be text of at most {longest:,} characters.")
        if self.field == "scheduler":
            sampler(value)
        return value

    def parse(self, text: str) -> Value:
        """Return the value that a text stands for; InputError."""
        if self.limit is None:
            return None if text == NONE and self.field in ("vae", "controlnet") else self.check(text)
        if isinstance(self.limit.default, str):
            return self.check(text)
        (value,) = parse_values([f"value={text}"]).values()
        return self.check(value)


def known_fields(request: GenerationRequest) -> Iterator[Field]:
    """Yield every field of a request that can vary."""
    for name, limit in REQUEST_LIMITS.items():
        if name != "num_images":
            yield Field(name, "request", name, limit=limit)
    for name in SWITCHES:
        switch = Parameter(default=False, help="")
        yield Field(name, "request", name, limit=switch)
    for name in REQUEST_TEXTS:
        yield Field(name, "request", name)
    for index, unit in enumerate(request.units):
        yield from _unit_fields(index, unit)
    for index in range(len(request.loras)):
        yield Field(f"lora{index + 1}.name", "lora", "name", index)
        yield Field(f"lora{index + 1}.scale", "lora", "scale", index, LORA_LIMITS["scale"])
    if request.ip_adapter:
        yield Field("ip_adapter.scale", "ip_adapter", "scale", limit=IP_ADAPTER_LIMITS["scale"])


def _unit_fields(index: int, unit: ControlUnit) -> Iterator[Field]:
    prefix = f"unit{index + 1}."
    for name, limit in UNIT_LIMITS.items():
        yield Field(prefix + name, "unit", name, index, limit)
    modes = tuple(id for id in MODES if id != CUSTOM)
    yield Field(f"{prefix}control_mode", "unit", "control_mode", index, _choice(modes))
    yield Field(f"{prefix}controlnet", "unit", "controlnet", index)
    if unit.annotator is None:
        return
    ids = condition(unit.condition).annotators
    yield Field(prefix + ANNOTATOR, "unit", ANNOTATOR, index, _choice(ids))
    for id in (unit.annotator, *ids):
        for name, limit in parameters(annotator(id)).items():
            yield Field(f"{prefix}{ANNOTATOR}.{name}", "annotator", name, index, limit)


def _choice(ids: Sequence[str]) -> Parameter:
    return Parameter(default=ids[0], help="", choices=tuple(ids))


def find_field(request: GenerationRequest, name: str) -> Field:
    """Return the field of a name; InputError for one that the request does not have."""
    fields: dict[str, Field] = {}
    for field in known_fields(request):
        fields.setdefault(field.name, field)
    if name not in fields:
        units = f"; it has {len(request.units)} units" if name.startswith("unit") else ""
        hint = did_you_mean(name, fields)
        raise InputError(
            f"The request has no field {shown(name)} that can vary{hint}{units}; its fields are: {', '.join(fields)}."
        )
    return fields[name]


def with_values(
    request: GenerationRequest, values: Sequence[tuple[Field, Value]], remake: RemakeMap | None = None
) -> GenerationRequest:
    """Return the request with all these values at once; `remake` makes maps again where an annotator changes.

    A prompt's template goes where its prompt is replaced. Raises InputError.
    """
    changes: dict[tuple[Owner, int], dict[str, Any]] = {}
    for field, value in values:
        owner = "annotator" if field.field == ANNOTATOR else field.owner
        changes.setdefault((owner, field.index), {})[field.field] = value
        if field.field in PROMPTS:
            changes[owner, 0][TEMPLATES[field.field]] = ""
    units, loras = list(request.units), list(request.loras)
    for (owner, index), fields in changes.items():
        if owner == "unit":
            units[index] = replace(units[index], **fields)
        elif owner == "lora":
            loras[index] = replace(loras[index], **fields)
    own = changes.get(("request", 0), {})
    if ("ip_adapter", 0) in changes and request.ip_adapter:
        own["ip_adapter"] = replace(request.ip_adapter, **changes["ip_adapter", 0])
    changed = replace(request, units=tuple(units), loras=tuple(loras), **own)
    for (owner, index), fields in changes.items():
        if owner == "annotator":
            changed = _with_map_made_again(changed, index, fields, remake)
    return changed


def with_unit(request: GenerationRequest, index: int, unit: ControlUnit) -> GenerationRequest:
    """Return the request with another unit in the place of one."""
    return replace(request, units=(*request.units[:index], unit, *request.units[index + 1 :]))


def with_map(unit: ControlUnit, made: ControlUnit) -> ControlUnit:
    """Return a unit with the map of another one."""
    return replace(unit, **{name: getattr(made, name) for name in MAP_FIELDS})


def _with_map_made_again(
    request: GenerationRequest, index: int, changes: Mapping[str, Any], remake: RemakeMap | None
) -> GenerationRequest:
    """The request with the map of one unit made by another annotator, or by one with other parameters."""
    unit = request.units[index]
    chosen = str(changes.get(ANNOTATOR, unit.annotator))
    kept = unit.annotator_parameters if chosen == unit.annotator else {}
    values = {**kept, **{name: value for name, value in changes.items() if name != ANNOTATOR}}
    create(annotator(chosen), values)  # refuses what does not go together before a map is made
    if remake is None:
        raise InputError(
            f"unit{index + 1}.annotator changes its map, but the picture that it is made of is not known; give that picture."
        )
    return with_unit(request, index, remake(request, index, chosen, values))
