"""A request as the text that AUTOMATIC1111's web UI writes into pictures and many tools read, without the maps.

Simple readers split its last line at every comma, and take the last value of a name. So the units, which have a "Model" of
their own, stand before the base model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType

from cnet_app.registry.conditions import own_controlnet
from cnet_app.registry.modes import mode
from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import MASK_AREA, GenerationRequest
from cnet_app.request.recipes.files import TITLES, Kind
from cnet_app.request.units import ControlUnit, Lora
from models.catalogue.local import SUFFIXES
from models.catalogue.resolve import base_defaults
from models.family_facts import Family

SHORT_HASH = 10
"""Digits of a sha256 in the format."""
NO_FILES: Mapping[str, str] = MappingProxyType({})


def parameters_text(request: GenerationRequest, files: Mapping[str, str] = NO_FILES, scheduler_class: str = "") -> str:
    """Return the prompt, the negative prompt and a line of settings.

    `files` are hashes as `cnet_app.request.recipes.files.file_hashes` gives them; `scheduler_class` is the base's own,
    where the request names no sampler.
    """
    family, _ = base_defaults(request.base)
    values = {
        "Steps": request.num_inference_steps,
        **_sampler_values(request, scheduler_class),
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": request.seed,
        "Size": f"{request.width}x{request.height}",
        "RNG": "CPU",
        **_rare_values(request, files),
    }
    units = {f"ControlNet {i}": _unit_text(unit, request, family) for i, unit in enumerate(request.units)}
    values |= units | {"Model hash": _short_hash(files, "base", request.base), "Model": _stem(request.base)}
    lines = [" ".join(filter(None, (request.prompt, *map(_lora_text, request.loras))))]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    present = {name: str(value) for name, value in values.items() if value is not None}
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in present.items()))
    return "\n".join(lines)


def _sampler_values(request: GenerationRequest, scheduler_class: str) -> dict[str, str | None]:
    row = next((row for row in SAMPLERS if row.id == request.scheduler), None)
    name = row.name if row else request.scheduler
    own = scheduler_class.removesuffix("Scheduler") or request.scheduler
    return {"Sampler": name or own, "Schedule type": (row.schedule if row else "") or None}


def _rare_values(request: GenerationRequest, files: Mapping[str, str]) -> dict[str, object]:
    """Settings that most pictures do without, where they have an effect."""
    example = request.ip_adapter
    return {
        "VAE hash": _short_hash(files, "vae", request.vae) if request.vae else None,
        "VAE": request.vae,
        "Denoising strength": f"{request.strength:g}" if request.initial_image else None,
        "Inpaint area": "Only masked" if request.inpaint_area == MASK_AREA else None,
        "Masked area padding": request.inpaint_padding if request.inpaint_area == MASK_AREA else None,
        "Eta DDIM": f"{request.eta:g}" if request.eta else None,
        "IP-Adapter": example.name if example else None,
        "IP-Adapter scale": f"{example.scale:g}" if example else None,
        "Residual interval": request.residual_interval if request.residual_interval > 1 else None,
        "Reuse threshold": f"{request.reuse_threshold:g}" if request.reuse_threshold else None,
        "Norm preserving": request.norm_preserving or None,
    }


def _short_hash(files: Mapping[str, str], kind: Kind, name: str) -> str | None:
    digest = files.get(f"{TITLES[kind]} {name}")
    return digest[:SHORT_HASH] if digest else None


def _stem(name: str) -> str:
    """A model file's name without folder and ending, as the format has it; any other name as it is."""
    ending = next((ending for ending in SUFFIXES if name.endswith(ending)), "")
    return re.split(r"[/\\]", name)[-1].removesuffix(ending) if ending else name


def _lora_text(lora: Lora) -> str:
    """A LoRA as prompts of that format name it: by the file's name alone, without characters that would end it."""
    name = _stem(re.split(r"[/\\]", lora.name)[-1])
    return f"<lora:{re.sub('[<:>]', ' ', name)}:{lora.scale:g}>"


def _unit_text(unit: ControlUnit, request: GenerationRequest, family: Family | None) -> str:
    own = own_controlnet(unit.condition, family, request.base) if family else None
    values = {
        "Module": unit.annotator or "none",
        "Model": _stem(unit.controlnet or own or unit.condition),
        "Weight": f"{unit.conditioning_scale:g}",
        "Guidance Start": f"{unit.control_guidance_start:g}",
        "Guidance End": f"{unit.control_guidance_end:g}",
        "Control Mode": mode("control" if request.guess_mode else unit.control_mode).title,
    }
    # The format has no way to quote inside a unit.
    return ", ".join(f"{name}: {value.translate({44: ' ', 58: ' '})}" for name, value in values.items())


def _quoted(value: str) -> str:
    """The value in quotes, as the format asks, where a comma, colon or line break would end it."""
    return json.dumps(value, ensure_ascii=False) if set(value) & set(",:\n") else value
