"""The loss against that of diffusers' ControlNet trainers, written out with diffusers' own classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline
from diffusers.training_utils import compute_loss_weighting_for_sd3
from torch.nn import functional as F

from cnet_app.training.objective import DiffusionObjective, FlowObjective
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.networks import fill_joints
from cnet_app.training.trainable.sd3 import fill_joints as fill_projections
from models.family_facts import Family
from models.tiny import tiny_base
from tests.training.test_loop import PLAN

PROMPTS = ["a red ball", "", "a blue box under a yellow sky", "a person"]


def reference_loss(
    base: Any, controlnet: Any, latents: Any, hints: Any, noise: Any, timesteps: Any, side: int
) -> float:
    """As in the loop of examples/controlnet, and for two text encoders of its SDXL form."""
    scheduler: Any = DDPMScheduler.from_config(base.scheduler.config)  # pyright: ignore[reportUnknownMemberType]
    states: list[Any] = []
    pooled: Any = None
    for tokenizer, encoder in zip(base.tokenizers, base.text_encoders, strict=True):
        ids = tokenizer(
            PROMPTS, max_length=tokenizer.model_max_length, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        output = encoder(ids, output_hidden_states=True)
        pooled = output[0]
        states.append(output.hidden_states[-2] if len(base.text_encoders) == 2 else output[0])
    words, added = torch.cat(states, dim=-1), None
    if len(base.text_encoders) == 2:
        added = {
            "text_embeds": pooled,
            "time_ids": torch.tensor([[side, side, 0, 0, side, side]] * len(PROMPTS)).float(),
        }
    noisy = scheduler.add_noise(latents.float(), noise.float(), timesteps)
    down, middle = controlnet(
        noisy, timesteps, encoder_hidden_states=words, controlnet_cond=hints, added_cond_kwargs=added, return_dict=False
    )
    prediction = base.network(
        noisy,
        timesteps,
        encoder_hidden_states=words,
        added_cond_kwargs=added,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, timesteps) if velocity else noise
    return float(F.mse_loss(prediction.float(), target.float(), reduction="mean"))


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl", "embedded"])
def test_the_loss_is_that_of_diffusers_trainer(family: Family) -> None:
    base = tiny_base(family)
    trainable = create_trainable(base, PLAN)
    controlnet = trainable.for_pictures()
    torch.manual_seed(3)
    fill_joints(controlnet)  # zero convolutions would hide every difference
    count, side = len(PROMPTS), 64
    latents = torch.randn(count, base.vae.config["latent_channels"], 8, 8)
    hints, noise = torch.rand(count, 3, side, side), torch.randn_like(latents)
    timesteps = torch.tensor([0, 10, 500, 999])
    objective = trainable.objective
    text = trainable.text(trainable.encode_prompts(PROMPTS), side, side)
    noisy = objective.add_noise(latents, noise, timesteps)
    with torch.no_grad():
        prediction = trainable.module(noisy, timesteps, hints, text.states, text.added)
        ours = float(objective.losses(prediction, latents, noise, timesteps).mean())
        theirs = reference_loss(base, controlnet, latents, hints, noise, timesteps, side)
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_weights_by_signal_are_those_of_min_snr(family: Family) -> None:
    """Hang et al. 2023, table 1: min(SNR, 5) / SNR for the noise, min(SNR, 5) / (SNR + 1) for the velocity, by the loss in
    terms of the picture; the velocity's own weight is 1 there as here at no signal."""
    scheduler = tiny_base(family).scheduler
    objective = DiffusionObjective(scheduler, 5.0)
    timesteps = torch.tensor([0, 100, 400, 900])
    signal = scheduler.alphas_cumprod[timesteps]
    snr = signal / (1 - signal)
    least = snr.clamp(max=5.0)
    expected = (least + 1) / (snr + 1) if scheduler.config.prediction_type == "v_prediction" else least / snr
    ones = torch.ones(4, 1, 2, 2)
    zeros = torch.zeros_like(ones)
    plain = DiffusionObjective(scheduler).losses(zeros, ones, ones, timesteps)
    torch.testing.assert_close(objective.losses(zeros, ones, ones, timesteps) / plain, expected.float())


def test_a_flow_goes_straight_from_picture_to_noise() -> None:
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
    objective, generator = FlowObjective(scheduler), torch.Generator().manual_seed(0)
    timesteps = objective.draw_timesteps(2000, generator)
    assert set(timesteps.tolist()) <= set(scheduler.timesteps.tolist())
    assert timesteps.median() == pytest.approx(750, abs=25)  # shift 3 moves the middle from 500 to 750
    latents, noise = torch.zeros(2, 4, 2, 2), torch.ones(2, 4, 2, 2)
    ends = torch.tensor([0.0, 1000.0])
    assert objective.add_noise(latents, noise, ends)[:, 0, 0, 0].tolist() == [0, 1]
    assert objective.losses(noise - latents, latents, noise, ends).tolist() == [0, 0]


