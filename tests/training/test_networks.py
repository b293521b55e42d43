"""The networks that are trained: what they begin as, what their files hold, and who reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors import safe_open
from torch import nn

from cnet_app.request.training import TrainingPlan
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.files import original_name
from cnet_app.training.trainable.networks import create_network, fill_joints, low_rank_layers
from models.errors import InputError
from models.family_facts import Family
from models.layouts.checkpoints import diffusers_names
from models.layouts.controlnet_files import load_controlnet_tensors
from models.loader import load_controlnet
from models.tiny import tiny_base
from tests.models.layouts.original_names import SIZES
from tests.training.test_loop import PLAN

FAMILIES: tuple[Family, ...] = ("embedded", "sd15", "sd21", "sdxl")


def inputs(base: Any, trainable: Any) -> tuple[Any, ...]:
    text = trainable.text(trainable.encode_prompts(["a red ball", ""]), 64, 64)
    noisy = torch.randn(2, base.vae.config["latent_channels"], 8, 8)
    return noisy, torch.tensor([10, 900]), torch.rand(2, 3, 64, 64), text.states, text.added


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("network", ["controlnet", "light", "lite"])
def test_before_the_first_step_the_base_is_as_it_was(family: Family, network: Any) -> None:
    base = tiny_base(family)
    trainable = create_trainable(
        base, TrainingPlan(name="a", condition="canny", data="x", size=64, network=network, rank=2)
    )
    noisy, timesteps, hints, states, added = inputs(base, trainable)
    with torch.no_grad():
        plain = base.network(noisy, timesteps, states, added_cond_kwargs=added, return_dict=False)[0]
        assert torch.equal(trainable.module(noisy, timesteps, hints, states, added), plain)


def test_a_copy_begins_with_the_bases_encoder_and_a_fresh_one_does_not() -> None:
    unet = tiny_base("sd15").network
    copied = create_network(unet, PLAN)
    fresh = create_network(unet, TrainingPlan(name="a", condition="canny", data="x", initial="fresh"))
    name = "down_blocks.0.resnets.0.conv1.weight"
    assert torch.equal(copied.state_dict()[name], unet.state_dict()[name])
    assert not torch.equal(fresh.state_dict()[name], unet.state_dict()[name])


@pytest.mark.parametrize("family", FAMILIES)
def test_both_layouts_hold_the_same_and_are_read_by_diffusers_and_as_the_originals(
    family: Family, tmp_path: Path
) -> None:
    trainable = create_trainable(tiny_base(family), PLAN)
    network: Any = trainable.for_pictures()
    fill_joints(network)
    trainable.save(tmp_path / "mine", "mine", {"controlnet_studio.family": family})
    own = {name: tensor.half() for name, tensor in network.state_dict().items()}
    read: Any = ControlNetModel.from_pretrained(tmp_path / "mine", dtype=torch.float16)
    assert all(torch.equal(read.state_dict()[name], tensor) for name, tensor in own.items())
    with safe_open(tmp_path / "mine" / "mine.safetensors", "pt") as file:
        content: Any = file
        names = diffusers_names(content.keys(), 1)  # how diffusers itself reads the original's names
        assert names.keys() == own.keys()
        assert all(torch.equal(content.get_tensor(names[name]), tensor) for name, tensor in own.items())
        assert content.metadata()["controlnet_studio.family"] == family


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl"])
def test_the_originals_keys_are_those_of_published_files(family: Family) -> None:
    """Of a narrow network with the family's own depth: every name of the original's repository, none besides."""
    with torch.device("meta"):
        network: Any = ControlNetModel(**SIZES[family])
    names = [original_name(name, 2, len(network.controlnet_cond_embedding.blocks)) for name in network.state_dict()]
    assert len(set(names)) == len(names)
    assert {"time_embed.0.weight", "input_blocks.0.0.weight", "input_blocks.1.0.in_layers.0.weight",
            "input_blocks.3.0.op.weight", "input_hint_block.0.weight", "input_hint_block.14.weight",
            "middle_block.0.out_layers.3.bias", "middle_block.2.emb_layers.1.weight", "middle_block_out.0.bias",
            "zero_convs.0.0.weight"} <= set(names)  # fmt: skip
    assert set(diffusers_names(names, 2)) == set(network.state_dict())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_light_network_is_a_control_lora_that_loads_as_what_was_trained(family: Family, tmp_path: Path) -> None:
    base = tiny_base(family)
    trainable = create_trainable(base, TrainingPlan(name="light", condition="canny", data="x", network="light", rank=2))
    network: Any = trainable.for_pictures()
    torch.manual_seed(1)
    for _, factors in low_rank_layers(network):
        nn.init.normal_(factors.up, std=0.3)
    nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight)
    trainable.save(tmp_path / "light", "light", {"controlnet_studio.family": family})
    file = load_controlnet_tensors(tmp_path / "light" / "light.safetensors", family, base.network)
    loaded: Any = ControlNetModel(**file.config)
    loaded.load_state_dict({name: tensor.float() for name, tensor in file.state.items()})
    noisy, timesteps, hints, states, added = inputs(base, trainable)
    with torch.no_grad():
        one, two = (
            net(noisy, timesteps, states, hints, added_cond_kwargs=added, return_dict=False)
            for net in (network, loaded)
        )
    for ours, theirs in zip([*one[0], one[1]], [*two[0], two[1]], strict=True):
        assert (ours - theirs).norm() < 0.01 * theirs.norm()  # factors are stored in float16


def test_a_light_network_for_sd15_takes_at_most_16_mb(tmp_path: Path) -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64)
        network = create_network(unet, TrainingPlan(name="a", condition="canny", data="x", network="light", rank=8))
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    assert 2 * trained <= 16_000_000, f"{2 * trained / 1e6:.1f} MB"


@pytest.mark.parametrize(
    ("network", "begins"),
    [("controlnet", "zero"), ("light", "zero"), ("controlnet", "gaussian"), ("controlnet", "start")],
)
def test_a_control_of_the_middle_block_alone_is_used_as_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Any, begins: str
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    base, plan = tiny_base("sd15"), replace(PLAN, only_mid_control=True, network=network)
    if begins == "gaussian":
        plan = replace(plan, joint="gaussian")
    if begins == "start":
        first = create_trainable(base, PLAN)
        whole: Any = first.for_pictures()
        fill_joints(whole)
        nn.init.normal_(whole.controlnet_down_blocks[0].bias)
        first.save(tmp_path / "controlnets" / "first", "first", {"controlnet_studio.family": "sd15"})
        plan = replace(plan, start="first")
    trainable = create_trainable(base, plan)
    noisy, timesteps, hints, states, added = inputs(base, trainable)
    control: Any = trainable.for_pictures()
    torch.manual_seed(1)
    for value in control.controlnet_mid_block.parameters():
        nn.init.normal_(value)
    with torch.no_grad():
        trained = trainable.module(noisy, timesteps, hints, states, added)
        down, middle = control(noisy, timesteps, states, hints, added_cond_kwargs=added, return_dict=False)
        used = base.network(noisy, timesteps, states, added_cond_kwargs=added, down_block_additional_residuals=down,
                            mid_block_additional_residual=middle, return_dict=False)[0]  # fmt: skip
        plain = base.network(noisy, timesteps, states, added_cond_kwargs=added, return_dict=False)[0]
    assert torch.equal(trained, used) and not torch.equal(trained, plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "light", "joint": "gaussian"}, "joint is gaussian, but a light network"),
        ({"network": "light", "initial": "fresh"}, "initial is fresh, but a light network"),
        ({"network": "lite", "initial": "fresh"}, "initial is fresh, but a lite network"),
        ({"start": "a", "initial": "fresh"}, "initial is fresh, but start names"),
        ({"start": "a", "joint": "gaussian"}, "joint is gaussian, but start names"),
    ],
)
def test_first_weights_that_would_be_left_out_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAN, **changes)
    assert replace(PLAN, network="lite", joint="gaussian").joint == "gaussian"


def test_a_trained_controlnet_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    trainable = create_trainable(tiny_base("sd15"), PLAN)
    trainable.save(tmp_path / "controlnets" / "mine", "mine", {"controlnet_studio.family": "sd15"})
    loaded: Any = load_controlnet("mine", "sd15")
    assert tuple(loaded.config["block_out_channels"]) == trainable.base.network.config["block_out_channels"]
