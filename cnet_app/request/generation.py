"""One request: everything that makes a picture, validated and frozen; and what a finished one gave."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from annotators.base import Parameter, shown
from cnet_app.request.limits import (
    MAX_NAME,
    MAX_PIXELS,
    MAX_PROMPT,
    check_numbers,
    check_picture,
    check_switches,
    check_text,
    check_total,
    checked_parts,
)
from cnet_app.request.plain import Json, Versioned, to_base64, to_plain
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from models.errors import InputError

MAX_UNITS = 8
MAX_LORAS = 8
MAX_SEED = 2**32 - 1
PICTURE_AREA, MASK_AREA = INPAINT_AREAS = "picture", "mask"
"""Of an initial picture: all of it is repainted at width x height, or the part around the mask, which is put back."""
DEFAULT_SCHEDULER = "default"
"""The base's own; a recipe names the one that it was."""

SHARED_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "num_inference_steps": Parameter(default=20, minimum=1, maximum=150, step=1, help="Denoising steps: more is finer and slower."),
        "guidance_scale": Parameter(default=1.0, minimum=1.0, maximum=30.0, step=0.5, help="How strongly the prompt is followed; 1 is off and twice as fast."),
        "eta": Parameter(default=0.0, minimum=0.0, maximum=1.0, step=0.05, help="New noise at every step of DDIM and TCD: 0 is none, 1 as much as DDPM's."),
        "seed": Parameter(default=0, minimum=0, maximum=MAX_SEED, step=1, help="The same seed makes the same picture."),
    }
)  # fmt: skip
REQUEST_LIMITS: Mapping[str, Parameter] = MappingProxyType(
    {
        "width": Parameter(default=256, minimum=64, maximum=2048, step=8, unit="px", help="Width of the picture; multiples of 64 are best."),
        "height": Parameter(default=256, minimum=64, maximum=2048, step=8, unit="px", help="Height of the picture; multiples of 64 are best."),
        **SHARED_LIMITS,
        "strength": Parameter(default=1.0, minimum=0.0, maximum=1.0, step=0.05, help="How much of the initial picture is painted again; 1 keeps next to nothing."),
        "inpaint_padding": Parameter(default=32, minimum=0, maximum=512, step=8, unit="px", help="How far around the mask the initial picture is seen, with inpaint_area mask."),
        "residual_interval": Parameter(default=1, minimum=1, maximum=10, step=1, help="ControlNets run at every so many steps and their residuals are reused between: faster, but another picture."),
        "reuse_threshold": Parameter(default=0.0, minimum=0.0, maximum=0.5, step=0.01, help="Steps whose prediction would change by less than this share take the last one again: faster, but another picture; 0 computes all."),
        "num_images": Parameter(default=1, minimum=1, maximum=8, step=1, help="Pictures made with seed, seed + 1, …"),
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SharedFields(Versioned):
    """Prompt, models and sampling: the fields that generations and upscales share."""

    prompt: str = ""
    negative_prompt: str = ""
    base: str = "embedded"
    """Catalogue id, hub id, folder, or name of a file in models/checkpoints."""
    vae: str | None = None
    """Another autoencoder: catalogue id, hub id, folder, or name of a file in models/vae; None is the base's own."""
    loras: tuple[Lora, ...] = ()
    ip_adapter: IpAdapter | None = None
    scheduler: str = DEFAULT_SCHEDULER
    """An id of cnet_app.registry.samplers."""
    num_inference_steps: int = 20
    guidance_scale: float = 1.0
    eta: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loras", checked_parts("loras", self.loras, Lora, MAX_LORAS))
        if self.ip_adapter is not None and not isinstance(self.ip_adapter, IpAdapter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"ip_adapter is {shown(self.ip_adapter)}, but it must be an IpAdapter.")
        check_numbers(self, SHARED_LIMITS)
        for name in ("prompt", "negative_prompt"):
            check_text(self, name, MAX_PROMPT, empty=True)
        for name in ("base", "scheduler", "vae"):
            check_text(self, name, MAX_NAME, optional=name == "vae")

    @property
    def shared(self) -> dict[str, object]:
        """These fields by name, to make another task with them."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(SharedFields)}


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(SharedFields):
    """Everything that makes a picture. The same request makes the same picture on the same machine."""

    kind: ClassVar[str] = "generation"
    units: tuple[ControlUnit, ...] = ()
    width: int = 256
    height: int = 256
    guess_mode: bool = False
    """The original's: every unit in mode "control"; an empty prompt is fine."""
    residual_interval: int = 1
    """At 2 and more the ControlNets run at every second (…) step only, and their last residuals are added between."""
    reuse_threshold: float = 0.0
    """Relative change below which a step takes the last computed prediction again; 0 computes every step."""
    norm_preserving: bool = False
    """The sum of several units takes, in every block, the norm of the strongest of them."""
    initial_image: bytes | None = field(default=None, repr=False)
    """PNG that the picture starts from, cropped to its size (image to image); None starts from noise.

    With inpaint_area "mask" it keeps its own size, and so does the finished picture.
    """
    strength: float = 1.0
    """Of the steps, the share that is run on the initial picture."""
    inpaint_mask: bytes | None = field(default=None, repr=False)
    """PNG: the initial picture is painted again only where it is white; elsewhere it stays, bit for bit."""
    inpaint_area: str = PICTURE_AREA
    """One of INPAINT_AREAS. With "mask" only the part around the mask is made, at width x height, and put back into the
    initial picture, blended where the mask is grey; the units' maps are of that part, see cnet_app.request.inpaint."""
    inpaint_padding: int = 32
    """Pixels of the initial picture around the mask that belong to this part."""
    num_images: int = 1
    prompt_template: str = ""
    """The prompt before its wildcards were resolved; empty where it had none. It has no effect on the picture."""
    negative_prompt_template: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", checked_parts("units", self.units, ControlUnit, MAX_UNITS))
        super().__post_init__()
        check_total(self._sizes())
        check_numbers(self, REQUEST_LIMITS)
        check_switches(self, ("guess_mode", "norm_preserving"))
        for name in ("prompt_template", "negative_prompt_template"):
            check_text(self, name, MAX_PROMPT, empty=True)
        for name in ("initial_image", "inpaint_mask"):
            check_picture(name, getattr(self, name))
        if self.initial_image is None and (self.inpaint_mask is not None or self.strength < 1):
            name = "strength" if self.inpaint_mask is None else "inpaint_mask"
            raise InputError(f"{name} is given, but there is no initial_image for it; give one, or leave {name} out.")
        if self.inpaint_area not in INPAINT_AREAS:
            raise InputError(
                f"inpaint_area is {shown(self.inpaint_area)}, but it must be one of: {', '.join(INPAINT_AREAS)}."
            )
        if self.inpaint_area == MASK_AREA and self.inpaint_mask is None:
            raise InputError(
                "inpaint_area is mask, but there is no inpaint_mask to paint in; give one, or leave inpaint_area out."
            )
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

    def _sizes(self) -> list[int]:
        """Bytes of every picture inside; what is no picture is left to its own check."""
        pictures = (self.initial_image, self.inpaint_mask, self.ip_adapter.image if self.ip_adapter else None)
        own = [len(data) for data in pictures if isinstance(data, bytes)]
        return own + [size for unit in self.units for size in unit.sizes]


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """Result of a finished request. Every path exists before the result does."""

    request: GenerationRequest
    paths: tuple[str, ...]
    seeds: tuple[int, ...]
    seconds: float
    residual_norms: tuple[tuple[float, ...], ...] = ()
    """Half-way through the last picture: per unit that ran and block, how much it added to the base."""
    notes: tuple[str, ...] = ()
    """Notes for the user: a map without effect, a fallback that was taken."""

    def to_json(self, maps: bool = False) -> dict[str, Json]:
        """JSON values; each picture of the request as its sha256 and size in bytes, or with `maps` whole, in base64."""
        return to_plain(self, to_base64 if maps else _summary)


def _summary(data: bytes) -> Json:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
