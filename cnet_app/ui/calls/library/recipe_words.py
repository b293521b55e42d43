"""A recipe in words: pairs of a label and a text, for people to read."""

from __future__ import annotations

from collections.abc import Iterator

from annotators.registry import annotator
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import mode
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import DEFAULT_SCHEDULER, GenerationRequest
from cnet_app.request.recipe import Recipe
from cnet_app.request.units import ControlUnit
from cnet_app.ui.bases import title_of
from cnet_app.ui.labels import label_of


def recipe_words(recipe: Recipe) -> list[list[str]]:
    """Return label and text of everything in a recipe that is not at its default."""
    request = recipe.request
    pairs = [*_picture(request), *_models(request), *_sampling(request), *map(unit_words, request.units)]
    if device := recipe.made.get("device"):
        pairs.append(("Made on", device))
    return [list(pair) for pair in pairs]


def _picture(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    yield label_of("prompt"), request.prompt or "none"
    if request.negative_prompt:
        yield label_of("negative_prompt"), request.negative_prompt
    yield "Size", f"{request.width} × {request.height} px"
    yield label_of("seed"), str(request.seed)


def _models(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    yield label_of("base"), title_of(request.base)
    if request.vae:
        yield label_of("vae"), request.vae
    for lora in request.loras:
        yield "LoRA", f"{lora.name}, weight {lora.scale:g}"
    if request.ip_adapter:
        yield label_of("ip_adapter"), f"{request.ip_adapter.name}, weight {request.ip_adapter.scale:g}"


def _sampling(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    titles = {row.id: row.title for row in SAMPLERS}
    if request.scheduler != DEFAULT_SCHEDULER:
        yield label_of("scheduler"), titles.get(request.scheduler, request.scheduler)
    yield label_of("num_inference_steps"), str(request.num_inference_steps)
    yield label_of("guidance_scale"), f"{request.guidance_scale:g}"
    if request.eta:
        yield label_of("eta"), f"{request.eta:g}"
    if request.initial_image:
        masked = ", masked" if request.inpaint_mask else ""
        yield "Starts from", f"a picture, {label_of('strength').lower()} {request.strength:g}{masked}"


def unit_words(unit: ControlUnit) -> tuple[str, str]:
    """Return the title of a unit's condition, and how the unit steers."""
    parts = [f"strength {unit.conditioning_scale:g}"]
    start, end = unit.control_guidance_start, unit.control_guidance_end
    if (start, end) != (0, 1):
        parts.append(f"from {100 * start:.0f} % to {100 * end:.0f} % of the steps")
    if unit.control_mode != "balanced":
        parts.append(f"mode {mode(unit.control_mode).title}")
    if unit.control_form != "authors":
        parts.append(f"in the form of {unit.control_form}")
    if unit.strength_curve or unit.depth_curve:
        parts.append("curve of its own")
    if unit.mask or unit.weight_map:
        parts.append("only in places" if unit.mask else "weighted by place")
    return condition(unit.condition).title, ", ".join([*parts, origin_words(unit)])


def origin_words(unit: ControlUnit) -> str:
    """Return how the map of a unit was made."""
    if unit.annotator is None:
        return "own map"
    values = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in unit.annotator_parameters.items())
    return f"map by {annotator(unit.annotator).title}" + (f" ({values})" if values else "")
