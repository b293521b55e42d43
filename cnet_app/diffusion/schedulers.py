"""Diffusers schedulers out of the rows of samplers. Each takes noise levels, prediction type and spacing from the base's own.

A base is trained on diffusion or on flow matching. Schedulers of the two kinds differ in their methods; the functions here
hide that. Importing this module loads no torch.
"""

from __future__ import annotations

import inspect
import json
import math
from bisect import bisect_left
from typing import Any

import numpy as np

from cnet_app.registry.samplers import SAMPLERS, Sampler, refusal, sampler
from models.errors import InputError

LATEST_START = 0.6
"""Share of the training's timesteps below which a first step is too late for pure noise."""
MOST_SPACED = 8
"""Times as many steps as run, of which a spacing is taken."""


TERMINAL = "shift_terminal"
"""Option of a scheduler: the last noise level above 0, to which all others are stretched."""


def is_flow(scheduler: Any) -> bool:
    """Return whether a scheduler is one of flow matching, where a noisy picture is a mixture of picture and noise."""
    return type(scheduler).__name__.startswith("FlowMatch") or bool(scheduler.config.get("use_flow_sigmas"))


def create_scheduler(id: str, base_scheduler: Any, tokens: int = 0, shift_steps: int = 0) -> Any:
    """Return a new diffusers scheduler; it has state from step to step, so pictures never share one.

    `tokens` is the number of a picture's tokens, by which some bases of flow matching shift their noise levels.
    `shift_steps` is the number of steps, for bases that shift them by that too; 0 for all others.
    """
    import diffusers

    row, flow = sampler(id), is_flow(base_scheduler)
    if sentence := refusal(row, flow, bool(base_scheduler.config.get("rescale_betas_zero_snr"))):
        raise InputError(sentence)
    if flow:
        return _create_flow_scheduler(row, base_scheduler, tokens, shift_steps)
    cls = getattr(diffusers, row.class_name) if row.class_name else type(base_scheduler)
    return cls.from_config(base_scheduler.config, **row.options)


