"""The whole table of samplers: every row, on every family's schedule, at any number of steps and any strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler
from torch import Tensor

from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.schedulers import create_scheduler, late_start_note, set_steps
from cnet_app.registry.samplers import SAMPLERS, Sampler, works_with
from cnet_app.request.pictures import encode_png
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import Family
from models.files import HERE
from models.loader import Base
from models.modules import load_scheduler
from tests.diffusion.conftest import control_map, request_for
from tests.diffusion.samplers.test_schedulers import TARGET, run
from tests.families import UNETS

pytestmark = pytest.mark.slow

PUBLISHED: Mapping[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}
ZERO_SNR: Mapping[str, Any] = {
    **PUBLISHED,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
SCHEDULES: Mapping[str, Callable[[], Any]] = {
    "embedded": lambda: load_scheduler("DDIMScheduler", HERE / "embedded" / "base" / "scheduler"),
    "sd15": lambda: PNDMScheduler(**PUBLISHED, skip_prk_steps=True, set_alpha_to_one=False),
    "sd21": lambda: DDIMScheduler(
        **PUBLISHED, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False
    ),
    "sdxl": lambda: EulerDiscreteScheduler(**PUBLISHED, timestep_spacing="leading"),
    "sdxl, trailing": lambda: EulerDiscreteScheduler(**PUBLISHED, timestep_spacing="trailing"),
    "sd21 with zero SNR": lambda: DDIMScheduler(**ZERO_SNR, clip_sample=False),
    "sdxl with zero SNR": lambda: EulerDiscreteScheduler(**ZERO_SNR),
}
"""Of the base that ships, of the families' own bases as published, and of fine-tunes: for few steps, and from pure noise."""
MOST = 150
COUNTS = (*range(1, 41), 61, *range(70, MOST, 16), 103, 121, 122, MOST)
"""Steps whose schedules are computed: all that people choose, those where rounding adds a step, and some between."""
RUNS = (1, 2, 3, 21, 25)
"""Steps of the runs. From 21 on rounding gives the embedded schedule equal timesteps, where noise levels lie close together."""
CASES = [pytest.param(name, row, id=f"{name}-{row.id}") for name in SCHEDULES for row in SAMPLERS]


def has_zero_snr(schedule: str) -> bool:
    return bool(SCHEDULES[schedule]().config.get("rescale_betas_zero_snr"))


def works(schedule: str, row: Sampler) -> bool:
    return row.from_pure_noise or not has_zero_snr(schedule)


def is_spaced(row: Sampler) -> bool:
    return row.id.endswith(("_karras", "_exponential"))


@pytest.mark.parametrize(("schedule", "row"), CASES)
def test_a_sampler_runs_at_any_number_of_steps_or_is_refused(schedule: str, row: Sampler) -> None:
    if not works(schedule, row):
        with pytest.raises(InputError, match=r"cannot start from pure noise, .*choose one of: default, ddim"):
            create_scheduler(row.id, SCHEDULES[schedule]())
        return
    scheduler = create_scheduler(row.id, SCHEDULES[schedule]())
    most = row.most_steps or MOST
    for steps in (steps for steps in COUNTS if steps <= most):
        timesteps = set_steps(scheduler, steps).float()
        runs = {
            steps * scheduler.order + spare for spare in (-1, 0, 1)
        }  # Heun's last step is a half, PNDM has one more
        assert len(timesteps) in runs, steps
        assert timesteps.isfinite().all()
        assert (timesteps.diff() <= 0).all(), steps
        assert 0 <= timesteps.min() <= timesteps.max() < 1000
        if hasattr(scheduler, "sigmas"):
            assert scheduler.sigmas.isfinite().all()
    for steps in (steps for steps in RUNS if steps <= most):
        latents = run(scheduler := create_scheduler(row.id, SCHEDULES[schedule]()), steps=steps)
        assert latents.isfinite().all(), steps
        assert (latents - TARGET).abs().mean() < 0.1 or late_start_note(scheduler, scheduler.timesteps), steps
    if row.most_steps:
        with pytest.raises(
            InputError, match=f"num_inference_steps is {most + 1}, but this scheduler runs at most {most}"
        ):
            set_steps(scheduler, most + 1)


