"""A recipe and a line of the history in words."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator

from annotators.registry import ANNOTATORS
from cnet_app.jobs.store import Record
from cnet_app.registry.conditions import condition
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.foreign.imported import Imported
from cnet_app.request.generation import GenerationRequest
from cnet_app.ui.bases import title_of
from cnet_app.ui.labels import label_of

LONGEST = 50
"""Letters of a prompt in a line."""


def recipe_html(request: GenerationRequest) -> str:
    """Return a few lines of HTML with what makes the picture."""
    lines = [
        f"{title_of(request.base)}, {request.width}×{request.height} px, {request.num_inference_steps} steps, "
        f"sampler: {_sampler(request.scheduler)}, guidance {request.guidance_scale:g}"
        + (", guess mode" if request.guess_mode else "")
    ]
    if request.negative_prompt:
        lines.append(f"{label_of('negative_prompt').lower()}: {request.negative_prompt}")
    lines += [
        f"{condition(unit.condition).title} ({_maker(unit.annotator)}), control strength {unit.conditioning_scale:g}, "
        f"from {unit.control_guidance_start:.0%} to {unit.control_guidance_end:.0%} of the steps"
        for unit in request.units
    ]
    lines += _additions(request)
    return "<br>".join(map(html.escape, lines))


def imported_html(recipe: Imported, request: GenerationRequest) -> str:
    """Return the request made of another program's recipe, what took the place of what, and what was left out."""
    lines = [f"Settings of a picture by {recipe.program}; it makes another picture here."]
    if recipe.base is None:
        named = f"Its base model {recipe.wanted_base} is not here" if recipe.wanted_base else "It names no base model"
        lines.append(
            f"{named}: {title_of(request.base)} takes its place; to use another, choose it and drop the picture again."
        )
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in recipe.left_out)
    left_out = f"<br>Left out:<ul>{listed}</ul>" if listed else ""
    return "<br>".join((*map(html.escape, lines), recipe_html(request))) + left_out


def record_line(record: Record) -> str:
    """Return one job of the list: when, what became of it, the prompt."""
    prompt = record.prompt
    words = prompt if len(prompt) <= LONGEST else f"{prompt[: LONGEST - 1]}…"
    return f"{time.strftime('%d %b %H:%M', time.localtime(record.created))} · {record.status} · {words or 'no prompt'}"


def _sampler(id: str) -> str:
    return next((row.title for row in SAMPLERS if row.id == id), id)


def _maker(id: str | None) -> str:
    return next((kind.title for kind in ANNOTATORS if kind.id == id), id or "own map")


def _additions(request: GenerationRequest) -> Iterator[str]:
    """Yield what is used in addition to base and units."""
    yield from (f"LoRA {lora.name}, weight {lora.scale:g}" for lora in request.loras)
    if request.vae:
        yield f"autoencoder (VAE) {request.vae}"
    if request.ip_adapter:
        yield f"reference image with {request.ip_adapter.name}, weight {request.ip_adapter.scale:g}"
    if request.residual_interval > 1:
        yield f"ControlNet output reused for {request.residual_interval} steps"
    if request.initial_image:
        masked = ", only its masked part" if request.inpaint_mask else ""
        yield f"from a picture{masked}, denoising strength {request.strength:g}"