def _create_flow_scheduler(row: Sampler, base_scheduler: Any, tokens: int, shift_steps: int) -> Any:
    import diffusers

    config = base_scheduler.config
    if not row.flow_class_name:
        return type(base_scheduler).from_config(config)
    cls = getattr(diffusers, row.flow_class_name)
    known = inspect.signature(cls.__init__).parameters  # the classes differ in their options, and warn of others
    shift = config.get("shift", config.get("flow_shift", 1.0))
    options = {**config, **row.options, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    if config.get("use_dynamic_shifting") and "max_shift" not in known:
        shift = _constant_shift(config, _mu(config, tokens, shift_steps))
        options["use_dynamic_shifting"] = False
    options |= {"shift": shift, "flow_shift": shift}
    made = cls.from_config({name: value for name, value in options.items() if name in known})
    if TERMINAL not in known:
        made.register_to_config(**{TERMINAL: config.get(TERMINAL)})
    return made


def _stretch_to_terminal(scheduler: Any, terminal: float) -> None:
    """Stretch the noise levels of a class that cannot itself, so that the last one is `terminal`, as FlowMatchEuler does."""
    import torch

    levels, end = scheduler.sigmas[:-1], scheduler.sigmas[-1:]
    levels = 1 - (1 - levels) * (1 - terminal) / (1 - levels[-1])
    scheduler.sigmas = torch.cat([levels, end])
    scheduler.timesteps = (levels * scheduler.config.num_train_timesteps).to(scheduler.timesteps)


def _takes_sigmas(scheduler: Any) -> bool:
    """Return whether a scheduler, or a class, takes noise levels, and with them a shift by the number of tokens."""
    return "sigmas" in inspect.signature(scheduler.set_timesteps).parameters


def _mu(config: Any, tokens: int, shift_steps: int) -> float:
    """Return the `mu` of a picture of so many tokens, as diffusers' pipelines compute it; see `create_scheduler`."""
    if shift_steps:
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        return compute_empirical_mu(tokens, shift_steps)
    fewest, most = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    least, largest = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (largest - least) / (most - fewest)
    return tokens * slope + (least - slope * fewest)


def _constant_shift(config: Any, mu: float) -> float:
    """Return the constant shift that is the same as a shift by `mu`."""
    return mu if config.get("time_shift_type") == "linear" else math.exp(mu)


def resolve_scheduler(id: str, base_scheduler: Any) -> str:
    """The id of the row that "default" is on this base, with the same class and options; "default" where no row is.

    Any other id is itself. Of several rows that are the same, the one with the most options: it names the most.
    """
    if sampler(id).class_name:
        return id
    config = base_scheduler.config
    if is_flow(base_scheduler):
        own = type(base_scheduler).__name__
        return next((row.id for row in SAMPLERS if row.flow_class_name == own), id)
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


def set_steps(
    scheduler: Any,
    steps: int,
    device: Any = None,
    strength: float = 1.0,
    tokens: int = 0,
    shift_steps: int = 0,
    to_end: bool = False,
) -> Any:
    """Set the timesteps of a run from its first step on, and return those that run: all, or the last `strength` of them.

    The first of them is about as noisy as `strength`: on a base with zero terminal SNR, Karras and exponential spacing
    have most of their steps where noise hides any picture, so there these are spaced below the noise of `strength`.
    `tokens` and `shift_steps` are as in `create_scheduler`; `to_end` is `steps_to_end` of a family's facts. InputError where the
    sampler cannot run as many, or none is left.
    """
    most = scheduler.config.get("original_inference_steps", steps)
    if steps > most:
        raise InputError(
            f"num_inference_steps is {steps}, but this scheduler runs at most {most}; lower it, or choose another scheduler."
        )
    if steps == 1 and scheduler.config.get(TERMINAL):
        raise InputError(
            "num_inference_steps is 1, but this base model's noise levels are stretched between a first and a last step; "
            "raise it to 2 or more."
        )
    kept = int(steps * strength)
    if not kept:
        raise InputError(
            f"strength is {strength:g}, which leaves none of {steps} steps; raise it, or num_inference_steps."
        )
    total = _respaced(scheduler, steps, kept, strength) if kept < steps else steps
    _set_timesteps(scheduler, total, device, tokens, shift_steps, to_end)
    _drop_step_before_first(scheduler)
    first = (total - kept) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        # Else the first step looks its timestep up, and finds the second of two equal ones, as rounding makes of noise
        # levels that lie close together: the last step would then run past the end.
        scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


def _set_timesteps(scheduler: Any, steps: int, device: Any, tokens: int, shift_steps: int, to_end: bool) -> None:
    """Set timesteps; those of flow matching are at even distances before their shift, the last one `1 / steps` from its end.

    With `to_end` the last one is that of the training.
    """
    if not (is_flow(scheduler) and _takes_sigmas(scheduler)):
        scheduler.set_timesteps(steps, device=device)
        if is_flow(scheduler) and scheduler.config.get(TERMINAL):
            _stretch_to_terminal(scheduler, scheduler.config[TERMINAL])
        return
    import torch

    sigmas = np.array(torch.linspace(1.0, 1 / steps, steps).tolist())  # the very numbers of diffusers' pipelines
    mu = {"mu": _mu(scheduler.config, tokens, shift_steps)} if scheduler.config.get("use_dynamic_shifting") else {}
    scheduler.set_timesteps(steps, device=device, sigmas=None if to_end else sigmas, **mu)


def scale_model_input(scheduler: Any, latents: Any, timestep: Any) -> Any:
    """Return latents as the network reads them at a timestep."""
    if hasattr(scheduler, "scale_model_input"):
        return scheduler.scale_model_input(latents, timestep)
    return latents


def initial_latents(scheduler: Any, noise: Any) -> Any:
    """Return the latents that a run begins with, for normal noise; the scheduler has its timesteps set."""
    return noise * getattr(scheduler, "init_noise_sigma", 1.0)


def add_noise(scheduler: Any, latents: Any, noise: Any, timesteps: Any) -> Any:
    """Return latents as noisy as those of the (1,) timestep, which is the one that runs next."""
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(latents, timesteps, noise)
    return scheduler.add_noise(latents, noise, timesteps)


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
