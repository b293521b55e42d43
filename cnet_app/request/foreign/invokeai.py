"""InvokeAI: one JSON object, whose names of models changed with its versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnet_app.request.foreign.conditions import condition_of
from cnet_app.request.foreign.recipe import (
    ForeignControl,
    ForeignLora,
    ForeignRecipe,
    NamedModel,
    find_scheduler,
    note,
    shortened,
)
from cnet_app.request.foreign.values import (
    Fields,
    fields_of,
    fraction_of,
    hash_of,
    list_of,
    load_object,
    number_of,
    text_of,
    weight_of,
    whole_of,
)

NAME = "invokeai_metadata"
TAKEN = {
    "positive_prompt", "negative_prompt", "seed", "steps", "cfg_scale", "scheduler", "width", "height", "model", "vae",
    "loras", "controlnets", "canvas_v2_metadata",
}  # fmt: skip
SILENT = {"app_version", "generation_mode", "rand_device", "metadata_version", "board", "controlLayers"}
"""What changes no picture of ours."""


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe. Raises InputError where the JSON is damaged."""
    found = load_object(texts[NAME], "the text of InvokeAI")
    left_out = [
        note(key, value)
        for key, value in found.items()
        if key not in TAKEN | SILENT and value not in (None, [], {}, "", False)
    ]
    return ForeignRecipe(
        program="InvokeAI",
        prompt=text_of(found.get("positive_prompt")),
        negative_prompt=text_of(found.get("negative_prompt")),
        seed=whole_of(found.get("seed")),
        steps=whole_of(found.get("steps")),
        guidance=number_of(found.get("cfg_scale")),
        scheduler=find_scheduler(text_of(found.get("scheduler")), "", left_out),
        width=whole_of(found.get("width")),
        height=whole_of(found.get("height")),
        base=_model(found.get("model")),
        vae=_model(found.get("vae")),
        loras=tuple(_loras(found)),
        controls=tuple(_controls(found)),
        left_out=shortened(left_out),
    )


def _model(value: object) -> NamedModel:
    """A model by its name here or in earlier versions; a hash counts where it is a sha256."""
    fields = fields_of(value)
    name = text_of(fields.get("name")) or text_of(fields.get("model_name")) or text_of(value)
    digest = text_of(fields.get("hash"))
    return NamedModel(name, hash_of(digest) if ":" not in digest or digest.startswith("sha256:") else "")


def _loras(found: Fields) -> Iterator[ForeignLora]:
    for entry in map(fields_of, list_of(found.get("loras"))):
        model = _model(entry.get("model", entry.get("lora")))
        if model:
            yield ForeignLora(model, weight_of(entry.get("weight")))


def _controls(found: Fields) -> Iterator[ForeignControl]:
    """The list of earlier versions, and the layers of the canvas."""
    for entry in map(fields_of, list_of(found.get("controlnets"))):
        yield _control(entry, entry.get("control_model"), entry.get("control_weight"))
    layers = list_of(fields_of(found.get("canvas_v2_metadata")).get("controlLayers"))
    for layer in map(fields_of, layers):
        adapter = fields_of(layer.get("controlAdapter"))
        if adapter and layer.get("isEnabled") is not False:
            yield _control(adapter, adapter.get("model"), adapter.get("weight"))


def _control(entry: Fields, model: object, weight: object) -> ForeignControl:
    named = _model(model)
    ends = [*list_of(entry.get("beginEndStepPct")), None, None][:2]
    return ForeignControl(
        condition_of(named.name),
        named,
        "",
        weight_of(weight),
        fraction_of(entry.get("begin_step_percent", ends[0]), 0.0),
        fraction_of(entry.get("end_step_percent", ends[1]), 1.0),
    )
