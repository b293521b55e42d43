"""SwarmUI: JSON with the parameters of the picture, and the hashes of its models. Numbers may be text, lists may be joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnet_app.request.foreign.conditions import condition_of
from cnet_app.request.foreign.prompts import take_loras
from cnet_app.request.foreign.recipe import ForeignControl, ForeignLora, ForeignRecipe, find_scheduler, note, shortened
from cnet_app.request.foreign.values import (
    Fields,
    fields_of,
    fraction_of,
    hash_of,
    list_of,
    load_object,
    model_of,
    number_of,
    text_of,
    weight_of,
    whole_of,
)
from models.errors import InputError

MARK = "sui_image_params"
SLOTS = ("", "two", "three")
"""In the names of the parameters of up to three ControlNets."""
TAKEN = {
    "prompt", "negativeprompt", "seed", "steps", "cfgscale", "sampler", "scheduler", "width", "height", "model", "vae",
    "loras", "loraweights",
}  # fmt: skip
SILENT = {"swarm_version", "aspectratio", "automaticvae", "images", "date", "generation_time", "nopreviews"}
"""What changes no picture of ours."""


def is_swarm(texts: Mapping[str, str]) -> bool:
    """Return whether the text holds the parameters by name."""
    return MARK in texts.get("parameters", "")[:100_000]


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe. Raises InputError where the JSON is damaged."""
    whole = load_object(texts["parameters"], "the text of SwarmUI")
    found = fields_of(whole.get(MARK))
    if not found:
        raise InputError(f"the text of SwarmUI is damaged: its {MARK} is no object")
    hashes = _hashes(whole)
    left_out = [
        note(key, value)
        for key, value in found.items()
        if key not in TAKEN | SILENT and not key.startswith("controlnet") and value not in (None, "", [], False)
    ]
    prompt, tagged = take_loras(text_of(found.get("prompt")), hashes, left_out)
    name = text_of(found.get("model"))
    return ForeignRecipe(
        program="SwarmUI",
        prompt=prompt,
        negative_prompt=text_of(found.get("negativeprompt")),
        seed=whole_of(found.get("seed")),
        steps=whole_of(found.get("steps")),
        guidance=number_of(found.get("cfgscale")),
        scheduler=find_scheduler(text_of(found.get("sampler")), text_of(found.get("scheduler")), left_out),
        width=whole_of(found.get("width")),
        height=whole_of(found.get("height")),
        base=model_of(name, hashes.get(_key(name))),
        vae=model_of(found.get("vae")),
        loras=(*_loras(found, hashes), *tagged),
        controls=tuple(_controls(found)),
        left_out=shortened(left_out),
    )


def _key(name: str) -> str:
    return name.removesuffix(".safetensors")


def _hashes(whole: Fields) -> dict[str, str]:
    models = map(fields_of, list_of(whole.get("sui_models")))
    return {_key(text_of(model.get("name"))): hash_of(model.get("hash")) for model in models}


def _listed(value: object) -> Sequence[object]:
    return value.split(",") if isinstance(value, str) else list_of(value)


def _loras(found: Fields, hashes: Mapping[str, str]) -> Iterator[ForeignLora]:
    names = [text_of(name).strip() for name in _listed(found.get("loras"))]
    weights = _listed(found.get("loraweights"))
    for number, name in enumerate(names):
        if name:
            weight = weights[number] if number < len(weights) else None
            yield ForeignLora(model_of(name, hashes.get(_key(name))), weight_of(weight))


def _controls(found: Fields) -> Iterator[ForeignControl]:
    for slot in SLOTS:
        values = {
            part: found.get(f"controlnet{slot}{part}") for part in ("model", "preprocessor", "strength", "start", "end")
        }
        model, module = model_of(values["model"]), model_of(values["preprocessor"]).name
        if model or module:
            ends = fraction_of(values["start"], 0.0), fraction_of(values["end"], 1.0)
            yield ForeignControl(condition_of(model.name, module), model, module, weight_of(values["strength"]), *ends)
