"""Diffusers schedulers out of the rows of samplers. Each takes noise levels, prediction type and spacing from the base's own.

Importing this module loads no torch.
"""

from __future__ import annotations

import json
from typing import Any

from cnet_app.registry.samplers import SAMPLERS, sampler
from models.errors import InputError


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
