"""Parsing of what a user types: sizes, control units, LoRAs and image prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from annotators.base import parameters
from annotators.people.body_annotator import PoseAnnotator
from annotators.registry import annotator, parse_values
from annotators.sources.images import load_image
from cnet_app.maps.availability import default_annotator
from cnet_app.maps.own import is_data
from cnet_app.registry.conditions import condition
from cnet_app.request.limits import parse_numbers, parse_points
from cnet_app.request.pictures import PICTURE_ROLES, encode_png, read_field
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, UNIT_LIMITS, IpAdapter, Lora
from models.errors import InputError
from models.names import did_you_mean

UNIT_WORDS: Mapping[str, str] = {
    "scale": "conditioning_scale",
    "start": "control_guidance_start",
    "end": "control_guidance_end",
    "mode": "control_mode",
    "weights": "block_weights",
    "unconditional_weights": "unconditional_block_weights",
    "curve": "strength_curve",
    "depth_curve": "depth_curve",
    "prompt": "prompt",
    "mask": "mask",
    "feather": "mask_feather",
    "weight_map": "weight_map",
    "form": "control_form",
    "controlnet": "controlnet",
}
"""Short word on the command line to field of ControlUnit."""


@dataclass(frozen=True)
class ControlText:
    """`--control canny=photo.jpg,annotator=none,scale=0.7`, taken apart but not yet annotated."""

    condition: str
    path: Path
    annotator: str | None
    """None: the file is the map itself."""
    parameters: Mapping[str, object]
    options: Mapping[str, object]
    """Fields of ControlUnit."""
    repairs: tuple[str, ...] = ()
    """Repairs of a map of the user's own."""
    notes: tuple[str, ...] = ()
    """On its mask or weight map."""


def parse_size(text: str) -> tuple[int, int]:
    """Parse `512x768`: width and height in px."""
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not found:
        raise InputError(f"--size is {text!r}, but it must be WIDTHxHEIGHT in pixels, such as 256x256.")
    return int(found[1]), int(found[2])


def parse_lora(text: str) -> Lora:
    """Parse `style`, `style:0.8` or `C:\\loras\\style.safetensors:0.8`: what follows the last colon, unless it is a path."""
    found = re.fullmatch(r"([^:].*?)(?::([^:/\\]*))?", text)
    if not found:
        raise InputError(f"--lora is {text!r}, but it must be NAME or NAME:WEIGHT, such as style:0.8.")
    name, weight = found.groups()
    if weight is None:
        return Lora(name=name)
    (number,) = parse_values([f"weight={weight}"]).values()
    return Lora(name=name, scale=float(LORA_LIMITS["scale"].check(f"The weight of LoRA {name}", number)))


def read_ip_adapter(name: str | None, image: str | None, scale: float | None) -> IpAdapter | None:
    """Return the image prompt of --ip-adapter, --ip-image and --ip-scale; None where none of them is given."""
    if name is None:
        lonely = next((flag for flag, value in (("image", image), ("scale", scale)) if value is not None), None)
        if lonely:
            raise InputError(f"--ip-{lonely} is given, but no IP-Adapter to use it; name one with --ip-adapter.")
        return None
    if image is None:
        raise InputError(f"--ip-adapter is {name}, but there is no reference image; give one with --ip-image.")
    limit = IP_ADAPTER_LIMITS["scale"]
    checked = float(limit.check("ip_scale", limit.default if scale is None else scale))
    return IpAdapter(name=name, image=encode_png(load_image(Path(image))), scale=checked)


def parse_control(text: str) -> ControlText:
    """Parse condition and file, then unit words and annotator parameters in any order."""
    first, *rest = re.split(r",(?=[a-z_]+=)", text)
    name, equals, path = first.partition("=")
    if not equals or not path:
        raise InputError(f"--control is {text!r}, but it must be condition=file, such as canny=photo.jpg.")
    pairs = parse_values(rest)
    brought = is_data(Path(path))
    chosen = str(pairs.pop("annotator", "none" if brought else default_annotator(name)))
    repairs = tuple(str(pairs.pop("repair", "")).split("+")) if "repair" in pairs else ()
    maker = PoseAnnotator if brought else None if chosen == "none" else annotator(chosen, condition(name).annotators)
    known = tuple(parameters(maker)) if maker else ()
    unknown = [word for word in pairs if word not in known and word not in UNIT_WORDS]
    if unknown:
        allowed = ("annotator", "repair", *UNIT_WORDS, *known)
        hint = did_you_mean(unknown[0], allowed)
        raise InputError(
            f"--control {name} has no setting {unknown[0]!r}{hint}; its settings are: {', '.join(allowed)}."
        )
    options: dict[str, object] = {}
    notes: tuple[str, ...] = ()
    for field, value in ((UNIT_WORDS[word], value) for word, value in pairs.items() if word in UNIT_WORDS):
        if field in PICTURE_ROLES:
            pixels, told = read_field(field, Path(str(value)))
            options |= pixels
            notes += told
        else:
            options[field] = _checked(field, value)
    return ControlText(
        condition=name,
        path=Path(path),
        annotator=None if chosen == "none" else chosen,
        parameters={word: value for word, value in pairs.items() if word in known},
        options=options,
        repairs=repairs,
        notes=notes,
    )


READERS: Mapping[str, Callable[[str, str], object]] = {
    "block_weights": parse_numbers,
    "unconditional_block_weights": parse_numbers,
    "strength_curve": parse_points,
    "depth_curve": lambda name, text: parse_points(name, text, "depth"),
    "prompt": lambda _, text: text,
}
"""Parsers of the fields that are no single number or word."""


def _checked(name: str, value: object) -> object:
    """Check a number before anything is loaded; ControlUnit checks the rest."""
    if name in READERS:
        return READERS[name](name, str(value))
    return UNIT_LIMITS[name].check(name, value) if name in UNIT_LIMITS else value
