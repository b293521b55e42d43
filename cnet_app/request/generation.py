"""One request: everything that makes a picture, validated, frozen, to and from JSON."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.base import Parameter, shown
from annotators.images import load_image
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, mode
from cnet_app.request.limits import (
    check_bytes,
    check_numbers,
    check_picture,
    check_text,
    checked_curve,
    checked_list,
    checked_parts,
    plain_values,
)
from cnet_app.request.plain import from_plain, to_plain
from models.errors import InputError

MAX_PROMPT = 10_000
MAX_NAME = 1_000
MAX_PIXELS = 2048 * 2048
MAX_UNITS = 8
MAX_LORAS = 8
MAX_SEED = 2**32 - 1
PICTURES = ("initial_image", "inpaint_mask")
"""Fields of a request that are PNGs, or None."""
BLOCK_WEIGHT = Parameter(default=1.0, minimum=0.0, maximum=16.0, help="Factor of one block of a ControlNet.")

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
        "residual_interval": Parameter(default=1, minimum=1, maximum=10, step=1, help="ControlNets run at every so many steps and their last word counts between: faster, but another picture."),
        "num_images": Parameter(default=1, minimum=1, maximum=8, step=1, help="Pictures made with seed, seed + 1, …"),
        "seed": Parameter(default=0, minimum=0, maximum=MAX_SEED, step=1, help="The same seed makes the same picture."),
    }
)  # fmt: skip
LORA_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {"scale": Parameter(default=1.0, minimum=-2.0, maximum=2.0, step=0.05, help="0 is none of it, 1 is as trained.")}
)
IP_ADAPTER_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {"scale": Parameter(default=0.6, minimum=0.0, maximum=1.5, step=0.05, help="0 ignores the picture; above 1 it drowns the prompt.")}
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
    """A row of cnet_app.registry.modes."""
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
            check_text(self, name, MAX_NAME, optional=name != "condition")
        condition(self.condition)
        check_picture("control_image", self.control_image, optional=False)
        check_numbers(self, UNIT_LIMITS)
        if self.control_guidance_start > self.control_guidance_end:
            raise InputError(
                f"control_guidance_start is {self.control_guidance_start:g}, but it must not be after "
                f"control_guidance_end, {self.control_guidance_end:g}."
            )
        check_text(self, "control_mode", MAX_NAME)
        mode(self.control_mode)
        self._check_block_weights()
        object.__setattr__(self, "strength_curve", checked_curve(self.strength_curve))
        check_picture("mask", self.mask)
        object.__setattr__(self, "annotator_parameters", plain_values(self.annotator_parameters))

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
        return load_image(self.control_image)


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
    """A picture that speaks beside the prompt."""

    name: str
    """Catalogue id, or path of a file with its image encoder beside it."""
    image: bytes = field(repr=False)
    """PNG."""
    scale: float = 0.6

    def __post_init__(self) -> None:
        check_text(self, "name", MAX_NAME)
        check_picture("image", self.image, optional=False)
        check_numbers(self, IP_ADAPTER_LIMITS)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """Everything that makes a picture. The same request makes the same picture on the same machine."""

    units: tuple[ControlUnit, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    base: str = "embedded"
    """Catalogue id, hub id, folder, or name of a file in models/checkpoints."""
    vae: str | None = None
    """Another autoencoder: catalogue id, hub id, folder, or name of a file in models/vae; None is the base's own."""
    loras: tuple[Lora, ...] = ()
    ip_adapter: IpAdapter | None = None
    scheduler: str = "default"
    """A name of cnet_app.diffusion.schedulers; "default" is the base's own."""
    width: int = 256
    height: int = 256
    num_inference_steps: int = 20
    guidance_scale: float = 1.0
    eta: float = 0.0
    guess_mode: bool = False
    """The original's: every unit in mode "control"; an empty prompt is fine."""
    residual_interval: int = 1
    """At 2 and more the ControlNets run at every second (…) step only, and what they last added is added between."""
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
        for name, kind, most in (("units", ControlUnit, MAX_UNITS), ("loras", Lora, MAX_LORAS)):
            object.__setattr__(self, name, checked_parts(name, getattr(self, name), kind, most))
        if self.ip_adapter is not None and not isinstance(self.ip_adapter, IpAdapter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"ip_adapter is {shown(self.ip_adapter)}, but it must be an IpAdapter.")
        check_bytes(self._all_pictures())
        check_numbers(self, REQUEST_LIMITS)
        for name in ("prompt", "negative_prompt"):
            check_text(self, name, MAX_PROMPT)
        for name in ("base", "scheduler", "vae"):
            check_text(self, name, MAX_NAME, optional=name == "vae")
        for name in ("guess_mode", "norm_preserving"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {shown(getattr(self, name))}, but it must be true or false.")
        for name in PICTURES:
            check_picture(name, getattr(self, name))
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

    def _all_pictures(self) -> list[bytes]:
        """Every PNG inside."""
        units = [data for unit in self.units for data in (unit.control_image, unit.mask)]
        example = self.ip_adapter.image if self.ip_adapter else None
        pictures: list[Any] = [*units, example, *(getattr(self, name) for name in PICTURES)]
        return [data for data in pictures if isinstance(data, bytes)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; pictures as base64 PNG."""
        return to_plain(self)

    @classmethod
    def from_json(cls, values: object) -> GenerationRequest:
        """The inverse of to_json; absent fields take their defaults, anything unknown or out of range is an InputError."""
        parts: dict[str, tuple[type, str]] = {
            "units": (ControlUnit, "control unit"),
            "loras": (Lora, "LoRA"),
            "ip_adapter": (IpAdapter, "IP-Adapter"),
        }
        return from_plain(cls, values, "request", parts)

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
        return to_plain(self)
