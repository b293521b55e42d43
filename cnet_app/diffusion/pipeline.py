"""A request becomes pictures: the one place where our names become the libraries'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from cnet_app.diffusion.control import has_effect, prepare_control
from cnet_app.diffusion.denoise import Progress, denoise
from cnet_app.diffusion.latents import create_noise, decode, to_pixels
from cnet_app.diffusion.previews import predict_original, preview
from cnet_app.diffusion.prompts import encode_prompts
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.errors import InputError, OutOfMemoryError, StudioError
from cnet_app.requests import GenerationRequest

if TYPE_CHECKING:
    from diffusers import ControlNetModel

    from models.loader import Base

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True)
class Step:
    """Progress of a job. `preview` is worked out only when called."""

    image_index: int
    """0 … num_images - 1."""
    step: int
    """1 … steps."""
    steps: int
    preview: Callable[[], Picture]


def generate(
    base: Base,
    controlnets: Sequence[ControlNetModel],
    request: GenerationRequest,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Picture]:
    """The request's pictures, (height, width, 3) RGB uint8; `controlnets` are its units' networks in order.

    Picture i is the one that seed + i makes alone, bit for bit. Raises CancelledError within a step, OutOfMemoryError,
    and StudioError where the model gives no valid numbers.
    """
    try:
        with torch.inference_mode():
            return _generate(base, controlnets, request, on_step, cancelled)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
    # Said out here: while an error is being handled it keeps every tensor of the failed call alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        f"The memory of {base.device} is too small for {request.width}x{request.height} pixels with "
        f"{len(request.units)} control units; choose a smaller size or fewer units."
    )


def _generate(
    base: Base,
    controlnets: Sequence[ControlNetModel],
    request: GenerationRequest,
    on_step: Callable[[Step], None],
    cancelled: Callable[[], bool],
) -> list[Picture]:
    # 1. Every unit has its network.
    if len(controlnets) != len(request.units):
        raise InputError(
            f"The request has {len(request.units)} control units, but {len(controlnets)} ControlNets came."
        )

    # 2. Read the prompts.
    text = encode_prompts(base, request)

    # 3. Encode the hints, once for all steps and pictures. A unit without effect is left out altogether.
    controls = [
        prepare_control(
            unit, controlnet, request.width, request.height, "control" if request.guess_mode else unit.control_mode
        )
        for unit, controlnet in zip(request.units, controlnets, strict=True)
        if has_effect(unit, request.num_inference_steps)
    ]

    pictures: list[Picture] = []
    for index in range(request.num_images):
        # 4. Noise from the seed, and a scheduler without a past.
        generator = torch.Generator("cpu").manual_seed(request.seed + index)
        noise = create_noise(base, request.width, request.height, generator)
        scheduler = create_scheduler(request.scheduler, base.scheduler)
        scheduler.set_timesteps(request.num_inference_steps, device=base.device)

        # 5. Denoise, telling of every step.
        def tell(done: Progress, index: int = index, scheduler: object = scheduler) -> None:
            def show() -> Picture:
                return preview(base, predict_original(scheduler, done.model_input, done.prediction, done.timestep))

            on_step(Step(index, done.step, done.steps, show))

        latents = denoise(
            base.unet,
            scheduler,
            noise,
            text,
            controls,
            guidance_scale=request.guidance_scale,
            generator=generator,
            on_step=tell,
            cancelled=cancelled,
        )

        # 6. Latents to pixels.
        image = decode(base, latents)
        if not torch.isfinite(image).all():
            raise StudioError(
                f"The model gave no valid numbers in {base.dtype} at guidance_scale {request.guidance_scale:g}; "
                "lower guidance_scale or the conditioning_scale of the units, or choose another scheduler."
            )
        pictures.append(to_pixels(image))

    # 7. All done.
    return pictures


def _is_out_of_memory(error: RuntimeError) -> bool:
    """torch has a class for an accelerator's memory, but only a message for the computer's."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
