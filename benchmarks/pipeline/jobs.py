"""One picture job in our pipeline and in diffusers': the same networks, prompt, map, sampler and seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from diffusers import MultiControlNetModel, StableDiffusionControlNetPipeline
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pipeline.models import Models
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit

Pictures = list[NDArray[np.uint8]]
Side = Literal["ours", "diffusers"]


@dataclass(frozen=True)
class Job:
    """Pipeline, pictures and number format of one job."""

    side: Side
    request: GenerationRequest
    dtype: torch.dtype = torch.float32


def create_request(size: int, steps: int, **values: Any) -> GenerationRequest:
    """One picture under guidance 7.5, steered by one unit; every unit has the same map and the same ControlNet."""
    plain: dict[str, Any] = {
        "units": (create_unit(size),),
        "prompt": "a red ball under a blue sky",
        "width": size,
        "height": size,
        "num_inference_steps": steps,
        "guidance_scale": 7.5,
    }
    return GenerationRequest(**plain | values)


def create_unit(size: int, **values: Any) -> ControlUnit:
    """A map of 8 x 8 black and white blocks at the picture's size."""
    blocks = np.random.default_rng(0).integers(0, 2, (8, 8, 1), dtype=np.uint8) * 255
    pixels = blocks.repeat(3, axis=2).repeat(size // 8, axis=0).repeat(size // 8, axis=1)
    return ControlUnit(condition="canny", control_image=encode_png(pixels), **values)


def prepare(job: Job, models: Models) -> Callable[[], Pictures]:
    """The job as a call; what comes before it is not the job's own time."""
    if job.side == "ours":
        controlnets = [models.controlnet] * len(job.request.units)
        return partial(generate, models.base, controlnets, job.request)
    return _diffusers(job.request, models)


def _diffusers(request: GenerationRequest, models: Models) -> Callable[[], Pictures]:
    base, units = models.base, request.units
    many = len(units) > 1
    kind: Any = StableDiffusionControlNetPipeline
    pipe = kind(
        vae=base.vae,
        unet=base.network,
        text_encoder=base.text_encoders[0],
        tokenizer=base.tokenizers[0],
        scheduler=create_scheduler(request.scheduler, base.scheduler),
        controlnet=MultiControlNetModel([models.controlnet] * len(units)) if many else models.controlnet,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    maps = [Image.fromarray(unit.pixels) for unit in units]
    scales = [unit.conditioning_scale for unit in units]

    def run() -> Pictures:
        seeds = range(request.seed, request.seed + request.num_images)
        made = pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            image=maps if many else maps[0],
            width=request.width,
            height=request.height,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            controlnet_conditioning_scale=scales if many else scales[0],
            control_guidance_start=[unit.control_guidance_start for unit in units],
            control_guidance_end=[unit.control_guidance_end for unit in units],
            num_images_per_prompt=request.num_images,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        )
        return [np.asarray(picture) for picture in made.images]

    return run
