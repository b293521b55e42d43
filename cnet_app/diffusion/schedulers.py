"""The samplers by name. Each takes noise levels, prediction type and spacing from the base's own scheduler.

Importing this module loads no torch: forms and command line list the names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from models.errors import InputError
from models.names import did_you_mean


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and its options; an empty class name is the base's own scheduler."""

    id: str
    title: str
    class_name: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    from_pure_noise: bool = True
    """Can start from zero terminal SNR, which bases such as the embedded one were trained with."""
    has_eta: bool = False
    """Scales the noise of its steps by a request's eta."""


WITH_ETA = ("DDIMScheduler", "TCDScheduler")
"""Classes whose steps have an eta."""
SPACINGS = {"": "", "karras": " Karras", "exponential": " exponential"}
"""Ways to space the noise levels, where a class has several: the end of a row's id and title."""


def _sampler(id: str, title: str, class_name: str, from_pure_noise: bool = True, **options: Any) -> Sampler:
    return Sampler(id, title, class_name, MappingProxyType(options), from_pure_noise, class_name in WITH_ETA)


def _spaced(id: str, title: str, class_name: str, from_pure_noise: bool = True, **options: Any) -> list[Sampler]:
    """A row a spacing; each sets both options, so that the base's own spacing does not carry over."""
    return [
        _sampler(
            f"{id}_{spacing}".rstrip("_"),
            title + ending,
            class_name,
            from_pure_noise,
            use_karras_sigmas=spacing == "karras",
            use_exponential_sigmas=spacing == "exponential",
            **options,
        )
        for spacing, ending in SPACINGS.items()
    ]


SAMPLERS: tuple[Sampler, ...] = (
    Sampler("default", "The model's own"),
    _sampler("ddim", "DDIM", "DDIMScheduler", clip_sample=False),  # latents may leave [-1, 1]
    # Trailing steps begin at pure noise, as LoRAs for few steps are trained; others begin too late.
    _sampler("ddim_trailing", "DDIM trailing", "DDIMScheduler", clip_sample=False, timestep_spacing="trailing"),
    *_spaced("unipc", "UniPC", "UniPCMultistepScheduler"),
    *_spaced("dpmpp_2m", "DPM++ 2M", "DPMSolverMultistepScheduler", algorithm_type="dpmsolver++"),
    *_spaced("dpmpp_2m_sde", "DPM++ 2M SDE", "DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
    *_spaced(
        "dpmpp_sde",
        "DPM++ SDE",
        "DPMSolverSinglestepScheduler",
        False,
        algorithm_type="sde-dpmsolver++",
        lower_order_final=True,
    ),
    *_spaced("euler", "Euler", "EulerDiscreteScheduler"),
    _sampler(
        "euler_trailing",
        "Euler trailing",
        "EulerDiscreteScheduler",
        timestep_spacing="trailing",
        use_karras_sigmas=False,
        use_exponential_sigmas=False,
    ),
    _sampler("euler_a", "Euler a", "EulerAncestralDiscreteScheduler"),
    *_spaced("heun", "Heun", "HeunDiscreteScheduler", False),
    *_spaced("lms", "LMS", "LMSDiscreteScheduler", False),
    _sampler("pndm", "PNDM", "PNDMScheduler", False, skip_prk_steps=True),
    _sampler("ddpm", "DDPM", "DDPMScheduler", clip_sample=False),
    _sampler("lcm", "LCM, for weights made for it", "LCMScheduler", clip_sample=False),
    _sampler("tcd", "TCD, for weights made for it", "TCDScheduler", clip_sample=False),
)


def sampler(id: str) -> Sampler:
    """Return the row of an id; an unknown one is an InputError that lists the ids."""
    for row in SAMPLERS:
        if row.id == id:
            return row
    ids = [row.id for row in SAMPLERS]
    raise InputError(f"There is no scheduler {id!r}{did_you_mean(id, ids)}; choose one of: {', '.join(ids)}.")


def create_scheduler(id: str, base_scheduler: Any) -> Any:
    """Return a new diffusers scheduler; it has state from step to step, so pictures never share one."""
    import diffusers

    row = sampler(id)
    if base_scheduler.config.get("rescale_betas_zero_snr") and not row.from_pure_noise:
        able = ", ".join(other.id for other in SAMPLERS if other.from_pure_noise)
        raise InputError(
            f"{row.title} cannot start from pure noise, as this base model was trained to; choose one of: {able}."
        )
    cls = getattr(diffusers, row.class_name) if row.class_name else type(base_scheduler)
    return cls.from_config(base_scheduler.config, **row.options)


def resolve_scheduler(id: str, base_scheduler: Any) -> str:
    """The id of the row that "default" is on this base, with the same class and options; "default" where no row is.

    Any other id is itself. Of several rows that are the same, the one with the most options: it names the most.
    """
    if sampler(id).class_name:
        return id
    config = base_scheduler.config
    zero_snr = bool(config.get("rescale_betas_zero_snr"))
    equal = [
        row
        for row in SAMPLERS
        if row.class_name == type(base_scheduler).__name__
        and (row.from_pure_noise or not zero_snr)
        and all(config.get(name) == value for name, value in row.options.items())
    ]
    return max(equal, key=lambda row: len(row.options)).id if equal else id


def scheduler_facts(id: str, base_scheduler: Any) -> dict[str, str]:
    """Return the recipe's entry for the sampler: `scheduler`, its row; for a base's own without a row, its class and options."""
    resolved = resolve_scheduler(id, base_scheduler)
    if sampler(resolved).class_name:
        return {"scheduler": resolved}
    options = {name: value for name, value in base_scheduler.config.items() if not name.startswith("_")}
    return {
        "scheduler_class": type(base_scheduler).__name__,
        "scheduler_options": json.dumps(options, default=str, sort_keys=True),
    }


def set_steps(scheduler: Any, steps: int, device: Any = None) -> None:
    """Set the timesteps of a run from its first step on; InputError where the sampler cannot run as many."""
    most = scheduler.config.get("original_inference_steps", steps)
    if steps > most:
        raise InputError(
            f"num_inference_steps is {steps}, but this scheduler runs at most {most}; lower it, or choose another scheduler."
        )
    scheduler.set_timesteps(steps, device=device)
    if hasattr(scheduler, "set_begin_index"):
        # Else the first step looks its timestep up, and finds the second of two equal ones, as rounding makes of noise
        # levels that lie close together: the last step would then run past the end.
        scheduler.set_begin_index(0)
