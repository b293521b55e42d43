"""From a draft, which is what the page holds, to a request."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from annotators.base import Image
from annotators.people.poses import Pose
from annotators.sources.images import load_image, load_start, resize
from annotators.sources.metadata import without_metadata
from annotators.sources.roles import MASK
from cnet_app.maps.annotate import build_unit
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import MAX_SEED, MAX_UNITS, PICTURE_AREA, GenerationRequest
from cnet_app.request.inpaint import crop_sources
from cnet_app.request.pictures import HOLE_IS_FILLED, HOLE_IS_MASK, PICTURE_ROLES, encode_png, picture_size
from cnet_app.request.sizes import size_of
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.ui.bases import defaults_of
from cnet_app.ui.calls.context import Context
from cnet_app.ui.calls.draft.frame import INVERSE, Frame, read_frame
from cnet_app.ui.calls.draft.maps import annotator_of, make_layer_map, source_of
from cnet_app.ui.calls.draft.pictures import picture
from models.errors import InputError

Fields = dict[str, Any]
SETTINGS = (
    "negative_prompt", "vae", "scheduler", "num_inference_steps", "guidance_scale", "eta", "residual_interval",
    "reuse_threshold",
    "norm_preserving", "guess_mode",
)  # fmt: skip
"""Fields of a request that a draft's settings hold as they are."""
UNIT_SETTINGS = (
    "conditioning_scale", "control_guidance_start", "control_guidance_end", "control_mode", "mask_feather",
    "control_form",
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
    count = int(draft.get("count") or 1)
    start, notes = _start(context, draft, frame)
    bare = GenerationRequest(
        prompt=str(draft.get("prompt") or ""),
        base=base,
        width=frame.width,
        height=frame.height,
        num_images=count,
        seed=_seed(draft.get("seed"), count),
        loras=tuple(Lora(name=one.get("name"), scale=one.get("scale", 1.0)) for one in settings.get("loras") or ()),
        ip_adapter=_ip_adapter(context, settings.get("ip_adapter")),
        **_sampling(settings, base),
        **start,
    )
    context.check_known(bare)
    units, warnings = _units(context, draft, frame, bare)
    request = dataclasses.replace(bare, units=units)
    context.check_known(request)
    return request, (*notes, *warnings)


def _sampling(settings: Mapping[str, Any], base: str) -> Fields:
    defaults = asdict(defaults_of(base))
    own = {name: defaults[name] for name in ("guidance_scale", "num_inference_steps")}
    return own | {name: settings[name] for name in SETTINGS if settings.get(name) not in (None, "")}


def _seed(given: object, count: int) -> int:
    """Return the locked seed, or a new one of which every picture's, seed + 1 and so on, is a seed too."""
    seed = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    return seed.get("value") or 0 if seed.get("locked") else secrets.randbelow(MAX_SEED - count + 2)


def _units(
    context: Context, draft: Mapping[str, Any], frame: Frame, request: GenerationRequest
) -> tuple[tuple[ControlUnit, ...], tuple[str, ...]]:
    """Return the units of the layers that are on, for a request without any, and the warnings of their maps."""
    units: list[ControlUnit] = []
    warnings: list[str] = []
    if (count := len(active_layers(draft))) > MAX_UNITS:
        raise InputError(f"{count} layers are on, but at most {MAX_UNITS} work together; switch some off.")
    for layer in active_layers(draft):
        nearest = condition(str(layer["condition"])).kind.nearest
        cut = _unchanged if _is_of_part(layer) else _cutter(request, frame, nearest)
        made = make_layer_map(context, layer, draft.get("photo"), frame, cut)
        units.append(build_unit(str(layer["condition"]), made.made, **_unit_fields(context, layer, cut)))
        warnings += [f"{condition(str(layer['condition'])).title}: {text}" for text in made.made.warnings]
    return tuple(units), tuple(warnings)


def layer_sources(
    context: Context, draft: Mapping[str, Any], request: GenerationRequest
) -> tuple[Image | Pose | None, ...]:
    """Return what the map of each unit was made from; None for a map of the user's own."""
    frame = read_frame(draft.get("frame"))

    def source(layer: Mapping[str, Any]) -> Image | Pose | None:
        if annotator_of(context, layer) is None:
            return None
        cut = _cutter(request, frame, condition(str(layer["condition"])).kind.nearest)
        return cut(source_of(context, layer, draft.get("photo")))

    return tuple(map(source, active_layers(draft)))


def _cutter(request: GenerationRequest, frame: Frame, nearest: bool) -> Callable[[Image | Pose], Image | Pose]:
    """Return what cuts the part that is repainted out of a photo, or out of a drawing, map or mask of the frame's size."""
    if request.inpaint_area == PICTURE_AREA or request.initial_image is None:
        return _unchanged
    size = picture_size(request.initial_image)

    def cut(source: Image | Pose) -> Image | Pose:
        if size_of(source) != size:
            inverse = INVERSE[frame.resize]
            moved = (
                source.resized(*size, inverse) if isinstance(source, Pose) else resize(source, *size, inverse, nearest)
            )
            source = moved
        return crop_sources(request, [source])[0]

    return cut


def _unchanged(source: Image | Pose) -> Image | Pose:
    return source


def _is_of_part(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer holds a map of the part that is repainted, as a recipe brings it."""
    return bool(layer.get("part")) and layer.get("source") not in ("photo", "own")


def active_layers(draft: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the layers that are on; they are the units of the draft's request, in this order."""
    return [layer for layer in draft.get("layers") or () if layer.get("enabled", True)]


def _unit_fields(context: Context, layer: Mapping[str, Any], cut: Callable[[Image | Pose], Image | Pose]) -> Fields:
    fields: Fields = {name: layer[name] for name in UNIT_SETTINGS if layer.get(name) is not None}
    fields |= {name: tuple(layer[name]) for name in UNIT_LISTS if layer.get(name)}
    fields |= {name: tuple(map(tuple, layer[name])) for name in UNIT_CURVES if layer.get(name)}
    for name in UNIT_PICTURES:
        if layer.get(name):
            read = picture(context, layer[name]["sha256"], PICTURE_ROLES[name])
            fields[name] = encode_png(cast(Image, cut(read)))
    return fields | {"controlnet": layer.get("controlnet") or None, "prompt": layer.get("prompt") or None}


def _start(context: Context, draft: Mapping[str, Any], frame: Frame) -> tuple[Fields, tuple[str, ...]]:
    """Return initial image, strength, mask and area of the draft's "Start from", where there is one, and notes.

    A hole in the picture is the mask where none is given.
    """
    start: Mapping[str, Any] | None = draft.get("start")
    if not start:
        return {}, ()
    held = start.get("picture") or draft.get("photo")
    if not held:
        raise InputError("There is no picture to start from yet; choose one, or remove “Start from”.")
    data = context.assets.get(held["sha256"])
    read, notes = load_start(data)
    initial = read.image
    fields: Fields = {"strength": start.get("strength", 0.6)}
    mask = picture(context, start["mask"]["sha256"], MASK) if start.get("mask") else None
    if read.hole is not None:
        notes = (*notes, HOLE_IS_MASK if mask is None else HOLE_IS_FILLED)
    if start.get("area", PICTURE_AREA) == PICTURE_AREA:
        fields["initial_image"] = frame.fit_png(initial)
        own = read.hole if mask is None else mask
        return fields if own is None else fields | {"inpaint_mask": _fitted_mask(own, frame)}, notes
    if mask is None and read.hole is None:
        raise InputError(
            "Only the masked area is to be repainted, but nothing is masked; paint the area, or choose the whole picture."
        )
    # The file as it was given, which is in the picture's recipe: as PNG a large photo would be larger than a request may be.
    bare = without_metadata(data) if read.hole is None else None
    fields |= {"initial_image": bare or encode_png(initial), "inpaint_area": start["area"]}
    masked = read.hole if mask is None else frame.to_source(mask, *size_of(initial))
    fields |= {"inpaint_mask": encode_png(cast(Image, masked))}
    return fields | ({"inpaint_padding": start["padding"]} if start.get("padding") is not None else {}), notes


def _fitted_mask(mask: Image, frame: Frame) -> bytes:
    """Return the mask as the pipeline takes it; one that was painted has the frame's size already."""
    return encode_png(mask) if size_of(mask) == (frame.width, frame.height) else frame.fit_png(mask, around=255)


def _ip_adapter(context: Context, given: Mapping[str, Any] | None) -> IpAdapter | None:
    if not given or not given.get("name"):
        return None
    held = given.get("picture")
    if not held:
        raise InputError("Reference image (IP-Adapter) has no picture yet; give it one, or set it to Off.")
    image = encode_png(load_image(context.assets.get(held["sha256"])))
    return IpAdapter(name=str(given["name"]), image=image, scale=given.get("scale", 0.6))
