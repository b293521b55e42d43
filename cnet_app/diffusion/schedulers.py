"""The samplers by name, each made from the base's own scheduler: noise levels, prediction type and spacing carry over.

Importing this module loads no torch: forms and command line list the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cnet_app.errors import InputError


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and what sets it apart; no class means the base's own."""

    id: str
    title: str
    class_name: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _sampler(id: str, title: str, class_name: str = "", **options: Any) -> Sampler:
    return Sampler(id, title, class_name, MappingProxyType(options))


# Only classes that know zero terminal SNR and v-prediction, which the embedded base needs.
SAMPLERS: tuple[Sampler, ...] = (
    _sampler("default", "The model's own"),
    _sampler("ddim", "DDIM", "DDIMScheduler", clip_sample=False),  # latents may leave [-1, 1]
    _sampler("unipc", "UniPC", "UniPCMultistepScheduler"),
    _sampler("dpmpp_2m", "DPM++ 2M", "DPMSolverMultistepScheduler", use_karras_sigmas=False),
    _sampler("dpmpp_2m_karras", "DPM++ 2M Karras", "DPMSolverMultistepScheduler", use_karras_sigmas=True),
    _sampler("dpmpp_2m_sde", "DPM++ 2M SDE", "DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
    _sampler("euler", "Euler", "EulerDiscreteScheduler", use_karras_sigmas=False),
    _sampler("euler_a", "Euler a", "EulerAncestralDiscreteScheduler"),
)


def sampler(id: str) -> Sampler:
    """The row of an id; an unknown one is an InputError that lists the ids."""
    for row in SAMPLERS:
        if row.id == id:
            return row
    raise InputError(f"There is no scheduler {id!r}; choose one of: {', '.join(row.id for row in SAMPLERS)}.")


def create_scheduler(id: str, base_scheduler: Any) -> Any:
    """A fresh diffusers scheduler: one keeps state from step to step, so pictures never share one."""
    import diffusers

    row = sampler(id)
    cls = getattr(diffusers, row.class_name) if row.class_name else type(base_scheduler)
    return cls.from_config(base_scheduler.config, **row.options)
