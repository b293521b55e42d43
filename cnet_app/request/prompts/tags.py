"""Tags in prompts: `<lora:NAME:WEIGHT>` puts a LoRA of this app on the picture. No tag is read as words. Loads no torch."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from cnet_app.request.generation import MAX_LORAS, GenerationRequest
from cnet_app.request.units import LORA_LIMITS, Lora
from models.catalogue.catalog import CATALOG
from models.catalogue.local import local_files
from models.catalogue.weights import find_row
from models.names import did_you_mean

TAG = re.compile(r"<([a-z]{1,20}):([^<>]{1,500})>")
LORA_TAGS = ("lora", "lyco")


def has_tags(text: str) -> bool:
    """Return whether a text has a tag."""
    return TAG.search(text) is not None


def take_tags(request: GenerationRequest) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Return the request with the LoRAs of its prompt and without tags, and a sentence for each tag that does nothing.

    A LoRA is a file in models/loras, by its name with or without ending, or a catalogue id that is on this disk: a prompt
    never opens another file and never downloads. Tags in the negative prompt and in prompts of units do nothing.
    """
    texts = [request.prompt, request.negative_prompt, *(unit.prompt or "" for unit in request.units)]
    if not any(map(has_tags, texts)):
        return request, ()
    names = available_names()
    found: list[Lora] = []
    notes: list[str] = []
    for tag in TAG.finditer(request.prompt):
        lora, note = _read_tag(tag, names)
        if lora and len(request.loras) + len(found) == MAX_LORAS:
            note = f"{tag[0]} in prompt was left out: at most {MAX_LORAS} LoRAs work together."
        elif lora:
            found.append(lora)
        notes += [note] if note else []
    notes += [f"{tag[0]} does nothing in negative_prompt; put it into prompt." for tag in TAG.finditer(texts[1])]
    for number, text in enumerate(texts[2:], 1):
        notes += [
            f"{tag[0]} does nothing in prompt of unit {number}; put it into prompt." for tag in TAG.finditer(text)
        ]
    units = tuple(
        dataclasses.replace(unit, prompt=without_tags(unit.prompt)) if unit.prompt and has_tags(unit.prompt) else unit
        for unit in request.units
    )
    bare = dataclasses.replace(
        request,
        prompt=without_tags(request.prompt),
        negative_prompt=without_tags(request.negative_prompt),
        loras=(*request.loras, *found),
        units=units,
    )
    return bare, tuple(dict.fromkeys(notes))


def without_tags(text: str) -> str:
    """Return a text without its tags, and without the space that they leave."""
    return re.sub(r"[ \t]{2,}", " ", TAG.sub("", text)).strip() if has_tags(text) else text


def available_names() -> Mapping[str, str]:
    """Return the LoRAs on this disk: what a tag may call them, in lower case, and their names in a request."""
    rows = {row.id.lower(): row.id for row in CATALOG if row.kind == "lora" and find_row(row)}
    files = local_files("lora")
    return (
        rows | {file.path.stem.lower(): file.name for file in files} | {file.name.lower(): file.name for file in files}
    )


def _read_tag(tag: re.Match[str], names: Mapping[str, str]) -> tuple[Lora | None, str]:
    """Return the LoRA of a tag, where it has one, and what there is to say about it.

    Of two weights the second is the network's, as in other programs; a LoRA has one weight here.
    """
    kind, (name, *weights) = tag[1], tag[2].split(":")
    if kind not in LORA_TAGS:
        return None, f"{tag[0]} in prompt does nothing here; of tags in a prompt <lora:NAME:WEIGHT> is understood."
    known = names.get(name.strip().lower())
    if known is None:
        hint = did_you_mean(name, names.values())
        return None, f"{tag[0]} in prompt does nothing: models/loras has no {name!r}{hint}; put its file there."
    scale = _number(weights[min(1, len(weights) - 1)]) if weights else 1.0
    limit = LORA_LIMITS["scale"]
    if scale is None:
        return Lora(name=known), f"{tag[0]} in prompt has no number as its weight; it was taken as 1."
    bounded = min(max(scale, limit.minimum or 0.0), limit.maximum or 0.0)
    if bounded != scale:
        return Lora(
            name=known, scale=bounded
        ), f"{tag[0]} in prompt was taken as {bounded:g}, the nearest weight that is allowed."
    both = len({_number(weight) for weight in weights[:2]}) > 1
    note = (
        f"{tag[0]} in prompt names two weights; {scale:g}, the network's, counts for the text encoder too."
        if both
        else ""
    )
    return Lora(name=known, scale=scale), note


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
