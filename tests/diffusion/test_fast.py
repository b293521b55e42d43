"""Ways to less memory and time: those that must keep the picture, and those that may change it a little."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray

from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.generation import GenerationRequest
from models.catalogue.catalog import Family
from models.families import FAMILIES
from models.loader import Base
from models.machine import devices, memory
from models.machine.devices import choose_device
from models.machine.ladder import LADDER, Rung
from models.machine.memory import offload_layers, on_demand, on_device
from models.machine.speed import tune
from models.tiny import tiny_base
from models.tiny.flux import tiny_flux_controlnet
from models.tiny.qwen_image import tiny_qwen_image_controlnet, tiny_qwen_image_union
from models.tiny.unets import tiny_controlnet, tiny_union
from models.tiny.z_image import tiny_z_image_controlnet
from tests.diffusion.conftest import request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
REQUEST = request_for(unit(), guidance_scale=3)


def picture(base: Base, net: Any, **values: Any) -> NDArray[np.uint8]:
    return generate(base, [net], replace(REQUEST, **values))[0]


ELSEWHERE = torch.device("cuda")
"""Stands for a device with a memory of its own: where networks are is written down, and they stay on the CPU."""


class Whereabouts:
    """Where networks rest, and that each is on the device whenever it runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **networks: Any) -> None:
        self.resting = {id(network): torch.device("cpu") for network in networks.values()}
        self.ran: set[str] = set()
        monkeypatch.setattr(memory, "move", lambda network, device: self.resting.update({id(network): device}))
        for name, network in networks.items():
            for part in (network, getattr(network, "decoder", None)):  # an autoencoder's forward does not run
                if part is not None:
                    part.register_forward_pre_hook(partial(self._check, name, id(network)))

    def _check(self, name: str, network: int, *_: Any) -> None:
        assert self.resting[network] == ELSEWHERE, f"{name} runs while it rests"
        self.ran.add(name)


@pytest.mark.slow
@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.id)
def test_no_rung_changes_the_picture(bases: dict[Family, Base], nets: Nets, rung: Rung) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    unet, control, vae = copy.deepcopy(base.network), copy.deepcopy(net), copy.deepcopy(base.vae)
    notes: list[str] = []
    if rung.layer_by_layer:
        offload_layers(unet, base.device)
        offload_layers(control, base.device)
    # The picture is smaller than a tile, but not than the autoencoder's own setting for one.
    memory.set_tiling(vae, rung.tiles_vae)
    made = generate(replace(base, network=unet, vae=vae, rung=rung), [control], REQUEST, on_note=notes.append)[0]
    np.testing.assert_array_equal(made, picture(base, net))
    assert notes == [rung.message] * bool(rung.message)
    assert bool(vae.use_tiling) == rung.tiles_vae


