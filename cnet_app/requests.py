"""One request: everything that makes a picture, validated, frozen, to and from JSON."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.base import Parameter
from cnet_app.conditions import condition
from cnet_app.errors import InputError

ControlMode = Literal["balanced", "control"]
MAX_PROMPT = 10_000
MAX_PIXELS = 2048 * 2048

UNIT_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "conditioning_scale": Parameter(default=1.0, minimum=0.0, maximum=2.0, step=0.05, help="Control strength: 0 ignores the map, 1 is as trained."),
        "control_guidance_start": Parameter(default=0.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control begins."),
        "control_guidance_end": Parameter(default=1.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control ends."),
    }
)  # fmt: skip
REQUEST_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "width": Parameter(default=256, minimum=64, maximum=2048, step=64, unit="px", help="Width of the picture, a multiple of 64."),
        "height": Parameter(default=256, minimum=64, maximum=2048, step=64, unit="px", help="Height of the picture, a multiple of 64."),
        "num_inference_steps": Parameter(default=20, minimum=1, maximum=150, step=1, help="Denoising steps: more is finer and slower."),
        "guidance_scale": Parameter(default=1.0, minimum=1.0, maximum=30.0, step=0.5, help="How strongly the prompt is followed; 1 is off and twice as fast."),
        "num_images": Parameter(default=1, minimum=1, maximum=8, step=1, help="Pictures made with seed, seed + 1, …"),
        "seed": Parameter(default=0, minimum=0, maximum=2**32 - 1, step=1, help="The same seed makes the same picture."),
    }
)  # fmt: skip


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB uint8 to PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class ControlUnit:
    """One use of a condition. The map travels inside as PNG, so that a recipe needs no other file."""

    condition: str
    control_image: bytes = field(repr=False)
    """PNG of the RGB map; resized to the picture's size when used."""
    annotator: str | None = None
    """What made the map; None is a map of the user's own."""
    annotator_parameters: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None
    """Of the source image's RGB pixels, where there was one."""
    conditioning_scale: float = 1.0
    control_guidance_start: float = 0.0
    control_guidance_end: float = 1.0
    control_mode: ControlMode = "balanced"
    controlnet: str | None = None
    """Catalogue id, hub id or folder; None takes the registry's for the base's family."""

    def __post_init__(self) -> None:
        condition(self.condition)
        _check_numbers(self, UNIT_LIMITS)
        if self.control_guidance_start > self.control_guidance_end:
            raise InputError(
                f"control_guidance_start is {self.control_guidance_start:g}, but it must not be after "
                f"control_guidance_end, {self.control_guidance_end:g}."
            )
        if self.control_mode not in ("balanced", "control"):
            raise InputError(f"control_mode is {self.control_mode!r}, but it must be balanced or control.")
        object.__setattr__(self, "annotator_parameters", MappingProxyType(dict(self.annotator_parameters)))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The map, (H, W, 3) RGB."""
        return np.asarray(Image.open(io.BytesIO(self.control_image)).convert("RGB"))


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """Everything that makes a picture. The same request makes the same picture on the same machine."""

    units: tuple[ControlUnit, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    base: str = "embedded"
    """Catalogue id, hub id or folder."""
    scheduler: str = "default"
    """A name of cnet_app.diffusion.schedulers; "default" is the base's own."""
    width: int = 256
    height: int = 256
    num_inference_steps: int = 20
    guidance_scale: float = 1.0
    guess_mode: bool = False
    """The original's: every unit in mode "control"; an empty prompt is fine."""
    num_images: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))
        _check_numbers(self, REQUEST_LIMITS)
        for name in ("width", "height"):
            if getattr(self, name) % 64:
                raise InputError(
                    f"{name} is {getattr(self, name)}, but it must be a multiple of 64, such as 256 or 512."
                )
        if self.width * self.height > MAX_PIXELS:
            raise InputError(
                f"The size is {self.width}x{self.height}, but a picture has at most {MAX_PIXELS:,} pixels."
            )
        for name in ("prompt", "negative_prompt"):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > MAX_PROMPT:
                given = f"{len(text):,} characters long" if isinstance(text, str) else repr(text)
                raise InputError(f"{name} is {given}, but it must be text of at most {MAX_PROMPT:,} characters.")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; maps as base64 PNG."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["units"] = [_unit_to_json(unit) for unit in self.units]
        return values

    @classmethod
    def from_json(cls, values: object) -> GenerationRequest:
        """The inverse of to_json; anything unknown, missing or out of range is an InputError."""
        given = _known_fields(cls, values, "request")
        units = given.get("units", [])
        if not isinstance(units, list):
            raise InputError("units is not a list; give a list of control units.")
        given["units"] = tuple(_unit_from_json(unit) for unit in units)
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """What a finished request gave. Every path exists before the result does."""

    request: GenerationRequest
    paths: tuple[str, ...]
    seeds: tuple[int, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    """What the user should know: a map that does nothing, a fallback that was taken."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"request": self.request.to_json()}


def _check_numbers(owner: object, limits: Mapping[str, Parameter]) -> None:
    for name, limit in limits.items():
        object.__setattr__(owner, name, limit.check(name, getattr(owner, name)))


def _known_fields(cls: type, values: object, what: str) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(cls)]
    if not isinstance(values, dict):
        raise InputError(f"The {what} is not a JSON object; give one with the fields: {', '.join(names)}.")
    given = cast(dict[str, Any], values)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InputError(f"The {what} has an unknown field {unknown[0]!r}; its fields are: {', '.join(names)}.")
    return dict(given)


def _unit_to_json(unit: ControlUnit) -> dict[str, Any]:
    values = {f.name: getattr(unit, f.name) for f in dataclasses.fields(unit)}
    values["control_image"] = base64.b64encode(unit.control_image).decode()
    values["annotator_parameters"] = dict(unit.annotator_parameters)
    return values


def _unit_from_json(values: object) -> ControlUnit:
    given = _known_fields(ControlUnit, values, "control unit")
    if "condition" not in given or not isinstance(given.get("control_image"), str):
        raise InputError("A control unit needs condition and control_image, a PNG in base64.")
    try:
        given["control_image"] = base64.b64decode(given["control_image"], validate=True)
    except ValueError as error:
        raise InputError("control_image is not base64; give a PNG in base64.") from error
    return ControlUnit(**given)
