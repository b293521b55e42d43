"""Diffusers schedulers out of the rows of samplers. Each takes noise levels, prediction type and spacing from the base's own.

Importing this module loads no torch.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import Any

from cnet_app.registry.samplers import SAMPLERS, sampler
from models.errors import InputError

LATEST_START = 0.6
"""Share of the training's timesteps below which a first step is too late for pure noise."""
MOST_SPACED = 8
"""Times as many steps as run, of which a spacing is taken."""


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


def set_steps(scheduler: Any, steps: int, device: Any = None, strength: float = 1.0) -> Any:
    """Set the timesteps of a run from its first step on, and return those that run: all, or the last `strength` of them.

    The first of them is about as noisy as `strength`: on a base with zero terminal SNR, Karras and exponential spacing
    have most of their steps where noise hides any picture, so there these are spaced below the noise of `strength`.
    InputError where the sampler cannot run as many, or none is left.
    """
    most = scheduler.config.get("original_inference_steps", steps)
    if steps > most:
        raise InputError(
            f"num_inference_steps is {steps}, but this scheduler runs at most {most}; lower it, or choose another scheduler."
        )
    kept = int(steps * strength)
    if not kept:
        raise InputError(
            f"strength is {strength:g}, which leaves none of {steps} steps; raise it, or num_inference_steps."
        )
    total = _respaced(scheduler, steps, kept, strength) if kept < steps else steps
    scheduler.set_timesteps(total, device=device)
    _drop_step_before_first(scheduler)
    first = (total - kept) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        # Else the first step looks its timestep up, and finds the second of two equal ones, as rounding makes of noise
        # levels that lie close together: the last step would then run past the end.
        scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


def _drop_step_before_first(scheduler: Any) -> None:
    """Remove a timestep of -1, which trailing spacing ends with where rounding adds a step (61, 103, 121 and 122 of 1000).

    Some schedulers would look its noise level up at the other end of the table, in pure noise.
    """
    if float(scheduler.timesteps[-1]) >= 0:
        return
    extra = scheduler.order
    scheduler.timesteps = scheduler.timesteps[:-extra]
    if hasattr(scheduler, "sigmas"):
        last = len(scheduler.sigmas) - 1
        scheduler.sigmas = scheduler.sigmas[[*range(last - extra), last]]
    scheduler.num_inference_steps -= 1


def late_start_note(scheduler: Any, timesteps: Any) -> str:
    """A sentence where the first step comes after the noisiest part of the schedule, so that noise stays in the picture.

    Few steps at even distances end before pure noise: one alone is at the least noise, two begin half-way.
    """
    first, noisiest = float(timesteps[0]), scheduler.config.num_train_timesteps
    if first / noisiest >= LATEST_START:
        return ""
    steps = "step begins" if len(timesteps) == 1 else "steps begin"
    return (
        f"{len(timesteps)} {steps} at timestep {first:.0f} of {noisiest}, too late to make a picture of noise alone; "
        "raise num_inference_steps, or choose ddim_trailing or euler_trailing."
    )


def _respaced(scheduler: Any, steps: int, kept: int, strength: float) -> int:
    """Return of how many steps the last `kept` begin at the noise of `strength`; `steps` itself by even spacing.

    A part of a Karras or exponential spacing is itself one, so that taking it from a longer one is the same as spacing
    `kept` steps there.
    """
    config = scheduler.config
    spaced = config.get("use_karras_sigmas") or config.get("use_exponential_sigmas")
    if not (spaced and config.get("rescale_betas_zero_snr")):
        return steps

    def fits(total: int) -> bool:
        scheduler.set_timesteps(total)
        return float(scheduler.timesteps[total - kept]) <= strength * config.num_train_timesteps

    totals = range(kept + 1, MOST_SPACED * steps)
    return totals[min(bisect_left(totals, True, key=fits), len(totals) - 1)]
