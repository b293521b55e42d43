"""A foreign recipe in this app's terms: the fields of a request that could be filled, and what could not be taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from annotators.base import Parameter
from cnet_app.request.foreign.matching import Matched, differs, find_model
from cnet_app.request.foreign.recipe import ForeignRecipe, NamedModel, one_line, shortened
from cnet_app.request.generation import MAX_LORAS, REQUEST_LIMITS, GenerationRequest
from cnet_app.request.limits import MAX_PIXELS, MAX_PROMPT
from cnet_app.request.units import LORA_LIMITS, Lora
from models.catalogue.resolve import base_defaults
from models.errors import InputError
from models.family_facts import Defaults


@dataclass(frozen=True)
class Imported:
    """A recipe of another program, matched with the models of this machine."""

    program: str
    fields: Mapping[str, Any]
    """Of a GenerationRequest, but for its base."""
    base: str | None
    """The base model here; None where it is not here, or the recipe names none."""
    wanted_base: str
    """The base model as the recipe names it; empty where it names none."""
    left_out: tuple[str, ...]
    """What could not be taken, by name and value."""

    @property
    def note(self) -> str:
        """What was taken from whom, and what was not, in one sentence."""
        without = f"; left out: {'; '.join(self.left_out)}" if self.left_out else ""
        return f"The settings are those of a picture by {self.program}, not the picture itself{without}."

    def request(self, base: str) -> GenerationRequest:
        """Return the request on a base model, whose own settings take the place of those that the recipe lacks."""
        _, defaults = base_defaults(base)
        return GenerationRequest(**_start(defaults) | dict(self.fields), base=base)


def import_recipe(recipe: ForeignRecipe) -> Imported:
    """Match the models of a recipe and check its values. Raises nothing: what does not fit is left out, by name."""
    left_out: list[str] = []
    numbers = {
        "seed": recipe.seed,
        "num_inference_steps": recipe.steps,
        "guidance_scale": recipe.guidance,
        "width": recipe.width,
        "height": recipe.height,
    }
    fields: dict[str, Any] = dict(_numbers(numbers, left_out))
    if not {"width", "height"} <= set(fields) or fields["width"] * fields["height"] > MAX_PIXELS:
        sides = [fields.pop(name, None) for name in ("width", "height")]
        left_out += [f"size: {sides[0]}x{sides[1]}"] if None not in sides else []
    fields |= {
        name: text for name in ("prompt", "negative_prompt") if (text := _text(name, getattr(recipe, name), left_out))
    }
    if recipe.scheduler:
        fields["scheduler"] = recipe.scheduler
    if recipe.vae and (vae := _model("vae", recipe.vae, left_out)):
        fields["vae"] = vae
    fields["loras"] = tuple(_loras(recipe, left_out))
    base = find_model("base", recipe.base) if recipe.base else None
    if base and differs("base", recipe.base, base):
        left_out.append(f"base model {recipe.base}: {base} here has the same name and another content")
    left_out += map(str, recipe.controls)
    return Imported(recipe.program, fields, base, one_line(str(recipe.base)), shortened((*left_out, *recipe.left_out)))


def _start(defaults: Defaults) -> dict[str, Any]:
    return {
        "width": defaults.size,
        "height": defaults.size,
        "guidance_scale": defaults.guidance_scale,
        "num_inference_steps": defaults.num_inference_steps,
    }


def _numbers(values: Mapping[str, object], left_out: list[str]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if value is not None and (checked := _checked(name, value, REQUEST_LIMITS[name], left_out)) is not None:
            yield name, checked


def _checked(name: str, value: object, limit: Parameter, left_out: list[str]) -> float | int | bool | str | None:
    try:
        return limit.check(name, value)
    except InputError:
        left_out.append(f"{name}: {value} (possible are numbers{limit.range_text()})")
        return None


def _text(name: str, text: str, left_out: list[str]) -> str:
    """A prompt, as long as a request can hold it."""
    if any(0xD800 <= ord(letter) < 0xE000 for letter in text) or "\0" in text:
        left_out.append(f"{name}: it holds characters that are no text")
        return ""
    if len(text) > MAX_PROMPT:
        left_out.append(f"{name}: it has {len(text):,} characters, at most {MAX_PROMPT:,} are possible")
        return ""
    return text


def _model(kind: Matched, model: NamedModel, left_out: list[str]) -> str | None:
    """The model here; what is not here, or not the same, joins `left_out`."""
    title = {"vae": "autoencoder", "lora": "LoRA"}.get(kind, kind)
    found = find_model(kind, model)
    if found is None:
        left_out.append(f"{title} {model}: it is not here")
    elif differs(kind, model, found):
        left_out.append(f"{title} {model}: {found} here has the same name and another content")
    return found


def _loras(recipe: ForeignRecipe, left_out: list[str]) -> Iterator[Lora]:
    taken: set[str] = set()
    for lora in recipe.loras[: 4 * MAX_LORAS]:
        name = _model("lora", lora.model, left_out)
        if name is None or name in taken:
            continue
        scale = _checked(f"weight of LoRA {lora.model.name}", lora.scale, LORA_LIMITS["scale"], left_out)
        if scale is not None and len(taken) == MAX_LORAS:
            left_out.append(f"LoRA {lora.model}: at most {MAX_LORAS} work together")
        elif scale is not None:
            taken.add(name)
            yield Lora(name=name, scale=float(scale))
