"""Devices by name, their number formats, and the base model to start with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.catalogue.catalog import entry
from models.errors import InputError
from models.loader import save_base
from models.machine.devices import BaseChoice, choose_device, default_base, parse_device
from models.tiny import tiny_base

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def give_machine(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, mps: bool = False) -> None:
    """A machine with these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("name", "gpus", "mps", "device"),
    [
        ("auto", 0, False, "cpu"),
        ("auto", 0, True, "mps"),
        ("auto", 2, False, "cuda"),
        ("cpu", 2, False, "cpu"),
        ("cpu:0", 0, False, "cpu"),
        ("mps", 0, True, "mps"),
        ("cuda", 1, False, "cuda"),
        ("cuda:0", 1, False, "cuda:0"),
        ("cuda:1", 2, False, "cuda:1"),
    ],
)
def test_a_device_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, mps: bool, device: str) -> None:
    give_machine(monkeypatch, gpus=gpus, mps=mps)
    assert parse_device(name) == torch.device(device)


@pytest.mark.parametrize(
    ("name", "gpus", "known"),
    [
        ("cuda", 0, "auto, cpu"),
        ("mps", 1, "auto, cpu, cuda"),
        ("cuda:abc", 1, "auto, cpu, cuda"),
        ("cuda:-1", 1, "auto, cpu, cuda"),
        ("cuda:1", 1, "auto, cpu, cuda"),
        ("cuda:9", 2, "auto, cpu, cuda:0, cuda:1"),
        ("cuda:99999999999999999999", 2, "auto, cpu, cuda:0, cuda:1"),
        ("cpu:1", 0, "auto, cpu"),
        ("xpu", 0, "auto, cpu"),
        ("", 0, "auto, cpu"),
    ],
)
def test_another_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, known: str) -> None:
    give_machine(monkeypatch, gpus=gpus)
    with pytest.raises(InputError) as refusal:
        parse_device(name)
    assert str(refusal.value) == f"The device is {name!r}, but this machine has: {known}."


@pytest.mark.parametrize(("multiplies", "fastest"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_takes_bfloat16_where_it_multiplies_it(
    multiplies: bool, fastest: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.machine.speed.cpu_multiplies_bfloat16", lambda: multiplies)
    assert choose_device("cpu") == (CPU, fastest)
    assert choose_device("cpu", "exact") == (CPU, torch.float32)


def test_a_gpu_takes_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    give_machine(monkeypatch, gpus=1)
    assert choose_device("auto") == (GPU, torch.float16)
    assert choose_device("auto", "exact") == (GPU, torch.float32)


def test_the_default_base_on_a_cpu_is_the_one_that_ships(monkeypatch: pytest.MonkeyPatch, own_folders: Path) -> None:
    save_base(tiny_base("sd15"), own_folders / "sd15")
    assert default_base(CPU) == BaseChoice("embedded", "there is no GPU that torch can use")
    give_machine(monkeypatch, gpus=1)
    assert default_base(CPU) == BaseChoice("embedded", "the device is the CPU")


def test_the_default_base_on_a_gpu_is_on_this_disk_or_an_offer(
    monkeypatch: pytest.MonkeyPatch, own_folders: Path
) -> None:
    give_machine(monkeypatch, gpus=1)
    missing = "there is a GPU, but Stable Diffusion 1.5 is not on this disk"
    assert default_base(GPU) == BaseChoice("embedded", f"{missing} and the app is offline")
    monkeypatch.delenv("CNET_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert default_base(GPU) == BaseChoice("embedded", missing, "Stable Diffusion 1.5 (2.13 GB) can be downloaded.")
    save_base(tiny_base("sd15"), own_folders / "sd15")
    chosen = default_base(GPU)
    assert (chosen.id, chosen.offer) == ("sd15", None)
    assert entry(chosen.id).kind == "base"
