"""Samplers on bases of flow matching: each goes where a perfect model points, and those without such a form are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from cnet_app.diffusion.schedulers import (
    add_noise,
    create_scheduler,
    initial_latents,
    is_flow,
    resolve_scheduler,
    scale_model_input,
    scheduler_facts,
    set_steps,
)
from cnet_app.registry.samplers import SAMPLERS
from models.errors import InputError

TARGET = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
NOISE = torch.randn(TARGET.shape, generator=torch.Generator().manual_seed(1))
FLOW = [row.id for row in SAMPLERS if row.has_flow_form]
BASES = {
    "shift": FlowMatchEulerDiscreteScheduler(shift=3.0),
    "dynamic": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    "linear": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear"),
    "unipc": UniPCMultistepScheduler(use_flow_sigmas=True, flow_shift=3.0, prediction_type="flow_prediction"),
}


def run(scheduler: Any, timesteps: Tensor, latents: Tensor) -> Tensor:
    """Denoise with a model that knows the noise-free latents."""
    first = len(scheduler.timesteps) - len(timesteps)
    for place, timestep in enumerate(timesteps, first):
        assert torch.equal(scale_model_input(scheduler, latents, timestep), latents)
        prediction = (latents - TARGET) / scheduler.sigmas[place]
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
    return latents


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("id", FLOW)
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
def test_a_sampler_reaches_the_target(id: str, base: str, steps: int) -> None:
    scheduler = create_scheduler(id, BASES[base], tokens=1024)
    assert is_flow(scheduler)
    timesteps = set_steps(scheduler, steps, tokens=1024)
    assert len(timesteps) in (steps, steps * scheduler.order - 1)
    assert (timesteps.float().diff() <= 0).all()
    assert 990 < float(timesteps[0]) <= 1000
    latents = run(scheduler, timesteps, initial_latents(scheduler, NOISE))
    torch.testing.assert_close(latents, TARGET, rtol=0, atol=2e-2)


@pytest.mark.parametrize("id", FLOW)
@pytest.mark.parametrize("strength", [0.25, 0.5, 0.75])
def test_strength_is_the_last_part_of_the_steps(id: str, strength: float) -> None:
    scheduler = create_scheduler(id, BASES["shift"])
    whole = set_steps(scheduler, 8)
    timesteps = set_steps(scheduler, 8, strength=strength)
    kept = int(8 * strength)
    assert len(timesteps) in (kept, kept * scheduler.order - 1)
    assert torch.equal(timesteps, whole[-len(timesteps) :])
    level = float(scheduler.sigmas[len(whole) - len(timesteps)])
    noisy = add_noise(scheduler, TARGET, NOISE, timesteps[:1])
    torch.testing.assert_close(noisy, level * NOISE + (1 - level) * TARGET)
    latents = run(scheduler, timesteps, noisy)
    torch.testing.assert_close(latents, TARGET, rtol=0, atol=2e-2)


def test_steps_may_run_to_the_end_of_the_training() -> None:
    """Then they are those that the scheduler sets by itself."""
    scheduler = create_scheduler("default", BASES["shift"])
    own: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
    own.set_timesteps(8)
    timesteps = set_steps(scheduler, 8, to_end=True)
    assert torch.equal(timesteps, own.timesteps)
    assert float(timesteps[-1]) < 10 < 299 < float(set_steps(scheduler, 8)[-1])
    latents = run(scheduler, timesteps, initial_latents(scheduler, NOISE))
    torch.testing.assert_close(latents, TARGET, rtol=0, atol=2e-2)


@pytest.mark.parametrize("id", ["default", "heun"])
def test_noise_is_added_for_the_step_that_runs_next(id: str) -> None:
    scheduler = create_scheduler(id, BASES["shift"])
    timesteps = set_steps(scheduler, 4)
    latents = initial_latents(scheduler, NOISE)
    for place, timestep in enumerate(timesteps[:-1]):
        latents = scheduler.step((latents - TARGET) / scheduler.sigmas[place], timestep, latents, return_dict=False)[0]
        noisy = add_noise(scheduler, TARGET, NOISE, timesteps[place + 1 : place + 2])
        level = timesteps[place + 1] / 1000
        torch.testing.assert_close(noisy, level * NOISE + (1 - level) * TARGET)


@pytest.mark.parametrize("row", [row for row in SAMPLERS if not row.has_flow_form], ids=lambda row: row.id)
def test_a_sampler_without_a_flow_form_is_refused(row: Any) -> None:
    with pytest.raises(InputError) as told:
        create_scheduler(row.id, BASES["shift"])
    assert str(told.value) == (
        f"{row.title} has no form for flow matching, which this base model was trained on; "
        "choose one of: default, unipc, dpmpp_2m, euler, heun."
    )


def test_more_tokens_shift_the_steps_towards_noise() -> None:
    """Samplers agree on the shift, whether their class computes it or takes it as a constant."""
    for base in ("dynamic", "linear"):
        middles: list[list[float]] = []
        for id in ("default", "unipc", "dpmpp_2m"):
            levels: list[float] = []
            for tokens in (256, 4096):
                scheduler = create_scheduler(id, BASES[base], tokens)
                set_steps(scheduler, 1000, tokens=tokens)
                levels.append(float(scheduler.sigmas[500]))
            middles.append(levels)
        assert middles[0][0] < middles[0][1] - 0.05
        assert middles[1] == pytest.approx(middles[0], abs=1e-3)
        assert middles[2] == pytest.approx(middles[0], abs=1e-3)
    scheduler = create_scheduler("heun", BASES["dynamic"], 4096)
    assert scheduler.config.shift == pytest.approx(math.exp(1.15))


@pytest.mark.parametrize("id", ["unipc", "dpmpp_2m", "heun"])
def test_all_samplers_run_the_noise_levels_of_the_base(id: str) -> None:
    """With the shift by tokens and the last level that the base's own scheduler names, such as Qwen-Image's."""
    own = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02
    )
    expected = create_scheduler("default", own)
    set_steps(expected, 30, tokens=4096)
    scheduler = create_scheduler(id, own, 4096)
    timesteps = set_steps(scheduler, 30, tokens=4096)
    levels = scheduler.sigmas[:-1] if id != "heun" else scheduler.sigmas[:-1].unique().flip(0)
    # Heun's levels are at other distances: it runs to the training's last one.
    assert levels[-1] == pytest.approx(0.02, abs=1e-4)
    if id != "heun":
        assert levels.numpy() == pytest.approx(expected.sigmas[:-1].numpy(), abs=1.5e-3)
    assert timesteps.float().numpy() == pytest.approx(1000 * scheduler.sigmas[:-1].numpy(), abs=1)


def test_a_base_names_its_own_sampler_where_it_is_a_row() -> None:
    assert resolve_scheduler("default", BASES["shift"]) == "euler"
    assert resolve_scheduler("default", BASES["unipc"]) == "unipc"
    assert resolve_scheduler("default", FlowMatchLCMScheduler()) == "default"
    assert scheduler_facts("default", BASES["shift"]) == {"scheduler": "euler"}
    assert not is_flow(EulerDiscreteScheduler())
