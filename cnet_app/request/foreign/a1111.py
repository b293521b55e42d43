"""AUTOMATIC1111's web UI and Forge: a prompt, a negative prompt, and a last line of settings, `Steps: 20, Sampler: …`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from cnet_app.request.foreign.conditions import condition_of
from cnet_app.request.foreign.prompts import take_loras
from cnet_app.request.foreign.recipe import ForeignControl, ForeignRecipe, NamedModel, find_scheduler, note, shortened
from cnet_app.request.foreign.values import (
    fields_of,
    fraction_of,
    hash_of,
    model_of,
    number_of,
    text_of,
    weight_of,
    whole_of,
)
from models.errors import InputError

NEGATIVE = "Negative prompt:"
FEWEST = 3
"""Settings from which a last line is one of settings, and not the end of a prompt."""
MAX_PAIRS = 500
MAX_JSON = 100_000
"""Characters of one value that is JSON."""
SILENT = {"version", "rng", "user", "civitai resources", "civitai metadata", "batch size", "batch pos", "script"}
"""Settings that change no picture of ours."""

_KEY = re.compile(r"\s*(\w[\w \-/+.]{0,60}?)\s*:\s*")
_UNIT = re.compile(r"controlnet( \d{1,2})?")
_RANGE = re.compile(r"\(\s*([\d.]{1,20})\s*,\s*([\d.]{1,20})\s*\)")
_LEGACY_HASH = re.compile(r"\[[0-9a-f]{6,64}\]\s*$")


def is_parameters(text: str) -> bool:
    """Return whether a text may be of this format: it is no JSON object, and names a number of steps."""
    return not text.lstrip().startswith("{") and "Steps:" in text


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe in the text `parameters`."""
    return parse(texts["parameters"])


def parse(text: str, program: str = "") -> ForeignRecipe:
    """Return the recipe in a text. Raises InputError where its line of settings is missing."""
    *lines, last = text.strip().split("\n")
    settings = dict(pairs(last))
    if len(settings) < FEWEST or "steps" not in settings:
        raise InputError("the text of AUTOMATIC1111's web UI has no line of settings (Steps: …, Sampler: …)")
    at = next((i for i, line in enumerate(lines) if line.strip().startswith(NEGATIVE)), len(lines))
    prompt, negative = "\n".join(lines[:at]), "\n".join(lines[at:]).strip().removeprefix(NEGATIVE)
    left_out: list[str] = []
    hashes = _lora_hashes(settings)
    prompt, loras = take_loras(prompt, hashes, left_out)
    take = {key: settings.pop(key, "") for key in _TAKEN}
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text_of(take["size"]))
    units = [key for key in settings if _UNIT.fullmatch(key)]
    controls = tuple(_control(text_of(settings.pop(key))) for key in units)
    scheduler = find_scheduler(text_of(take["sampler"]), text_of(take["schedule type"]), left_out)
    left_out += [note(key, take[key]) for key in _NUMBERS if take[key] != "" and number_of(take[key]) is None]
    left_out += [note("size", take["size"])] if take["size"] and not size else []
    left_out += [note(key, value) for key, value in settings.items() if key not in SILENT]
    hash_list = fields_of(take["hashes"])
    return ForeignRecipe(
        program=program or _program(text_of(settings.get("version"))),
        prompt=prompt,
        negative_prompt=negative.strip(),
        seed=whole_of(take["seed"]),
        steps=whole_of(take["steps"]),
        guidance=number_of(take["cfg scale"]),
        scheduler=scheduler,
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        base=model_of(take["model"], take["model hash"] or hash_list.get("model")),
        vae=model_of(take["vae"], take["vae hash"] or hash_list.get("vae")) if take["vae"] else NamedModel(),
        loras=loras,
        controls=controls,
        left_out=shortened(left_out),
    )


_NUMBERS = ("steps", "cfg scale", "seed")
_TAKEN = (
    *_NUMBERS, "sampler", "schedule type", "size", "model", "model hash", "vae", "vae hash", "lora hashes", "hashes",
)  # fmt: skip


def pairs(line: str) -> Iterator[tuple[str, object]]:
    """Yield names, in small letters, and values of a line `Name: value, Name: "value, with comma", Name: {"a": 1}`."""
    at = 0
    for _ in range(MAX_PAIRS):
        key = _KEY.match(line, at)
        if key:
            value, at = _value(line, key.end())
            yield key[1].lower(), value
        comma = line.find(",", at)
        if comma < 0:
            break
        at = comma + 1


def _value(line: str, at: int) -> tuple[object, int]:
    """A value and the place behind it: JSON where it begins as JSON does, a pair in brackets, else up to the comma."""
    if line[at : at + 1] in ('"', "{", "["):
        try:
            value, length = json.JSONDecoder(parse_constant=lambda _: None).raw_decode(line[at : at + MAX_JSON])
            return value, at + length
        except (ValueError, RecursionError):
            pass
    bracket = _RANGE.match(line, at)
    if bracket:
        return bracket[0], bracket.end()
    comma = line.find(",", at)
    end = comma if comma >= 0 else len(line)
    return line[at:end].strip(), end


def _program(version: str) -> str:
    return "Forge" if version.startswith(("f", "neo")) else "AUTOMATIC1111's web UI"


def _lora_hashes(settings: Mapping[str, object]) -> dict[str, str]:
    """Hashes of LoRAs by name: of their tensors in `Lora hashes`, of the files in `Hashes`."""
    of_files = {
        key.removeprefix("lora:"): hash_of(value)
        for key, value in fields_of(settings.get("hashes")).items()
        if key.startswith("lora:")
    }
    listed = (part.rpartition(":") for part in text_of(settings.get("lora hashes")).split(","))
    return of_files | {name.strip(): hash_of(digest) for name, _, digest in listed if name.strip()}


def _control(text: str) -> ForeignControl:
    """A unit of the ControlNet extension, as its newer and its older versions write it."""
    values = {key: text_of(value) for key, value in pairs(text)}
    module, model = values.get("module", values.get("preprocessor", "")), values.get("model", "")
    model = _LEGACY_HASH.sub("", model).rstrip()  # a hash of another kind, of a part of the file
    both = _RANGE.fullmatch(values.get("starting/ending", ""))
    module = "" if module.lower() == "none" else module
    return ForeignControl(
        condition_of(model, module),
        model_of(model),
        module,
        weight_of(values.get("weight")),
        fraction_of(both[1] if both else values.get("guidance start"), 0.0),
        fraction_of(both[2] if both else values.get("guidance end"), 1.0),
    )
