"""Request to pictures: the one place where our names become the libraries'."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from annotators.base import Image
from annotators.sources.images import load_image
from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.base import Backbone, Network
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.control import effect_notes, has_effect, place_norms, with_own_texts
from cnet_app.diffusion.denoise import FinishedStep, denoise, sampler_notes
from cnet_app.diffusion.pixels import padded_side, to_pixels
from cnet_app.diffusion.previews import preview
from cnet_app.diffusion.schedulers import create_scheduler, set_steps
from cnet_app.diffusion.start import create_start, keep_known, mask_notes
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import open_part
from models.errors import InputError, StudioError
from models.families import FAMILIES
from models.ip_adapter import IpAdapter
from models.layouts.union import module_of
from models.machine.memory import on_demand, on_device

if TYPE_CHECKING:
    from models.loader import Base


@dataclass(frozen=True)
class Step:
    """Progress of a job. `preview` and `norms` are computed only when called."""

    image_index: int
    """0 … num_images - 1."""
    step: int
    """1 … steps."""
    steps: int
    preview: Callable[[], Image]
    norms: Callable[[], list[list[float]]]
    """Norms of the residuals, for each unit that ran and each place; see control.place_norms."""


def generate(
    base: Base,
    controlnets: Sequence[Network],
    request: GenerationRequest,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    on_picture: Callable[[int, Image], None] = lambda index, picture: None,
    on_note: Callable[[str], None] = lambda note: None,
    cancelled: Callable[[], bool] = lambda: False,
    ip_adapter: IpAdapter | None = None,
    cache: EncodingCache | None = None,
) -> list[Image]:
    """Return the request's pictures, (height, width, 3) RGB uint8; `controlnets` are its units' networks in order.

    With inpaint_area "mask" a picture has the initial one's size; progress shows the repainted part.

    Picture i is the one that seed + i makes alone, bit for bit. `on_picture` gets each as soon as it is finished,
    `on_note` a sentence for each part of the request that has no effect. `ip_adapter` is the request's, loaded. `cache`
    holds the encodings of earlier jobs. Raises CancelledError within a step, and StudioError where the model's numbers
    are not finite; what a library raises where memory runs out passes through.
    """
    cache = cache or EncodingCache()
    backbone = create_backbone(base)
    on_base_device = partial(on_device, base.rung, base.device)
    with torch.inference_mode():
        if base.rung.message:
            on_note(base.rung.message)

        # 1. Every unit has its network.
        if len(controlnets) != len(request.units):
            raise InputError(
                f"The request has {len(request.units)} control units, but {len(controlnets)} ControlNets came."
            )

        part = open_part(request)
        _tell(on_note, mask_notes(request), part.notes if part else ())
        request = part.request() if part else request

        # 2. Encode the hints, once for all steps and pictures. A unit without effect is left out altogether.
        networks = [module_of(controlnet) for controlnet in controlnets]
        encoders = [base.vae] if controlnets and backbone.facts.latent_hints else []
        with on_demand(base.rung.rests_on_cpu, base.device, [[one] for one in (*networks, *encoders)]) as bring:
            controls = [
                backbone.prepare_control(unit, controlnet, request, cache.on_demand(bring))
                for unit, controlnet in zip(request.units, controlnets, strict=True)
                if has_effect(unit)
            ]
        _tell(on_note, (control.note for control in controls if control.note))

        # 3. Encode the prompts, which may change from step to step.
        scheduler, timesteps = _scheduler(base, request)
        steps = len(timesteps)
        with _encoders(base, [backbone.denoiser, *networks]) as bring:
            encode = partial(backbone.encode_texts, request, controls, cache.on_demand(bring), steps)
            texts, controls = encode(), with_own_texts(controls, encode)
        _tell(on_note, effect_notes(request.units, steps), backbone.text_notes(request, steps))
        _tell(on_note, sampler_notes(scheduler, timesteps, request))
        prompted = request.ip_adapter if ip_adapter else None
        image_prompt = (
            backbone.encode_image_prompt(ip_adapter, load_image(prompted.image)) if prompted and ip_adapter else None
        )

        pictures: list[Image] = []
        for index in range(request.num_images):
            # 4. A new scheduler, and noise from the seed, alone or over the initial picture.
            generator = torch.Generator("cpu").manual_seed(request.seed + index)
            scheduler, timesteps = _scheduler(base, request)
            with on_demand(base.rung.rests_on_cpu, base.device, [[base.vae]]) as bring:
                start = create_start(backbone, scheduler, timesteps, request, generator, cache.on_demand(bring))

            # 5. Denoise, and report every step.
            with (
                on_base_device([backbone.denoiser, *networks]),
                backbone.use_image_prompt(ip_adapter, prompted.scale if prompted else 0),
            ):
                latents = denoise(
                    backbone,
                    scheduler,
                    start,
                    texts,
                    controls,
                    request,
                    generator=generator,
                    image_prompt=image_prompt,
                    on_step=_reporter(backbone, scheduler, index, on_step),
                    cancelled=cancelled,
                )

            # 6. Latents to pixels.
            with on_base_device([base.vae]):
                image = backbone.decode(latents)
            _check_finite(image, base.dtype, request.guidance_scale)

            # 7. Cut it to its size, put back the known part, and hand it over before the next one begins.
            made = keep_known(request, to_pixels(image)[: request.height, : request.width])
            pictures.append(part.put_back(made) if part else made)
            on_picture(index, pictures[-1])
        return pictures


def _encoders(base: Base, others: Sequence[Any]) -> AbstractContextManager[Callable[[Any], None]]:
    """Return a block in which text encoders come to the device for a prompt that is not in the cache, all of them at once.

    On a rung where they alone rest, the others make room for them where they must.
    """
    resting = base.rung.rests_on_cpu
    return on_demand(resting or base.rung.encoders_rest, base.device, [base.text_encoders], () if resting else others)


def _scheduler(base: Base, request: GenerationRequest) -> tuple[Any, torch.Tensor]:
    """Return a new scheduler, and the timesteps that run."""
    facts, steps = FAMILIES[base.family], request.num_inference_steps
    multiple, shift_steps = facts.side_multiple, steps if facts.shift_by_steps else 0
    tokens = math.prod(padded_side(side, multiple) // multiple for side in (request.width, request.height))
    scheduler = create_scheduler(request.scheduler, base.scheduler, tokens, shift_steps)
    timesteps = set_steps(scheduler, steps, base.device, request.strength, tokens, shift_steps, facts.steps_to_end)
    return scheduler, timesteps


def _tell(on_note: Callable[[str], None], *notes: Iterable[str]) -> None:
    for note in chain(*notes):
        on_note(note)


def _check_finite(image: torch.Tensor, dtype: torch.dtype, guidance_scale: float) -> None:
    if not torch.isfinite(image).all():
        raise StudioError(
            f"The model gave no valid numbers in {dtype} at guidance_scale {guidance_scale:g}; "
            "lower guidance_scale or the conditioning_scale of the units, or choose another scheduler."
        )


def _reporter(
    backbone: Backbone, scheduler: Any, image_index: int, on_step: Callable[[Step], None]
) -> Callable[[FinishedStep], None]:
    def report(done: FinishedStep) -> None:
        def show() -> Image:
            original = backbone.predict_original(scheduler, done.model_input, done.prediction, done.timestep)
            return preview(backbone, original)

        on_step(Step(image_index, done.step, done.steps, show, lambda: place_norms(done.units)))

    return report