def flow_reference_loss(base: Any, controlnet: Any, batch: dict[str, Any], drawn: Any) -> tuple[Any, float]:
    """As in the loop of examples/controlnet for SD 3, with its defaults: timesteps of logit-normal numbers, and the loss.

    Its control image is in [-1, 1], as the pipeline gives it, and the mode of its distribution.
    """
    scheduler, config = base.scheduler, base.vae.config

    def scaled(latents: Any) -> Any:
        return (latents - config.shift_factor) * config.scaling_factor

    moments = base.vae.encode(batch["pixel_values"]).latent_dist
    model_input = scaled(moments.mean + moments.std * batch["spread"])
    timesteps = scheduler.timesteps[(drawn * scheduler.config.num_train_timesteps).long()]
    places = [(scheduler.timesteps == one).nonzero().item() for one in timesteps]
    sigmas = scheduler.sigmas[places][:, None, None, None]
    noisy = (1 - sigmas) * model_input + sigmas * batch["noise"]
    words = {"encoder_hidden_states": batch["prompt_embeds"], "pooled_projections": batch["pooled_prompt_embeds"]}
    rows = controlnet(
        hidden_states=noisy,
        timestep=timesteps,
        controlnet_cond=scaled(base.vae.encode(batch["conditioning_pixel_values"]).latent_dist.mode()),
        **words,
        return_dict=False,
    )[0]
    prediction = base.network(
        hidden_states=noisy, timestep=timesteps, block_controlnet_hidden_states=rows, **words, return_dict=False
    )[0]
    prediction = prediction * -sigmas + noisy
    weights = compute_loss_weighting_for_sd3("logit_normal", sigmas=sigmas)
    return timesteps, float((weights * (prediction - model_input) ** 2).flatten(1).mean(1).mean())


def test_the_loss_of_a_flow_is_that_of_diffusers_trainer() -> None:
    base, count = tiny_base("sd3"), len(PROMPTS)
    trainable = create_trainable(base, PLAN)
    controlnet = trainable.for_pictures()
    torch.manual_seed(3)
    fill_projections(controlnet)
    maps = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)
    pipeline: Any = StableDiffusion3Pipeline(base.network, base.scheduler, base.vae, *words_of(base))
    prompt_embeds, _, pooled, _ = pipeline.encode_prompt(PROMPTS, None, None, do_classifier_free_guidance=False)
    batch = {
        "pixel_values": torch.rand(count, 3, 64, 64) * 2 - 1,
        "conditioning_pixel_values": maps / 255 * 2 - 1,
        "spread": torch.randn(count, 16, 8, 8),
        "noise": torch.randn(count, 16, 8, 8),
        "prompt_embeds": prompt_embeds,
        "pooled_prompt_embeds": pooled,
    }
    objective = trainable.objective
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(5)).sigmoid()
    timesteps = objective.draw_timesteps(count, torch.Generator().manual_seed(5))
    latents = trainable.sample(trainable.encode_moments(batch["pixel_values"]), batch["spread"])
    hints = torch.stack([trainable.encode_hint(one) for one in maps])
    text = trainable.text(trainable.encode_prompts(PROMPTS), 64, 64)
    noisy = objective.add_noise(latents, batch["noise"], timesteps)
    with torch.no_grad():
        prediction = trainable.module(noisy, timesteps, hints, text.states, text.added)
        ours = float(objective.losses(prediction, latents, batch["noise"], timesteps).mean())
        their_timesteps, theirs = flow_reference_loss(base, controlnet, batch, drawn)
    assert torch.equal(timesteps, their_timesteps)
    assert ours == pytest.approx(theirs, abs=1e-6)


def words_of(base: Any) -> list[Any]:
    """Text encoders and tokenizers in the order of diffusers' pipeline."""
    return [part for pair in zip(base.text_encoders, base.tokenizers, strict=True) for part in pair]


def test_a_long_prompt_is_cut_as_in_the_training_of_the_base(tmp_path: Path) -> None:
    trainable = create_trainable(tiny_base("sd15"), PLAN)
    long = trainable.encode_prompts([" ".join(["red ball"] * 40)])["states"]
    assert long.shape[1] == trainable.encode_prompts(["red"])["states"].shape[1]