@pytest.mark.parametrize("family", UNETS)
def test_the_table_declares_what_the_schedules_are(family: Family) -> None:
    """docs/samplers.md is written from these facts."""
    assert FAMILIES[family].zero_terminal_snr == has_zero_snr(family)
    assert all(works_with(row, FAMILIES[family]) == works(family, row) for row in SAMPLERS)


STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9)


def left(scheduler: Any, timesteps: Tensor) -> float:
    """Share of the initial picture in the first latents, from 0 to 1."""
    one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    picture = float(scheduler.add_noise(one, none, timesteps[:1]))
    noise = float(scheduler.add_noise(none, one, timesteps[:1]))
    return picture / (picture**2 + noise**2) ** 0.5


@pytest.mark.parametrize(("schedule", "row"), [case for case in CASES if works(*case.values)])  # pyright: ignore[reportArgumentType]
@pytest.mark.parametrize("steps", [20, 50])
def test_less_strength_leaves_more_of_the_initial_picture(schedule: str, row: Sampler, steps: int) -> None:
    shares: list[float] = []
    scheduler = create_scheduler(row.id, SCHEDULES[schedule]())
    for strength in STRENGTHS:
        timesteps = set_steps(scheduler, steps, strength=strength)
        own_steps = int(steps * strength) * scheduler.order
        assert own_steps - 1 <= len(timesteps) <= own_steps + 1  # PNDM has one more, Heun's last is a half
        shares.append(left(scheduler, timesteps))
    assert shares == sorted(shares, reverse=True)
    assert all(share > 1 - strength - 0.13 for share, strength in zip(shares, STRENGTHS, strict=True))
    if has_zero_snr(schedule) or not is_spaced(row):
        assert shares == pytest.approx([1 - strength for strength in STRENGTHS], abs=0.16)


@pytest.mark.parametrize("scheduler", ["default", "dpmpp_2m_karras", "unipc_exponential", "euler_karras"])
def test_the_embedded_base_begins_at_the_noise_of_its_strength(
    bases: dict[Family, Base], scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    predict = UNetBackbone.predict

    def watched(self: UNetBackbone, batch: Tensor, timestep: Tensor, *given: Any) -> Tensor:
        seen.append(float(timestep))
        return predict(self, batch, timestep, *given)

    monkeypatch.setattr(UNetBackbone, "predict", watched)
    photo = encode_png(control_map())
    request = request_for(initial_image=photo, strength=0.3, num_inference_steps=20, scheduler=scheduler)
    generate(bases["embedded"], [], request)
    assert len(seen) == 6
    assert 200 < seen[0] <= 300


def test_a_strength_without_a_step_is_refused() -> None:
    scheduler = create_scheduler("ddim", SCHEDULES["sd15"]())
    with pytest.raises(InputError, match=r"strength is 0.04, which leaves none of 20 steps; raise it, or"):
        set_steps(scheduler, 20, strength=0.04)


@pytest.mark.parametrize(("id", "steps", "late"), [("ddim", 1, True), ("ddim", 2, True), ("ddim", 3, False), ("ddim_trailing", 1, False), ("euler", 1, True), ("dpmpp_2m", 1, False)])  # fmt: skip
def test_steps_that_begin_too_late_are_noted(id: str, steps: int, late: bool) -> None:
    scheduler = create_scheduler(id, SCHEDULES["sd15"]())
    note = late_start_note(scheduler, set_steps(scheduler, steps))
    assert bool(note) == late
    if late:
        assert "too late to make a picture of noise alone; raise num_inference_steps, or choose ddim_trailing" in note
