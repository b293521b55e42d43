"""The choice of a rung, and equal pictures on every rung."""

from __future__ import annotations

import copy

import pytest
import torch

from models.machine import memory
from models.machine.ladder import CPU_LADDER, LADDER, Rung, choose_rung, needed_bytes, next_rung
from models.machine.memory import free_bytes, module_bytes, offload_layers, on_device, storage_bytes
from models.references import NoNetwork
from models.tiny import tiny_base

SD15 = {"text": 246_000_000, "denoiser": 2_442_000_000, "vae": 167_000_000}
"""Bytes of Stable Diffusion 1.5 with one ControlNet in float16."""
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("free_gb", "device", "rung"),
    [(8, CUDA, "full"), (4.2, CUDA, "text_offload"), (4, CUDA, "tiled_vae"), (3.3, CUDA, "model_offload"), (2, CUDA, "sequential_offload"),
     (0.1, CUDA, "sequential_offload"), (8, CPU, "full"), (3.6, CPU, "tiled_vae"), (0.1, CPU, "tiled_vae")],
)  # fmt: skip
def test_the_smallest_change_that_fits_is_chosen(free_gb: float, device: torch.device, rung: str) -> None:
    assert choose_rung(device.type, int(free_gb * 1e9), SD15, 768 * 768, 2).id == rung


def test_maps_that_the_base_reads_take_as_much_as_the_picture() -> None:
    plain, one, two = (needed_bytes(LADDER[-1], SD15, 1024 * 1024, 2, maps) for maps in (0, 1, 2))
    assert plain == one - 1024 * 1024 * 400 * 2 == two - 1024 * 1024 * 400 * 4


def test_every_rung_but_the_first_tells_what_it_costs() -> None:
    assert [bool(rung.message) for rung in LADDER] == [False, True, True, True, True]
    assert next_rung(LADDER[-1], CUDA.type) is None
    assert [rung.id for rung in CPU_LADDER] == ["full", "tiled_vae"] and next_rung(CPU_LADDER[-1], CPU.type) is None


def test_bytes_are_those_of_all_tensors() -> None:
    assert module_bytes([torch.nn.Linear(3, 2)]) == 4 * (3 * 2 + 2)
    assert 0 < free_bytes(CPU) < 10**13


def test_a_storage_counts_once_in_whatever_networks_it_is() -> None:
    one, other = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 2, bias=False)
    other.weight.data = one.weight.data[:2]
    assert module_bytes([one, other]) == module_bytes([one]) == 4 * 16
    assert storage_bytes([one]) == storage_bytes([other])
    with torch.device("meta"):
        assert module_bytes([torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]) == 2 * 4 * (3 * 2 + 2)


def test_a_network_that_comes_layer_by_layer_gives_the_same_numbers() -> None:
    unet = tiny_base("sd15").network
    inputs = (torch.ones(1, 4, 8, 8), 3, torch.ones(1, 16, 16))
    whole = unet(*inputs).sample
    lazy = copy.deepcopy(unet)
    offload_layers(lazy, CPU)
    assert all(parameter.is_meta for parameter in lazy.parameters())
    with on_device(LADDER[-1], CPU, [lazy]):
        assert torch.equal(lazy(*inputs).sample, whole)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.id)
def test_networks_of_a_stage_come_to_the_device_where_they_rest_elsewhere(
    rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[torch.device] = []
    monkeypatch.setattr(memory, "move", lambda module, device: moves.append(device))
    linear = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with on_device(rung, CUDA, [linear]):
        assert moves == ([CUDA] if rung.rests_on_cpu else [])
    assert moves == ([CUDA, CPU] if rung.rests_on_cpu else [])
    with pytest.raises(ZeroDivisionError), on_device(rung, CUDA, [linear]):
        _ = 1 / 0
    assert moves == ([CUDA, CPU] * 2 if rung.rests_on_cpu else [])


def test_what_has_no_weights_or_is_named_twice_moves_no_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[object] = []
    monkeypatch.setattr(memory, "move", lambda module, device: moved.append(module))
    linear = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with on_device(LADDER[3], CUDA, [NoNetwork(), linear, linear]):
        assert moved == [linear]


def test_a_network_moves_in_place() -> None:
    linear = torch.nn.Linear(2, 2)
    memory.move(linear, torch.device("meta"))
    assert linear.weight.is_meta
