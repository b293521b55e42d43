"""Networks of every family that wait in the computer's memory are on the device whenever they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from cnet_app.diffusion import pipeline
from cnet_app.diffusion.pipeline import generate
from models.layouts.union import UnionInput, module_of
from models.loader import Base
from models.machine import memory
from models.machine.ladder import LADDER, Rung
from models.machine.memory import on_demand, on_device
from models.references import NoNetwork
from models.tiny import tiny_base
from models.tiny.flux import tiny_flux_controlnet
from models.tiny.qwen_image import tiny_qwen_image_union
from models.tiny.unets import tiny_adapter, tiny_union
from models.tiny.z_image import tiny_z_image_controlnet
from tests.diffusion.conftest import request_for, unit

ELSEWHERE = torch.device("meta")
NETS: dict[str, Callable[[Base], Any]] = {
    "sd15": lambda base: tiny_adapter(),
    "sdxl": lambda base: UnionInput(tiny_union(base), 3),
    "z_image": lambda base: tiny_z_image_controlnet(),
    "flux": lambda base: tiny_flux_controlnet(),
    "chroma": lambda base: tiny_flux_controlnet(),
    "flux2": lambda base: NoNetwork(),
    "qwen_image": lambda base: tiny_qwen_image_union(),
    "sd3": lambda base: None,
}


@pytest.mark.parametrize("rung", [rung for rung in LADDER[1:] if not rung.layer_by_layer], ids=lambda rung: rung.id)
@pytest.mark.parametrize("family", NETS)
def test_networks_are_on_the_device_when_they_run(family: str, rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base(family)
    net: Any = NETS[family](base)
    here, ran = dict[int, bool](), set[str]()
    networks = {"network": base.network, "vae": base.vae, "net": module_of(net)}
    networks |= {f"text {number}": encoder for number, encoder in enumerate(base.text_encoders)}

    def check(name: str, network: int, *_: Any) -> None:
        assert here[network], f"{name} runs while it rests"
        ran.add(name)

    for name, network in networks.items():
        if network is None or isinstance(network, NoNetwork):
            continue
        here[id(network)] = not (rung.rests_on_cpu or (rung.encoders_rest and name.startswith("text")))
        for part in network.modules():
            if not list(part.children()):
                part.register_forward_pre_hook(partial(check, name, id(network)))
    monkeypatch.setattr(memory, "move", lambda network, device: here.update({id(network): device == ELSEWHERE}))
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    monkeypatch.setattr(pipeline, "on_device", lambda rung, device, modules: on_device(rung, ELSEWHERE, modules))
    monkeypatch.setattr(pipeline, "on_demand", lambda rests, device, *groups: on_demand(rests, ELSEWHERE, *groups))
    nets: list[Any] = [] if net is None else [net]
    generate(replace(base, rung=rung), nets, request_for(*[unit() for _ in nets], num_inference_steps=2))
    assert {"network", "vae", *(name for name in networks if name.startswith("text"))} <= ran
