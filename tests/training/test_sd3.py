"""Trainings of SD 3.5: what the ControlNet begins as, that it runs as it was trained, and a run from data to picture."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import SD3ControlNetModel, StableDiffusion3ControlNetPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from cnet_app.cli import main
from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.base import Extras
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TrainingPlan
from cnet_app.training.data.cache import encode_examples
from cnet_app.training.data.readers import read_data
from cnet_app.training.memory.advice import changes_for_memory
from cnet_app.training.run import RunFolder
from cnet_app.training.storage import checkpoints
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.sd3 import fill_joints
from models.catalogue.local import local_files
from models.errors import InputError
from models.loader import Base, load_base, load_controlnet, save_base, save_network
from models.tiny import tiny_base
from tests.diffusion.backbones.latents import diffusers_latents, latents_of
from tests.diffusion.backbones.test_sd3 import KINDS, tiny_controlnet
from tests.diffusion.conftest import control_map, request_for, unit
from tests.training.test_loop import PLAN, create_loop, stop_at, weights

SD3_PLAN = replace(PLAN, steps=4, base="sd3")


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("sd3")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def own_network(base: Base, plan: TrainingPlan = SD3_PLAN) -> tuple[Any, Any]:
    """A Trainable and its network, whose projections are visible."""
    trainable = create_trainable(base, plan)
    network: Any = trainable.for_pictures()
    torch.manual_seed(1)
    fill_joints(network)
    return trainable, network


def test_a_new_controlnet_is_diffusers_copy_of_the_first_blocks(base: Base) -> None:
    transformer = base.network
    before = dict(transformer.config)
    made: Any = create_trainable(base, SD3_PLAN).for_pictures()
    expected: Any = SD3ControlNetModel.from_transformer(
        copy.deepcopy(transformer), num_layers=2, num_extra_conditioning_channels=0
    )
    differs = {name for name, value in expected.config.items() if made.config[name] != value} - {"_use_default_values"}
    assert differs == {"force_zeros_for_pooled_projection"}  # ours reads the vector as it was trained with it
    assert not made.config["force_zeros_for_pooled_projection"]
    assert dict(transformer.config) == before
    own, theirs = made.state_dict(), expected.state_dict()
    copied = [name for name in own if not name.startswith(("controlnet_blocks", "pos_embed_input"))]
    assert own.keys() == theirs.keys() and all(torch.equal(own[name], theirs[name]) for name in copied)
    assert not any(own[name].any() for name in own if name not in copied)
    fresh: Any = create_trainable(base, replace(SD3_PLAN, initial="fresh", seed=5)).for_pictures()
    assert not torch.equal(fresh.state_dict()[copied[-1]], own[copied[-1]])
    joined: Any = create_trainable(base, replace(SD3_PLAN, joint="gaussian")).for_pictures()
    assert joined.controlnet_blocks[0].weight.any() and joined.pos_embed_input.proj.weight.any()


def test_before_the_first_step_the_base_is_as_it_was(base: Base) -> None:
    trainable = create_trainable(base, SD3_PLAN)
    text = trainable.text(trainable.encode_prompts(["a red ball", ""]), 64, 64)
    assert text.added is not None
    noisy, timesteps, hints = torch.randn(2, 16, 8, 8), torch.tensor([10.0, 900.0]), torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        plain = base.network(
            noisy, timestep=timesteps, encoder_hidden_states=text.states, return_dict=False, **text.added
        )[0]
        assert torch.equal(trainable.module(noisy, timesteps, hints, text.states, text.added), plain)


@pytest.mark.parametrize("begins", ["base", *KINDS])
def test_what_is_trained_is_what_runs(base: Base, models: Path, begins: str) -> None:
    """The prediction of a training's module equals that of a picture's step, with the same map, words and time."""
    plan = SD3_PLAN
    if begins != "base":
        save_network(tiny_controlnet(begins), models / "controlnets" / "first", torch.float32)
        plan = replace(plan, start="first")
    trainable, network = own_network(base, plan)
    assert (network.config["force_zeros_for_pooled_projection"], network.context_embedder is None) == (
        (begins == "instantx"), (begins == "stability"),
    )  # fmt: skip
    noisy, timestep, pixels = torch.randn(1, 16, 8, 8), torch.tensor(700.0), control_map(5)
    hint = trainable.encode_hint(torch.tensor(pixels).permute(2, 0, 1))[None]
    text = trainable.text(trainable.encode_prompts(["a red ball"]), 64, 64)
    request = request_for(unit(control_image=encode_png(pixels)))
    backbone, cache = create_backbone(base), EncodingCache()
    with torch.no_grad():
        trained = trainable.module(noisy, timestep.reshape(1), hint, text.states, text.added)
        control: Any = backbone.prepare_control(request.units[0], network, request, cache)
        (words,) = backbone.encode_texts(request, [control], cache, 1)
        batch = backbone.pack(noisy, words)
        residuals = unit_residuals(control, 1.0, batch, timestep, words)
        used = backbone.predict(batch, timestep, words, 1.0, Extras(residuals=residuals))
        plain = backbone.predict(batch, timestep, words, 1.0, Extras())
    assert torch.equal(control.network.hint, hint)
    torch.testing.assert_close(trained, used, atol=1e-6, rtol=0)
    assert (trained - plain).abs().max() > 0.05


def test_every_trained_number_gets_a_gradient(base: Base, models: Path) -> None:
    """Several processes wait for the gradient of each."""
    save_network(tiny_controlnet("stability"), models / "controlnets" / "first", torch.float32)
    for plan in (SD3_PLAN, replace(SD3_PLAN, start="first", gradient_checkpointing=True)):
        trainable, _ = own_network(base, plan)
        text = trainable.text(trainable.encode_prompts(["a", "b"]), 64, 64)
        noisy = torch.randn(2, 16, 8, 8)
        trainable.module(noisy, torch.tensor([9.0, 90.0]), noisy, text.states, text.added).mean().backward()
        (group,) = trainable.groups()
        assert group["params"] and all(value.grad is not None for value in group["params"])
        assert not any(value.requires_grad for value in base.network.parameters())
        base.network.disable_gradient_checkpointing()


def test_a_start_that_does_not_fit_is_refused(base: Base, models: Path) -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("masked", {"extra_conditioning_channels": 1}, "start is 'masked', which also reads a mask"),
        ("wide", {"num_attention_heads": 4, "caption_projection_dim": 64}, "start is 'wide', which was made for a base of 64 channels"),
    )  # fmt: skip
    for name, config, sentence in cases:
        save_network(tiny_controlnet(**config), models / "controlnets" / name)
        with pytest.raises(InputError, match=sentence):
            create_trainable(base, replace(SD3_PLAN, start=name))


def test_maps_are_kept_as_latents_and_long_prompts_noted(base: Base, tmp_path: Path, models: Path) -> None:
    notes: list[str] = []
    data = pairs(tmp_path, "word " * 300)
    trainable = create_trainable(base, SD3_PLAN)
    found = read_data(data).pairs[:2]
    examples = encode_examples(found, SD3_PLAN, trainable, tmp_path / "cache", note=notes.append)
    read = examples.read([0, 1], [0, 0], [False, True])
    assert read.hints.shape == (2, 16, 8, 8) and read.moments.shape == (2, 32, 8, 8)
    assert read.prompts["states"].shape[1:] == (16 + 256, 48) and read.prompts["pooled"].shape == (2, 32)
    control = torch.tensor(cv2.imread(str(data / "conditioning_images" / "0.png"))).permute(2, 0, 1)
    assert torch.equal(read.hints[0], trainable.encode_hint(control))
    assert "1 of 2 prompts are longer than the 256 tokens" in notes[0]
    save_network(tiny_controlnet("stability"), models / "controlnets" / "first")
    other = create_trainable(base, replace(SD3_PLAN, start="first"))
    assert encode_examples(found, SD3_PLAN, other, tmp_path / "cache").key != examples.key


def test_a_picture_larger_than_the_base_knows_is_one_sentence(base: Base) -> None:
    trainable = create_trainable(base, SD3_PLAN)
    with pytest.raises(InputError, match="The picture is 2048 x 64 px, but tiny_sd3 knows places up to 1024 px a side"):
        trainable.text(trainable.encode_prompts(["a"]), 2048, 64)


def test_advice_on_memory_names_only_what_the_base_has() -> None:
    words = [
        " ".join(changes_for_memory(replace(SD3_PLAN, base=name), torch.device("cpu"))) for name in ("sd15", "sd3")
    ]
    assert ["network light" in one for one in words] == [True, False]


@pytest.mark.parametrize("changes", [{"unlocked_learning_rate": 1e-3}, {"precision": "float16"}])
def test_a_change_that_means_nothing_for_the_base_leaves_the_plan_as_it_is(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = RunFolder(tmp_path)
    run.write_plan(SD3_PLAN)
    with pytest.raises(InputError, match=f"{next(iter(changes))} is .* SD 3.5"):
        run.change(changes)
    assert run.plan() == SD3_PLAN


def test_a_run_killed_at_a_step_and_resumed_equals_one_in_one_go(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "gradient_checkpointing": True,
        "initial": "fresh",
        "joint": "gaussian",
        "ema_decay": 0.9,
    }
    plan = replace(SD3_PLAN, checkpoint_every=2, keep_checkpoints=9, **changes)
    assert create_loop(tmp_path / "whole", plan, "sd3").train() == "done"
    with pytest.raises(KeyboardInterrupt):
        create_loop(tmp_path / "killed", plan, "sd3", report=stop_at(3)).train()
    resumed = create_loop(tmp_path / "killed", plan, "sd3")
    assert resumed.progress.step == 2 and resumed.train() == "done"
    one, two = weights(tmp_path / "whole", 4), weights(tmp_path / "killed", 4)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    first = weights(tmp_path / "whole", 2)
    assert sum(not torch.equal(first[name], one[name]) for name in first) > len(first) / 2


def pairs(folder: Path, caption: str = "a red ball") -> Path:
    """Four discs with their edges."""
    data = folder / "data"
    for name in ("images", "conditioning_images"):
        (data / name).mkdir(parents=True)
    for number in range(4):
        picture = np.full((64, 64, 3), 40 * number, np.uint8)
        cv2.circle(picture, (20 + 6 * number, 32), 12, (200, 30, 90), -1)
        cv2.imwrite(str(data / "images" / f"{number}.png"), picture)
        cv2.imwrite(str(data / "conditioning_images" / f"{number}.png"), cv2.Canny(picture, 100, 200))
        (data / "images" / f"{number}.txt").write_text(caption, encoding="utf-8")
    return data


def test_a_training_from_the_command_line_to_the_picture(
    tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_base(tiny_base("sd3"), models / "checkpoints" / "small", torch.float32)
    place = ["--output-dir", str(tmp_path), "--device", "cpu"]
    words = ["--condition", "canny", "--data", str(pairs(tmp_path)), "--base", "small", "--size", "64", *place]
    words += [
        "--batch-size",
        "2",
        "--learning-rate",
        "0.01",
        "--probes",
        "1",
        "--probe-steps",
        "1",
        "--probe-every",
        "2",
    ]
    assert main(["train", "controlnet", "--name", "whole", "--steps", "4", *words]) == 0
    assert "MB of memory" in capsys.readouterr().out
    assert main(["train", "controlnet", "--name", "parts", "--steps", "2", *words]) == 0
    assert main(["train", "resume", "parts", "--steps", "4", *place]) == 0
    runs = [RunFolder(tmp_path / "trainings" / name) for name in ("whole", "parts")]
    one, two = (checkpoints.load(checkpoints.folder_of(run.checkpoints, 4)).network for run in runs)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    records = runs[0].records()[0]
    losses = [record.values["loss"] for record in records if record.kind == "step"]
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    assert any(record.kind == "probe" and record.values["score"] is not None for record in records)

    folder = models / "controlnets" / "whole"
    assert {path.name for path in folder.iterdir()} >= {
        "config.json", "diffusion_pytorch_model.safetensors", "README.md", "training_plan.json",
    }  # fmt: skip
    assert "A ControlNet for SD 3.5 that follows maps of the condition" in (folder / "README.md").read_text()
    with safe_open(folder / "diffusion_pytorch_model.safetensors", "pt") as file:
        metadata: Any = file.metadata()
    assert (
        metadata["controlnet_studio.family"] == "sd3" and json.loads(metadata["controlnet_studio.plan"])["steps"] == 4
    )
    assert [(file.name, file.family) for file in local_files("controlnet")] == [("parts", "sd3"), ("whole", "sd3")]

    read: Any = SD3ControlNetModel.from_pretrained(folder)
    stored = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(read.state_dict()[name], tensor.float()) for name, tensor in stored.items())
    base, network = load_base("small"), load_controlnet("whole", "sd3")
    request = request_for(unit(control_image=encode_png(control_map(5))), num_inference_steps=2)
    off = replace(request, units=(replace(request.units[0], conditioning_scale=0.0),))
    pictures = [generate(base, [network], one)[0] for one in (request, off)]
    assert (pictures[0] != pictures[1]).any()
    diffusers_own = diffusers_latents(
        StableDiffusion3ControlNetPipeline, base, request, read, guidance_scale=1.0,
        control_image=torch.tensor(control_map(5)).permute(2, 0, 1)[None] / 255 * 2 - 1,
    )  # fmt: skip
    assert (latents_of(base, [network], request) - diffusers_own).abs().max() < 1e-4
