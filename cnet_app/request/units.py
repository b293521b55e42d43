"""Parts of a request: control units, LoRAs and the IP-Adapter, with the limits of their fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from annotators.base import Parameter, shown
from annotators.maps.map_files import map_role
from annotators.maps.segments import Segments
from annotators.people.poses import Pose
from annotators.registry import annotator as annotator_class
from annotators.sources.images import load_image
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, mode
from cnet_app.request.limits import (
    MAX_NAME,
    MAX_PIXELS,
    MAX_PROMPT,
    check_numbers,
    check_picture,
    check_text,
    checked_curve,
    checked_list,
    checked_scalars,
)
from cnet_app.request.plain import FrozenMap, Json, Scalar, frozen, plain_json
from models.errors import InputError

ControlForm = Literal["authors", "diffusers"]
CONTROL_FORMS: tuple[ControlForm, ...] = get_args(ControlForm)
MAX_DATA_BYTES = 2_000_000
"""Of one unit's control_data as JSON text."""
BLOCK_WEIGHT = Parameter(default=1.0, minimum=0.0, maximum=16.0, help="Factor of one block of a ControlNet.")

UNIT_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "conditioning_scale": Parameter(default=1.0, minimum=0.0, maximum=2.0, step=0.05, help="0 ignores the map, 1 is as trained."),
        "control_guidance_start": Parameter(default=0.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control begins."),
        "control_guidance_end": Parameter(default=1.0, minimum=0.0, maximum=1.0, step=0.05, help="Fraction of the steps at which control ends."),
        "mask_feather": Parameter(default=0.0, minimum=0.0, maximum=256.0, step=1.0, unit="px", help="How softly the mask's border fades."),
    }
)  # fmt: skip
LORA_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {"scale": Parameter(default=1.0, minimum=-2.0, maximum=2.0, step=0.05, help="0 is none of it, 1 is as trained.")}
)
IP_ADAPTER_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {"scale": Parameter(default=0.6, minimum=0.0, maximum=1.5, step=0.05, help="0 ignores the picture; above 1 it drowns the prompt.")}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ControlUnit:
    """One use of a condition. The map travels inside as PNG, so that a recipe needs no other file."""

    condition: str
    control_image: bytes = field(repr=False)
    """PNG of the RGB map; resized to the picture's size when used."""
    control_data: Mapping[str, Json] | None = field(default=None, repr=False)
    """Editable source of the map: people as annotators.people.poses or classes as annotators.maps.segments write them."""
    annotator: str | None = None
    """Id of the annotator that made the map; None is a map of the user's own."""
    annotator_parameters: Mapping[str, Scalar] = field(default_factory=dict)
    source_sha256: str | None = None
    """Of the source image's RGB pixels, where there was one."""
    conditioning_scale: float = 1.0
    control_guidance_start: float = 0.0
    control_guidance_end: float = 1.0
    control_mode: str = "balanced"
    """A row of cnet_app.registry.modes."""
    block_weights: tuple[float, ...] = ()
    """In mode "custom" one factor a block, the middle one last, for guidance's conditional side."""
    unconditional_block_weights: tuple[float, ...] = ()
    """The same for the other side; empty leaves it free."""
    strength_curve: tuple[tuple[float, float], ...] = ()
    """Points (fraction of the steps, factor on conditioning_scale), straight lines between them; empty is 1 throughout."""
    depth_curve: tuple[tuple[float, float], ...] = ()
    """Points (depth, factor): 0 is the shallowest place that residuals enter, 1 the deepest; times the mode's factors."""
    prompt: str | None = None
    """Text that the ControlNet alone reads; None is the request's. The base keeps the request's prompt."""
    mask: bytes | None = field(default=None, repr=False)
    """PNG: the unit steers where it is white; None is everywhere."""
    mask_feather: float = 0.0
    """Of the mask alone."""
    weight_map: bytes | None = field(default=None, repr=False)
    """PNG, read as grey, in place of a mask: 255 is weight 1, 128 is 0, 1 and 0 are -1, which pushes away from the map."""
    control_form: ControlForm = "authors"
    """Of a network that is run in two ways: as its authors do, or as diffusers does; any other has one form only."""
    controlnet: str | None = None
    """Catalogue id, hub id, folder or file; None takes the registry's for the base's family."""

    def __post_init__(self) -> None:
        for name in ("condition", "annotator", "source_sha256", "controlnet"):
            check_text(self, name, MAX_NAME, optional=name != "condition")
        condition(self.condition)
        check_picture("control_image", self.control_image, optional=False)
        if self.control_data is not None:
            object.__setattr__(self, "control_data", _checked_data(self.condition, self.control_data))
        check_numbers(self, UNIT_LIMITS)
        if self.control_guidance_start > self.control_guidance_end:
            raise InputError(
                f"control_guidance_start is {self.control_guidance_start:g}, but it must not be after "
                f"control_guidance_end, {self.control_guidance_end:g}."
            )
        check_text(self, "control_mode", MAX_NAME)
        mode(self.control_mode)
        if self.control_form not in CONTROL_FORMS:
            raise InputError(
                f"control_form is {shown(self.control_form)}, but it must be one of: {', '.join(CONTROL_FORMS)}."
            )
        self._check_block_weights()
        object.__setattr__(self, "strength_curve", checked_curve("strength_curve", self.strength_curve))
        object.__setattr__(self, "depth_curve", checked_curve("depth_curve", self.depth_curve, "depth"))
        check_text(self, "prompt", MAX_PROMPT, optional=True, empty=True)
        for name in ("mask", "weight_map"):
            check_picture(name, getattr(self, name))
        if self.mask is not None and self.weight_map is not None:
            raise InputError("mask and weight_map are both given, but a unit takes one of the two; leave one out.")
        checked = checked_scalars("annotator_parameters", self.annotator_parameters)
        object.__setattr__(self, "annotator_parameters", checked)

    def _check_block_weights(self) -> None:
        for name in ("block_weights", "unconditional_block_weights"):
            numbers = checked_list(name, getattr(self, name))
            object.__setattr__(self, name, tuple(BLOCK_WEIGHT.check(name, number) for number in numbers))
            if numbers and self.control_mode != CUSTOM:
                raise InputError(f"{name} is given, but control_mode is {self.control_mode}; set it to {CUSTOM}.")
        if self.control_mode == CUSTOM and not self.block_weights:
            raise InputError(f"control_mode is {CUSTOM}, but block_weights is empty; give one number a block.")

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The map, (H, W, 3) RGB."""
        return load_image(self.control_image, role=map_role(condition(self.condition).kind))

    @property
    def pose(self) -> Pose | None:
        """The people that the map was drawn from, where they are known."""
        return Pose.from_json(plain_json(self.control_data)) if self._holds("pose") else None

    @property
    def segments(self) -> Segments | None:
        """The classes that the map was drawn from, where they are known."""
        return Segments.from_json(plain_json(self.control_data)) if self._holds("labels") else None

    @property
    def judge(self) -> str | None:
        """Id of the annotator that can make the same kind of map of a finished picture.

        None where the map is the user's own, or was made from a drawing. Raises InputError where the id is not known here.
        """
        drawn = self.annotator is None or annotator_class(self.annotator).reads_drawings
        return None if drawn else self.annotator

    def _holds(self, kind: str) -> bool:
        return self.control_data is not None and condition(self.condition).kind.id == kind

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each picture and of the data inside."""
        data = _text_size(self.control_data) if self.control_data is not None else 0
        return len(self.control_image), len(self.mask or b""), len(self.weight_map or b""), data