@pytest.mark.parametrize("rung", [rung for rung in LADDER if rung.rests_on_cpu], ids=lambda rung: rung.id)
def test_every_network_is_on_the_device_when_it_runs(
    bases: dict[Family, Base], nets: Nets, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = copy.deepcopy(bases["sd15"])
    networks = {
        "unet": base.network, "vae": base.vae, "text": base.text_encoders[0], "net": copy.deepcopy(nets["sd15"][0])
    }  # fmt: skip
    where = Whereabouts(monkeypatch, **networks)
    monkeypatch.setattr(pipeline, "on_device", lambda rung, device, modules: on_device(rung, ELSEWHERE, modules))
    monkeypatch.setattr(pipeline, "on_demand", lambda rests, device, *groups: on_demand(rests, ELSEWHERE, *groups))
    generate(replace(base, rung=rung), [networks["net"]], REQUEST)
    assert where.ran == set(networks)
    assert set(where.resting.values()) == {torch.device("cpu")}


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "runs"), [(1, 4), (2, 2), (3, 2), (10, 1)])
def test_residuals_are_used_again_between_the_turns(
    bases: dict[Family, Base], nets: Nets, count_runs: Callable[..., Counter[str]], interval: int, runs: int
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    counted = count_runs(middle=net.mid_block)
    made = picture(base, net, residual_interval=interval)
    assert counted["middle"] == runs
    exact = picture(base, net)
    assert (made == exact).all() == (interval == 1)


def test_ranges_and_curves_are_obeyed_between_the_turns(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    free = generate(base, [], request_for(guidance_scale=3))[0]
    silent = unit(strength_curve=((0, 0), (0.5, 0), (0.51, 0)))
    np.testing.assert_array_equal(picture(base, net, units=(silent,), residual_interval=2), free)
    # With one turn alone, a range that ends after it and one that does not differ by what is added between.
    short, long = (unit(control_guidance_end=end) for end in (0.25, 0.75))
    pair = [picture(base, net, units=(one,), residual_interval=10) for one in (short, long)]
    assert (pair[0] != pair[1]).any()


@pytest.mark.slow
def test_compiled_networks_obey_strength_and_range(bases: dict[Family, Base], nets: Nets) -> None:
    base = replace(bases["sd15"], network=tune(copy.deepcopy(bases["sd15"].network), "compiled", backend="eager"))
    net = tune(copy.deepcopy(nets["sd15"][0]), "compiled", backend="eager")
    blocks = [module for module in net.modules() if type(module).__name__ == "BasicTransformerBlock"]
    assert blocks and all(vars(block)["_compiled_call_impl"] for block in blocks)
    chosen: list[dict[str, Any]] = [
        {},
        {"conditioning_scale": 0.3},
        {"conditioning_scale": 0.0},
        {"control_guidance_end": 0.5},
    ]
    for values in chosen:
        expected = picture(bases["sd15"], nets["sd15"][0], units=(unit(**values),))
        made = picture(base, net, units=(unit(**values),))
        assert np.abs(made.astype(int) - expected).max() <= 1, values


def compiled_blocks(network: Any) -> list[str]:
    return [
        type(module).__name__ for module in network.modules() if vars(module).get("_compiled_call_impl") is not None
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["z_image", "qwen_image", "flux2"])
def test_compiled_transformers_make_the_same_picture(family: Family) -> None:
    base = tiny_base(family)
    request = GenerationRequest(prompt="a red ball", width=64, height=64, seed=1, num_inference_steps=2)
    expected = generate(base, [], request)[0]
    made = generate(replace(base, network=tune(base.network, "compiled", backend="eager")), [], request)[0]
    assert np.abs(made.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_of_every_family_are_compiled(family: Family) -> None:
    network = tiny_base(family).network
    assert not compiled_blocks(network)
    assert compiled_blocks(tune(network, "compiled", backend="eager"))


@pytest.mark.parametrize(
    "create",
    [
        tiny_flux_controlnet, tiny_qwen_image_controlnet, tiny_qwen_image_union, tiny_z_image_controlnet,
        lambda: tiny_controlnet(tiny_base("sdxl")), lambda: tiny_union(tiny_base("sdxl")),
    ],
)  # fmt: skip
def test_blocks_of_controlnets_are_compiled(create: Callable[[], Any]) -> None:
    assert compiled_blocks(tune(create(), "compiled", backend="eager"))


@pytest.mark.slow
def test_half_precision_is_close(bases: dict[Family, Base], nets: Nets) -> None:
    base = copy.deepcopy(bases["sd15"])
    for network in (base.network, base.vae, *base.text_encoders):
        torch.nn.Module.to(network, torch.bfloat16)
    net = tune(torch.nn.Module.to(copy.deepcopy(nets["sd15"][0]), torch.bfloat16), "near")
    made = picture(replace(base, dtype=torch.bfloat16, network=tune(base.network, "near")), net)
    error = made.astype(float) - picture(bases["sd15"], nets["sd15"][0])
    assert 10 * np.log10(255**2 / (error**2).mean()) > 25


@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_the_number_format_is_the_one_the_device_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, half: torch.dtype | None
) -> None:
    monkeypatch.setattr(devices, "half_precision", lambda device: half)
    assert choose_device("cpu") == (torch.device("cpu"), half or torch.float32)
    assert choose_device("cpu", "exact") == (torch.device("cpu"), torch.float32)


class Moves:
    """Counted moves of networks between the device and the computer's memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, base: Base, *nets: Any) -> None:
        self.names = {id(base.network): "unet", id(base.vae): "vae", id(base.text_encoders[0]): "text"}
        self.names |= {id(net): "net" for net in nets}
        self.made: list[str] = []
        monkeypatch.setattr(memory, "move", self._move)

    def _move(self, network: Any, device: torch.device) -> None:
        self.made.append(f"{self.names[id(network)]} {'in' if device != memory.CPU else 'out'}")

    def taken(self) -> list[str]:
        """Return the moves since the last call."""
        made, self.made = self.made, []
        return made


def test_a_second_picture_of_one_prompt_moves_only_what_runs_for_it(
    bases: dict[Family, Base], nets: Nets, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, net, cache = bases["sd15"], nets["sd15"][0], EncodingCache()
    moves = Moves(monkeypatch, base, net)
    monkeypatch.setattr(pipeline, "on_device", lambda rung, device, modules: on_device(rung, ELSEWHERE, modules))
    monkeypatch.setattr(pipeline, "on_demand", lambda rests, device, *groups: on_demand(rests, ELSEWHERE, *groups))
    offload = replace(base, rung=next(rung for rung in LADDER if rung.id == "model_offload"))
    generate(offload, [net], REQUEST, cache=cache)
    assert moves.taken() == [
        "net in", "net out", "text in", "text out", "unet in", "net in", "unet out", "net out", "vae in", "vae out",
    ]  # fmt: skip
    generate(offload, [net], REQUEST, cache=cache)
    assert moves.taken() == ["unet in", "net in", "unet out", "net out", "vae in", "vae out"]


@pytest.mark.parametrize("fits", [True, False])
def test_text_encoders_alone_leave_and_the_others_make_room_where_they_must(
    bases: dict[Family, Base], nets: Nets, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    base, net, cache = bases["sd15"], nets["sd15"][0], EncodingCache()
    expected = picture(base, net)
    moves = Moves(monkeypatch, base, net)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**9 if fits else 0)
    monkeypatch.setattr(pipeline, "on_demand", lambda rests, device, *groups: on_demand(rests, ELSEWHERE, *groups))
    resting = replace(base, rung=next(rung for rung in LADDER if rung.id == "text_offload"))
    made = generate(resting, [net], REQUEST, cache=cache)[0]
    np.testing.assert_array_equal(made, expected)
    room = [] if fits else ["unet out", "net out"]
    assert moves.taken() == [*room, "text in", "text out", *(["unet in", "net in"] if room else [])]
    generate(resting, [net], REQUEST, cache=cache)
    assert moves.taken() == []
