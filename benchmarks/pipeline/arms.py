"""The measurements, one row each. `--tiny --only ID` tries a new row out in a second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from benchmarks.pipeline.jobs import Job, create_request, create_unit
from cnet_app.request.generation import GenerationRequest

STEPS = 8


@dataclass(frozen=True)
class Gate:
    """A bound on ours / reference of one counter, see counters.Counted."""

    counter: str
    at_most: float


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Two jobs and what the first must spare against the second."""

    id: str
    title: str
    ours: Job
    reference: Job
    gates: tuple[Gate, ...]
    compare: Literal["latents", "pictures", ""] = "latents"
    """Latents that should be equal, pictures that should be close, or neither: the job means another picture."""
    timed: bool = False
    """Whether it is also run many times against the clock; counters alone take one run a job."""
    note: str = ""


def create_arms(size: int, steps: int = STEPS, default: torch.dtype = torch.float32) -> tuple[Arm, ...]:
    """All of them, for pictures of so many pixels a side, where the app takes the number format `default`."""

    def request(*units: dict[str, Any], **values: Any) -> GenerationRequest:
        return create_request(size, steps, units=[create_unit(size, **unit) for unit in units or [{}]], **values)

    def both(*units: dict[str, Any], **values: Any) -> dict[str, Any]:
        asked = request(*units, **values)
        return {"ours": Job("ours", asked), "reference": Job("diffusers", asked)}

    usual = replace(request({"control_guidance_end": 0.5}), num_inference_steps=5 * steps // 2)
    plain = Job("ours", request())
    peer = Job("diffusers", request())
    return (
        Arm(
            id="default",
            title="Nothing special: one map, guidance 7.5",
            **both(),
            gates=(Gate("flops", 1.0), Gate("hint calls", 1 / steps)),
            timed=True,
        ),
        Arm(
            id="early_end",
            title="Control ends half-way (`control_guidance_end` 0.5)",
            **both({"control_guidance_end": 0.5}),
            gates=(Gate("controlnet calls", 0.5), Gate("denoising flops", 0.875)),
            timed=True,
        ),
        Arm(
            id="early_end_usual",
            title=f"The same at {usual.num_inference_steps} steps, the usual number",
            ours=Job("ours", usual),
            reference=Job("diffusers", usual),
            gates=(Gate("flops", 0.875),),
        ),
        Arm(
            id="no_guidance",
            title="`guidance_scale` 1",
            ours=Job("ours", request(guidance_scale=1)),
            reference=plain,
            gates=(Gate("unet flops", 0.5), Gate("controlnet flops", 0.5)),
            compare="",
        ),
        Arm(
            id="four_pictures",
            title="Four pictures of one map",
            **both(num_images=4),
            gates=(Gate("hint calls", 1 / steps), Gate("hint rows", 1 / (8 * steps)), Gate("flops", 1.0)),
        ),
        _bfloat16(request(), peer, default == torch.bfloat16),
        *(_reuse(plain, Job("ours", request(residual_interval=interval))) for interval in (2, 3)),
        Arm(
            id="silent_unit",
            title="Two ControlNets, one at strength 0",
            **both({}, {"conditioning_scale": 0.0}),
            gates=(Gate("controlnet calls", 0.5), Gate("hint calls", 1 / (2 * steps))),
        ),
        Arm(
            id="one_side",
            title="`control_mode` unbalanced: the prompt's side alone",
            ours=Job("ours", request({"control_mode": "unbalanced"})),
            reference=peer,
            gates=(Gate("controlnet rows", 0.5), Gate("denoising flops", 0.875)),
            compare="",
        ),
    )


def _bfloat16(request: GenerationRequest, peer: Job, is_default: bool) -> Arm:
    note = (
        "This CPU multiplies bfloat16 in hardware, so the app takes it by default."
        if is_default
        else "This CPU has no instructions for it, so the app's default here is float32, as in the first row; bfloat16 is not timed."
    )
    return Arm(
        id="bfloat16",
        title=f"bfloat16{'' if is_default else ', not the default here'}",
        ours=Job("ours", request, torch.bfloat16),
        reference=peer,
        gates=(Gate("flops", 1.0),),
        compare="pictures",
        timed=is_default,
        note=note,
    )


def _reuse(plain: Job, reusing: Job) -> Arm:
    steps, interval = reusing.request.num_inference_steps, reusing.request.residual_interval
    return Arm(
        id=f"reuse_{interval}",
        title=f"ControlNet every {interval} steps (`residual_interval` {interval})",
        ours=reusing,
        reference=plain,
        gates=(Gate("controlnet calls", -(-steps // interval) / steps),),
        compare="pictures",
    )