@dataclass(frozen=True, kw_only=True)
class Lora:
    """One LoRA in use."""

    name: str
    """Name of a file in models/loras, catalogue id or path."""
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_text(self, "name", MAX_NAME)
        check_numbers(self, LORA_LIMITS)


@dataclass(frozen=True, kw_only=True)
class IpAdapter:
    """An image prompt, and the IP-Adapter that reads it."""

    name: str
    """Catalogue id, or path of a file with its image encoder in the same folder."""
    image: bytes = field(repr=False)
    """PNG."""
    scale: float = 0.6

    def __post_init__(self) -> None:
        check_text(self, "name", MAX_NAME)
        check_picture("image", self.image, optional=False)
        check_numbers(self, IP_ADAPTER_LIMITS)


def fitting_data(content: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """Return the JSON of people or classes, or None where it is too large for a unit."""
    return content if _text_size(content) <= MAX_DATA_BYTES else None


def _checked_data(condition_id: str, values: object) -> Json:
    """A frozen copy of data that the condition's maps can be drawn from; InputError."""
    row = condition(condition_id)
    if row.kind.id not in ("pose", "labels"):
        raise InputError(f"control_data is given, but maps for {row.title} are drawn from no data; leave it out.")
    checked = frozen("control_data", values)
    if not isinstance(checked, FrozenMap):
        raise InputError(f"control_data must be an object, as the annotators of {row.title} write it.")
    size = _text_size(checked)
    if size > MAX_DATA_BYTES:
        raise InputError(
            f"control_data has {size / 1e6:.1f} MB, but at most {MAX_DATA_BYTES / 1e6:.0f} MB; leave it out."
        )
    content = plain_json(checked)
    if row.kind.id == "pose":
        Pose.from_json(content, "control_data")
        return checked
    sides = [checked.get(name) for name in ("width", "height")]
    if all(isinstance(side, int) and 0 < side <= MAX_PIXELS for side in sides):
        width, height = (int(str(side)) for side in sides)
        if width * height > MAX_PIXELS:
            raise InputError(f"control_data is of {width}x{height} pixels, but at most {MAX_PIXELS:,} are possible.")
    Segments.from_json(content)
    return checked


def _text_size(values: object) -> int:
    """Bytes as JSON text, which is ASCII."""
    return len(json.dumps(plain_json(values)))  # pyright: ignore[reportArgumentType]
