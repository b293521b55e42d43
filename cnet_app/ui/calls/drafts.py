"""From a draft, which is what the page holds, to a request."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from annotators.images import load_image
from cnet_app.maps.annotate import build_unit
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import MAX_SEED, GenerationRequest
from cnet_app.request.known import check_known
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.ui.bases import defaults_of
from cnet_app.ui.calls.context import Context
from cnet_app.ui.calls.frame import Frame, read_frame
from cnet_app.ui.calls.maps import make_layer_map
from cnet_app.ui.calls.pictures import picture
from models.errors import InputError

Fields = dict[str, Any]
SETTINGS = (
    "negative_prompt", "vae", "scheduler", "num_inference_steps", "guidance_scale", "eta", "residual_interval",
    "norm_preserving", "guess_mode",
)  # fmt: skip
"""Fields of a request that a draft's settings hold as they are."""
UNIT_SETTINGS = (
    "conditioning_scale", "control_guidance_start", "control_guidance_end", "control_mode", "mask_feather",
)  # fmt: skip
UNIT_LISTS = ("block_weights", "unconditional_block_weights")
UNIT_CURVES = ("strength_curve", "depth_curve")
UNIT_PICTURES = ("mask", "weight_map")


def read_draft(context: Context, draft: Mapping[str, Any]) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Return the request of a draft, and the warnings of its maps.

    Raises InputError for what cannot be, and WeightsError where an annotator's files are missing.
    """
    settings: Mapping[str, Any] = draft.get("settings") or {}
    base = str(settings.get("base") or "") or context.base()[0]
    frame = read_frame(draft.get("frame"))
    units, warnings = _units(context, draft, frame)
    count = int(draft.get("count") or 1)
    request = GenerationRequest(
        prompt=str(draft.get("prompt") or ""),
        base=base,
        width=frame.width,
        height=frame.height,
        units=units,
        num_images=count,
        seed=_seed(draft.get("seed"), count),
        loras=tuple(Lora(name=one.get("name"), scale=one.get("scale", 1.0)) for one in settings.get("loras") or ()),
        ip_adapter=_ip_adapter(context, settings.get("ip_adapter")),
        **_sampling(settings, base),
        **_start(context, draft, frame),
    )
    if not context.settings.is_local:
        check_known(request)
    return request, warnings


def _sampling(settings: Mapping[str, Any], base: str) -> Fields:
    defaults = asdict(defaults_of(base))
    own = {name: defaults[name] for name in ("guidance_scale", "num_inference_steps")}
    return own | {name: settings[name] for name in SETTINGS if settings.get(name) not in (None, "")}


def _seed(given: object, count: int) -> int:
    """Return the locked seed, or a new one of which every picture's, seed + 1 and so on, is a seed too."""
    seed = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    return seed.get("value") or 0 if seed.get("locked") else secrets.randbelow(MAX_SEED - count + 2)


def _units(context: Context, draft: Mapping[str, Any], frame: Frame) -> tuple[tuple[ControlUnit, ...], tuple[str, ...]]:
    units: list[ControlUnit] = []
    warnings: list[str] = []
    for layer in _active(draft):
        made = make_layer_map(context, layer, draft.get("photo"), frame)
        units.append(build_unit(str(layer["condition"]), made.made, **_unit_fields(context, layer, frame)))
        warnings += [f"{condition(str(layer['condition'])).title}: {text}" for text in made.made.warnings]
    return tuple(units), tuple(warnings)


def _active(draft: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [layer for layer in draft.get("layers") or () if layer.get("enabled", True)]


def _unit_fields(context: Context, layer: Mapping[str, Any], frame: Frame) -> Fields:
    fields: Fields = {name: layer[name] for name in UNIT_SETTINGS if layer.get(name) is not None}
    fields |= {name: tuple(layer[name]) for name in UNIT_LISTS if layer.get(name)}
    fields |= {name: tuple(map(tuple, layer[name])) for name in UNIT_CURVES if layer.get(name)}
    fields |= {name: encode_png(picture(context, layer[name]["sha256"])) for name in UNIT_PICTURES if layer.get(name)}
    return fields | {name: layer.get(name) or None for name in ("controlnet", "prompt")}


def _start(context: Context, draft: Mapping[str, Any], frame: Frame) -> Fields:
    """Return initial image, strength and mask of the draft's "Start from", where there is one."""
    start: Mapping[str, Any] | None = draft.get("start")
    if not start:
        return {}
    held = start.get("picture") or draft.get("photo")
    if not held:
        raise InputError("There is no picture to start from yet; choose one, or remove “Start from”.")
    fields: Fields = {"initial_image": frame.fit_png(picture(context, held["sha256"]))}
    fields["strength"] = start.get("strength", 0.6)
    if start.get("mask"):
        fields["inpaint_mask"] = frame.fit_png(picture(context, start["mask"]["sha256"]), around=255)
    return fields


def _ip_adapter(context: Context, given: Mapping[str, Any] | None) -> IpAdapter | None:
    if not given or not given.get("name"):
        return None
    held = given.get("picture")
    if not held:
        raise InputError("Reference image (IP-Adapter) has no picture yet; give it one, or set it to Off.")
    image = encode_png(load_image(context.assets.get(held["sha256"])))
    return IpAdapter(name=str(given["name"]), image=image, scale=given.get("scale", 0.6))
