"""A request becomes pictures: the one place where our names become the libraries'."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from annotators.images import load_image
from cnet_app.diffusion.control import Network, block_norms, has_effect, prepare_control
from cnet_app.diffusion.denoise import Progress, denoise
from cnet_app.diffusion.kept import Kept
from cnet_app.diffusion.latents import decode, to_pixels
from cnet_app.diffusion.previews import predict_original, preview
from cnet_app.diffusion.prompts import encode_prompts, prompt_notes
from cnet_app.diffusion.schedulers import create_scheduler, set_steps
from cnet_app.diffusion.start import create_start, keep_known, mask_notes
from cnet_app.request.generation import GenerationRequest
from models.errors import InputError, OutOfMemoryError, StudioError
from models.ip_adapter import IpAdapter, use_ip_adapter
from models.ip_adapter import image_embeds as encode_example
from models.memory import on_device
from models.union import module_of

if TYPE_CHECKING:
    from models.loader import Base

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True)
class Step:
    """Progress of a job. `preview` and `norms` are worked out only when called."""

    image_index: int
    """0 … num_images - 1."""
    step: int
    """1 … steps."""
    steps: int
    preview: Callable[[], Picture]
    norms: Callable[[], list[list[float]]]
    """Per unit that ran and block, how much it added; see control.block_norms."""


def generate(
    base: Base,
    controlnets: Sequence[Network],
    request: GenerationRequest,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    on_picture: Callable[[int, Picture], None] = lambda index, picture: None,
    on_note: Callable[[str], None] = lambda note: None,
    cancelled: Callable[[], bool] = lambda: False,
    ip_adapter: IpAdapter | None = None,
    kept: Kept | None = None,
) -> list[Picture]:
    """The request's pictures, (height, width, 3) RGB uint8; `controlnets` are its units' networks in order.

    Picture i is the one that seed + i makes alone, bit for bit. `on_picture` gets each as soon as it is there, `on_note`
    a sentence for each part of the request that has no effect. `ip_adapter` is the request's, loaded. `kept` spares what an earlier job had encoded. Raises
    CancelledError within a step, OutOfMemoryError, and StudioError where the model gives no valid numbers.
    """
    kept = kept or Kept()
    on_base_device = partial(on_device, base.rung, base.device)
    with _memory_errors_told(base, request), torch.inference_mode():
        if base.rung.told:
            on_note(base.rung.told)

        # 1. Every unit has its network.
        if len(controlnets) != len(request.units):
            raise InputError(
                f"The request has {len(request.units)} control units, but {len(controlnets)} ControlNets came."
            )

        for note in mask_notes(request):
            on_note(note)

        # 2. Encode the hints, once for all steps and pictures. A unit without effect is left out altogether.
        networks = [module_of(controlnet) for controlnet in controlnets]
        with on_base_device(networks):
            controls = [
                prepare_control(unit, controlnet, request, base.device, kept)
                for unit, controlnet in zip(request.units, controlnets, strict=True)
                if has_effect(unit)
            ]

        # 3. Read the prompts.
        with on_base_device(base.text_encoders):
            text = encode_prompts(base, request, controls, kept)
        for note in prompt_notes(base, request):
            on_note(note)
        spoken = request.ip_adapter if ip_adapter else None
        image_embeds = encode_example(ip_adapter, load_image(spoken.image)) if spoken and ip_adapter else None

        pictures: list[Picture] = []
        for index in range(request.num_images):
            # 4. A scheduler without a past, and noise from the seed, alone or over the initial picture.
            generator = torch.Generator("cpu").manual_seed(request.seed + index)
            scheduler = create_scheduler(request.scheduler, base.scheduler)
            set_steps(scheduler, request.num_inference_steps, base.device)
            with on_base_device([base.vae] if request.initial_image else []):
                start = create_start(base, scheduler, request, generator, kept)

            # 5. Denoise, telling of every step.
            with (
                on_base_device([base.unet, *networks]),
                use_ip_adapter(base, ip_adapter, spoken.scale if spoken else 0),
            ):
                latents = denoise(
                    base.unet,
                    scheduler,
                    start,
                    text,
                    controls,
                    guidance_scale=request.guidance_scale,
                    norm_preserving=request.norm_preserving,
                    residual_interval=request.residual_interval,
                    eta=request.eta,
                    generator=generator,
                    image_embeds=image_embeds,
                    on_step=_teller(base, scheduler, index, on_step),
                    cancelled=cancelled,
                )

            # 6. Latents to pixels.
            with on_base_device([base.vae]):
                image = decode(base, latents)
            if not torch.isfinite(image).all():
                raise StudioError(
                    f"The model gave no valid numbers in {base.dtype} at guidance_scale {request.guidance_scale:g}; "
                    "lower guidance_scale or the conditioning_scale of the units, or choose another scheduler."
                )

            # 7. Cut it to its size, put back what was to stay, and hand it over before the next one begins.
            pictures.append(keep_known(request, to_pixels(image)[: request.height, : request.width]))
            on_picture(index, pictures[-1])
        return pictures


def _teller(
    base: Base, scheduler: Any, image_index: int, on_step: Callable[[Step], None]
) -> Callable[[Progress], None]:
    def tell(done: Progress) -> None:
        def show() -> Picture:
            return preview(base, predict_original(scheduler, done.model_input, done.prediction, done.timestep))

        on_step(Step(image_index, done.step, done.steps, show, lambda: block_norms(done.units)))

    return tell


@contextmanager
def _memory_errors_told(base: Base, request: GenerationRequest) -> Iterator[None]:
    """torch has a class for running out of an accelerator's memory, but only a message for the computer's."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"The memory of {base.device} is too small for {request.width}x{request.height} pixels with "
            f"{len(request.units)} control units; choose a smaller size or fewer units."
        ) from None
