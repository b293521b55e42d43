"""Samplers: each goes where a perfect model points, for every prediction type, and previews see it coming."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DEISMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler
from torch import Tensor

from cnet_app.diffusion.backbones.base import Extras, Text
from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.diffusion.denoise import FinishedStep, denoise, sampler_notes, step_options
from cnet_app.diffusion.schedulers import create_scheduler, resolve_scheduler, scheduler_facts, set_steps
from cnet_app.diffusion.start import Start
from cnet_app.registry.samplers import SAMPLERS, sampler
from models.catalogue.catalog import Family
from models.errors import InputError
from models.loader import Base
from tests.diffusion.conftest import request_for

TARGET = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))


class PerfectBackbone(UNetBackbone):
    """Its network knows the noise-free latents, and predicts what the scheduler's prediction type asks for."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        return latents

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        levels = self.scheduler.alphas_cumprod
        level = torch.lerp(levels[int(timestep)], levels[min(int(timestep) + 1, 999)], float(timestep) % 1)
        signal, noise = level.sqrt(), (1 - level).sqrt()
        epsilon = (batch - signal * TARGET) / noise
        if self.scheduler.config.prediction_type == "v_prediction":
            return signal * epsilon - noise * TARGET
        return epsilon


def run(scheduler: Any, on_step: Any = lambda step: None, steps: int = 20, eta: float = 0.0) -> Tensor:
    timesteps = set_steps(scheduler, steps)
    noise = torch.randn(TARGET.shape, generator=torch.Generator().manual_seed(1))
    return denoise(
        PerfectBackbone(scheduler),
        scheduler,
        Start(noise * scheduler.init_noise_sigma, timesteps),
        [Text(torch.zeros(1, 1, 1))] * len(timesteps),
        (),
        request_for(eta=eta, guidance_scale=1),
        generator=torch.Generator().manual_seed(2),
        on_step=on_step,
        cancelled=lambda: False,
    )


ANY = [row.id for row in SAMPLERS]
FROM_PURE_NOISE = [row.id for row in SAMPLERS if row.from_pure_noise]
ABLE = [
    *(("embedded", id) for id in FROM_PURE_NOISE),
    *((family, id) for family in ("sd15", "sd21") for id in ANY),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "id"), ABLE)
def test_each_sampler_reaches_what_a_perfect_model_knows(bases: dict[Family, Base], family: Family, id: str) -> None:
    scheduler = create_scheduler(id, bases[family].scheduler)
    latents = run(scheduler)
    assert (latents - TARGET).abs().mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("family", "id"), ABLE)
def test_previews_see_the_end_from_the_first_step(bases: dict[Family, Base], family: Family, id: str) -> None:
    scheduler = create_scheduler(id, bases[family].scheduler)
    errors: list[float] = []

    def look(done: FinishedStep) -> None:
        seen = PerfectBackbone(scheduler).predict_original(scheduler, done.model_input, done.prediction, done.timestep)
        errors.append(float((seen - TARGET).abs().mean()))

    run(scheduler, look)
    assert len(errors) == len(scheduler.timesteps)
    assert max(errors) < 0.05


@pytest.mark.parametrize("id", [id for id in ANY if id not in FROM_PURE_NOISE])
def test_a_sampler_that_cannot_start_from_pure_noise_is_refused(bases: dict[Family, Base], id: str) -> None:
    with pytest.raises(InputError, match=r"cannot start from pure noise, .*choose one of: default, ddim"):
        create_scheduler(id, bases["embedded"].scheduler)


@pytest.mark.parametrize("id", FROM_PURE_NOISE)
def test_the_bases_noise_levels_carry_over(bases: dict[Family, Base], id: str) -> None:
    config = create_scheduler(id, bases["embedded"].scheduler).config
    assert config.prediction_type == "v_prediction"
    assert config.rescale_betas_zero_snr is True
    assert config.timestep_spacing == "trailing"


def test_samplers_declare_whether_they_have_an_eta() -> None:
    base, generator = PNDMScheduler(skip_prk_steps=True, steps_offset=1), torch.Generator()
    for row in SAMPLERS[1:]:
        scheduler = create_scheduler(row.id, base)
        timesteps = set_steps(scheduler, 20)
        assert ("eta" in step_options(scheduler, generator, 0.5)) == row.has_eta, row.id
        expected = [] if row.has_eta else [
            "Eta is 0.5, which has no effect with this sampler; choose DDIM, DDIM trailing or TCD to use it."
        ]  # fmt: skip
        assert list(sampler_notes(scheduler, timesteps, request_for(eta=0.5))) == expected
        assert not list(sampler_notes(scheduler, timesteps, request_for()))


def test_trailing_steps_begin_at_the_noisiest(bases: dict[Family, Base]) -> None:
    for id in ("ddim_trailing", "euler_trailing"):
        scheduler = create_scheduler(id, bases["sd15"].scheduler)
        set_steps(scheduler, 4)
        assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


def test_karras_spacing_does_not_leak_from_the_base() -> None:
    base = EulerDiscreteScheduler(use_karras_sigmas=True)
    assert create_scheduler("default", base).config.use_karras_sigmas is True
    assert create_scheduler("euler", base).config.use_karras_sigmas is False
    assert create_scheduler("dpmpp_2m", base).config.use_karras_sigmas is False


def test_the_default_is_the_bases_own_but_another_object() -> None:
    base = PNDMScheduler(skip_prk_steps=True, steps_offset=1)
    made = create_scheduler("default", base)
    assert type(made) is PNDMScheduler
    assert made is not base
    assert made.config["skip_prk_steps"] is True
    assert type(create_scheduler("ddim", base)) is DDIMScheduler


OWN = [
    (DDIMScheduler(clip_sample=False, timestep_spacing="trailing", rescale_betas_zero_snr=True), "ddim_trailing"),
    (DDIMScheduler(clip_sample=False, steps_offset=1), "ddim"),
    (PNDMScheduler(skip_prk_steps=True, steps_offset=1), "pndm"),
    (EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1), "euler"),
    (EulerDiscreteScheduler(use_karras_sigmas=True), "euler_karras"),
    (DDIMScheduler(clip_sample=True), "default"),
    (DEISMultistepScheduler(), "default"),
]


@pytest.mark.parametrize(("own", "id"), OWN)
def test_the_bases_own_sampler_is_named_by_the_row_that_makes_the_same_steps(own: Any, id: str) -> None:
    assert resolve_scheduler("default", own) == id
    assert resolve_scheduler("lcm", own) == "lcm"
    default, named = create_scheduler("default", own), create_scheduler(id, own)
    assert type(default) is type(named)
    public = [{name: made.config[name] for name in made.config if name[0] != "_"} for made in (default, named)]
    assert public[0] == public[1]
    facts = scheduler_facts("default", own)
    if id != "default":
        assert facts == {"scheduler": id}
        return
    assert facts["scheduler_class"] == type(own).__name__
    again = type(own).from_config(json.loads(facts["scheduler_options"]))
    for scheduler in (default, again):
        scheduler.set_timesteps(7)
    assert torch.equal(default.timesteps, again.timesteps)
    assert torch.equal(default.alphas_cumprod, again.alphas_cumprod)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no scheduler 'magic'; choose one of: default, ddim, .*euler_a"):
        sampler("magic")
    with pytest.raises(InputError):
        create_scheduler("magic", SimpleNamespace(config={}))
