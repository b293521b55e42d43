"""Fooocus: JSON, or a text as of AUTOMATIC1111's web UI, and the name of the scheme beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cnet_app.request.foreign import a1111
from cnet_app.request.foreign.prompts import take_loras
from cnet_app.request.foreign.recipe import ForeignLora, ForeignRecipe, NamedModel, find_scheduler, note, shortened
from cnet_app.request.foreign.values import (
    Fields,
    hash_of,
    list_of,
    load_object,
    model_of,
    number_of,
    text_of,
    weight_of,
    whole_of,
)

PROGRAM = "Fooocus"
TAKEN = {
    "prompt", "negative_prompt", "seed", "steps", "guidance_scale", "sampler", "scheduler", "resolution", "base_model",
    "base_model_hash", "vae", "loras", "full_prompt", "full_negative_prompt",
}  # fmt: skip
SILENT = {"version", "metadata_scheme", "created_by", "performance", "clip_skip", "adm_guidance", "refiner_switch"}
"""What changes no picture of ours, or stands in another value too."""


def is_fooocus(texts: Mapping[str, str]) -> bool:
    """Return whether the scheme is named, or the JSON is of its kind."""
    text = texts.get("parameters", "")
    return bool(text) and ("fooocus_scheme" in texts or (text.lstrip().startswith("{") and '"base_model"' in text))


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe. Raises InputError where the text is damaged."""
    text = texts["parameters"]
    if a1111.is_parameters(text):
        return a1111.parse(text, PROGRAM)
    found = load_object(text, "the text of Fooocus")
    left_out = [
        note(key, value)
        for key, value in found.items()
        if key not in TAKEN | SILENT
        and not re.match(r"lora_combined", key)
        and value not in (None, "", "None", [], "[]", 0)
    ]
    prompt, tagged = take_loras(text_of(found.get("prompt")), {}, left_out)
    # Two numbers in brackets, as text; nothing of it is run.
    size = re.fullmatch(r"\(?\s*(\d{1,6})\s*[,x×]\s*(\d{1,6})\s*\)?", text_of(found.get("resolution")).strip())
    if not size and found.get("resolution"):
        left_out.append(note("resolution", found["resolution"]))
    return ForeignRecipe(
        program=PROGRAM,
        prompt=prompt,
        negative_prompt=text_of(found.get("negative_prompt")),
        seed=whole_of(found.get("seed")),
        steps=whole_of(found.get("steps")),
        guidance=number_of(found.get("guidance_scale")),
        scheduler=find_scheduler(text_of(found.get("sampler")), text_of(found.get("scheduler")), left_out),
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        base=model_of(found.get("base_model"), found.get("base_model_hash")),
        vae=model_of(found.get("vae")),
        loras=(*_loras(found), *tagged),
        left_out=shortened(left_out),
    )


def _loras(found: Fields) -> Iterator[ForeignLora]:
    """Lists of name, weight and hash; in earlier versions a text `name : weight` for each."""
    for entry in map(list_of, list_of(found.get("loras"))):
        name, weight, digest, *_ = (*entry, None, None, None)
        if text_of(name):
            yield ForeignLora(NamedModel(text_of(name), hash_of(digest)), weight_of(weight))
    for key, value in found.items():
        name, colon, weight = text_of(value).rpartition(" : ")
        if key.startswith("lora_combined") and colon and not found.get("loras"):
            yield ForeignLora(NamedModel(name), weight_of(weight))
