"""One request: everything that makes a picture, validated, frozen, to and from JSON."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.base import Parameter, shown
from annotators.images import load_image
from cnet_app.conditions import condition
from cnet_app.errors import InputError
from cnet_app.modes import CUSTOM, mode

MAX_PROMPT = 10_000
MAX_NAME = 1_000
MAX_PIXELS = 2048 * 2048
MAX_UNITS = 8
MAX_MAP_BYTES = 40_000_000
"""Of all maps, masks and initial pictures, as PNG; Pillow reads no more than 64 MiB of text back from a recipe, where they are base64."""
MAX_SEED = 2**32 - 1
UNIT_PICTURES, PICTURES = ("control_image", "mask"), ("initial_image", "inpaint_mask")
"""Fields of a unit and of a request that are PNGs, in base64 as JSON."""
MAX_POINTS = 32
BLOCK_WEIGHT = Parameter(default=1.0, minimum=0.0, maximum=16.0, help="Factor of one block of a ControlNet.")
CURVE_PLACE = Parameter(default=0.0, minimum=0.0, maximum=1.0, help="Fraction of the steps.")
CURVE_FACTOR = Parameter(default=1.0, minimum=0.0, maximum=2.0, help="Factor on the unit's strength there.")

UNIT_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "conditioning_scale": Parameter(default=1.0, minimum=0.0, maximum=2.0, step=0.05, help="0 ignores the map, 1 is as trained."),
        "control_guidance_start": Parameter(default=0.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control begins."),
        "control_guidance_end": Parameter(default=1.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control ends."),
        "mask_feather": Parameter(default=0.0, minimum=0.0, maximum=256.0, step=1.0, unit="px", help="How softly the mask's border fades."),
    }
)  # fmt: skip
REQUEST_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "width": Parameter(default=256, minimum=64, maximum=2048, step=8, unit="px", help="Width of the picture; multiples of 64 are best."),
        "height": Parameter(default=256, minimum=64, maximum=2048, step=8, unit="px", help="Height of the picture; multiples of 64 are best."),
        "num_inference_steps": Parameter(default=20, minimum=1, maximum=150, step=1, help="Denoising steps: more is finer and slower."),
        "guidance_scale": Parameter(default=1.0, minimum=1.0, maximum=30.0, step=0.5, help="How strongly the prompt is followed; 1 is off and twice as fast."),
        "eta": Parameter(default=0.0, minimum=0.0, maximum=1.0, step=0.05, help="New noise at every step of DDIM and TCD: 0 is none, 1 as much as DDPM's."),
        "strength": Parameter(default=1.0, minimum=0.0, maximum=1.0, step=0.05, help="How much of the initial picture is made anew; 1 keeps next to nothing."),
        "num_images": Parameter(default=1, minimum=1, maximum=8, step=1, help="Pictures made with seed, seed + 1, …"),
        "seed": Parameter(default=0, minimum=0, maximum=MAX_SEED, step=1, help="The same seed makes the same picture."),
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
    control_mode: str = "balanced"
    """A row of cnet_app.modes."""
    block_weights: tuple[float, ...] = ()
    """In mode "custom" one factor a block, the middle one last, for guidance's conditional side."""
    unconditional_block_weights: tuple[float, ...] = ()
    """The same for the other side; empty leaves it free."""
    strength_curve: tuple[tuple[float, float], ...] = ()
    """Points (fraction of the steps, factor on conditioning_scale), straight lines between them; empty is 1 throughout."""
    mask: bytes | None = field(default=None, repr=False)
    """PNG: the unit steers where it is white; None is everywhere."""
    mask_feather: float = 0.0
    controlnet: str | None = None
    """Catalogue id, hub id, folder or file; None takes the registry's for the base's family."""

    def __post_init__(self) -> None:
        for name in ("condition", "annotator", "source_sha256", "controlnet"):
            _check_text(self, name, MAX_NAME, optional=name != "condition")
        condition(self.condition)
        _check_picture("control_image", self.control_image, optional=False)
        _check_numbers(self, UNIT_LIMITS)
        if self.control_guidance_start > self.control_guidance_end:
            raise InputError(
                f"control_guidance_start is {self.control_guidance_start:g}, but it must not be after "
                f"control_guidance_end, {self.control_guidance_end:g}."
            )
        _check_text(self, "control_mode", MAX_NAME)
        mode(self.control_mode)
        self._check_block_weights()
        object.__setattr__(self, "strength_curve", _checked_curve(self.strength_curve))
        _check_picture("mask", self.mask)
        object.__setattr__(self, "annotator_parameters", _plain_values(self.annotator_parameters))

    def _check_block_weights(self) -> None:
        for name in ("block_weights", "unconditional_block_weights"):
            numbers = _checked_list(name, getattr(self, name))
            object.__setattr__(self, name, tuple(BLOCK_WEIGHT.check(name, number) for number in numbers))
            if numbers and self.control_mode != CUSTOM:
                raise InputError(f"{name} is given, but control_mode is {self.control_mode}; set it to {CUSTOM}.")
        if self.control_mode == CUSTOM and not self.block_weights:
            raise InputError(f"control_mode is {CUSTOM}, but block_weights is empty; give one number a block.")

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The map, (H, W, 3) RGB."""
        return load_image(self.control_image)


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
    eta: float = 0.0
    guess_mode: bool = False
    """The original's: every unit in mode "control"; an empty prompt is fine."""
    norm_preserving: bool = False
    """Several units fight less: their sum takes, in every block, the norm of the strongest of them."""
    initial_image: bytes | None = field(default=None, repr=False)
    """PNG that the picture starts from, cropped to its size (image to image); None starts from noise."""
    strength: float = 1.0
    """Of the steps, the share that is run on the initial picture."""
    inpaint_mask: bytes | None = field(default=None, repr=False)
    """PNG: only where it is white the initial picture is made anew; elsewhere it stays, bit for bit."""
    num_images: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", _checked_units(self.units))
        _check_bytes([*_pictures(self, PICTURES), *(p for unit in self.units for p in _pictures(unit, UNIT_PICTURES))])
        _check_numbers(self, REQUEST_LIMITS)
        for name in ("prompt", "negative_prompt"):
            _check_text(self, name, MAX_PROMPT)
        for name in ("base", "scheduler"):
            _check_text(self, name, MAX_NAME)
        for name in ("guess_mode", "norm_preserving"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {shown(getattr(self, name))}, but it must be true or false.")
        for name in PICTURES:
            _check_picture(name, getattr(self, name))
        if self.initial_image is None and (self.inpaint_mask is not None or self.strength < 1):
            name = "strength" if self.inpaint_mask is None else "inpaint_mask"
            raise InputError(f"{name} is given, but there is no initial_image for it; give one, or leave {name} out.")
        if self.width * self.height > MAX_PIXELS:
            raise InputError(
                f"The size is {self.width}x{self.height}, but a picture has at most {MAX_PIXELS:,} pixels."
            )
        if self.seed + self.num_images - 1 > MAX_SEED:
            raise InputError(
                f"seed is {self.seed} and num_images {self.num_images}, but seed + num_images - 1, the seed of the last "
                f"picture, must be at most {MAX_SEED}; lower the seed."
            )

    def only_picture(self, index: int) -> GenerationRequest:
        """The request that makes picture `index` (0 … num_images - 1) alone, bit for bit."""
        return dataclasses.replace(self, num_images=1, seed=self.seed + index)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; maps as base64 PNG."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["units"] = [_unit_to_json(unit) for unit in self.units]
        return values | {name: _to_base64(values[name]) for name in PICTURES}

    @classmethod
    def from_json(cls, values: object) -> GenerationRequest:
        """The inverse of to_json; absent fields take their defaults, anything unknown or out of range is an InputError."""
        given = _known_fields(cls, values, "request")
        units = given.get("units", [])
        if not isinstance(units, list):
            raise InputError("units is not a list; give a list of control units.")
        given["units"] = tuple(_unit_from_json(unit) for unit in cast(list[object], units))
        return cls(**_from_base64(given, PICTURES))

    @classmethod
    def from_text(cls, text: str) -> GenerationRequest:
        """From JSON text."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"The request is not JSON ({error}); give the text that to_json was written to."
            ) from error
        return cls.from_json(values)


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """What a finished request gave. Every path exists before the result does."""

    request: GenerationRequest
    paths: tuple[str, ...]
    seeds: tuple[int, ...]
    seconds: float
    residual_norms: tuple[tuple[float, ...], ...] = ()
    """Half-way through the last picture: per unit that ran and block, how much it added to the base."""
    notes: tuple[str, ...] = ()
    """What the user should know: a map that does nothing, a fallback that was taken."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"request": self.request.to_json()}


def _check_numbers(owner: object, limits: Mapping[str, Parameter]) -> None:
    for name, limit in limits.items():
        object.__setattr__(owner, name, limit.check(name, getattr(owner, name)))


def _check_picture(name: str, data: object, optional: bool = True) -> None:
    if optional and data is None:
        return
    if not isinstance(data, bytes):
        raise InputError(f"{name} is {shown(data)}, but it must be the bytes of a PNG.")
    load_image(data)


def _checked_list(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or len(values) > MAX_POINTS:
        raise InputError(f"{name} is {shown(values)}, but it must be a list of at most {MAX_POINTS}.")
    return tuple(values)


def _checked_curve(values: object) -> tuple[tuple[float, float], ...]:
    points: list[tuple[float, float]] = []
    for point in _checked_list("strength_curve", values):
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise InputError(
                f"strength_curve has {shown(point)}, but a point is a pair: fraction of the steps, factor."
            )
        place, factor = (
            float(limit.check("strength_curve", number))
            for limit, number in zip((CURVE_PLACE, CURVE_FACTOR), point, strict=True)
        )
        if points and place <= points[-1][0]:
            raise InputError(
                f"strength_curve has a point at {place:g} after one at {points[-1][0]:g}, but its fractions must rise."
            )
        points.append((place, factor))
    return tuple(points)


def _check_text(owner: object, name: str, longest: int, optional: bool = False) -> None:
    text = getattr(owner, name)
    if optional and text is None:
        return
    if not isinstance(text, str):
        raise InputError(f"{name} is {shown(text)}, but it must be text.")
    if len(text) > longest:
        raise InputError(
            f"{name} has {len(text):,} characters, but it must be text of at most {longest:,}; shorten it."
        )
    if any(0xD800 <= ord(character) < 0xE000 for character in text) or "\0" in text:
        raise InputError(f"{name} holds a character that is no text (a zero or half of a surrogate pair); remove it.")


def _checked_units(units: object) -> tuple[ControlUnit, ...]:
    if not isinstance(units, list | tuple) or not all(isinstance(unit, ControlUnit) for unit in units):
        raise InputError("units must be a list of control units.")
    if len(units) > MAX_UNITS:
        raise InputError(f"The request has {len(units)} control units, but at most {MAX_UNITS} work together.")
    return tuple(units)


def _pictures(owner: object, names: Iterable[str]) -> list[bytes]:
    return [data for data in (getattr(owner, name) for name in names) if isinstance(data, bytes)]


def _check_bytes(pictures: Iterable[bytes]) -> None:
    size = sum(map(len, pictures))
    if size > MAX_MAP_BYTES:
        raise InputError(
            f"Maps and pictures have {size / 1e6:.0f} MB, but at most {MAX_MAP_BYTES / 1e6:.0f} MB; make them smaller."
        )


def _plain_values(values: object) -> Mapping[str, Any]:
    """A frozen copy; its values are what JSON can say: numbers, words, true and false."""
    if not isinstance(values, Mapping):
        raise InputError(f"annotator_parameters is {shown(values)}, but it must be an object of names and values.")
    for name, value in values.items():
        plain = isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
        if not isinstance(name, str) or not plain:
            raise InputError(
                f"annotator_parameters has {shown(name)}: {shown(value)}, but a value must be a number, a word, true or false."
            )
    return MappingProxyType(dict(cast(Mapping[str, Any], values)))


def _known_fields(cls: type, values: object, what: str) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(cls)]
    if not isinstance(values, dict):
        raise InputError(f"The {what} is not a JSON object; give one with the fields: {', '.join(names)}.")
    given = cast(dict[str, Any], values)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InputError(f"The {what} has an unknown field {shown(unknown[0])}; its fields are: {', '.join(names)}.")
    return dict(given)


def _unit_to_json(unit: ControlUnit) -> dict[str, Any]:
    values = {f.name: getattr(unit, f.name) for f in dataclasses.fields(unit)}
    values |= {name: _to_base64(values[name]) for name in UNIT_PICTURES}
    values["strength_curve"] = [list(point) for point in unit.strength_curve]
    values |= {name: list(values[name]) for name in ("block_weights", "unconditional_block_weights")}
    values["annotator_parameters"] = dict(unit.annotator_parameters)
    return values


def _unit_from_json(values: object) -> ControlUnit:
    given = _known_fields(ControlUnit, values, "control unit")
    if "condition" not in given or not isinstance(given.get("control_image"), str):
        raise InputError("A control unit needs condition and control_image, a PNG in base64.")
    return ControlUnit(**_from_base64(given, UNIT_PICTURES))


def _to_base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _from_base64(values: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """With the pictures among them as bytes; whatever else stands there is left for the checks."""
    read = dict(values)
    for name in names:
        if isinstance(values.get(name), str):
            try:
                read[name] = base64.b64decode(values[name], validate=True)
            except ValueError as error:
                raise InputError(f"{name} is not base64; give a PNG in base64.") from error
    return read
