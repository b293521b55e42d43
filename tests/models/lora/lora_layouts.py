"""Layouts of LoRAs: one layer of low rank, under the names of each program."""

from __future__ import annotations

import torch
from torch import Tensor

RANK, WEIGHT, ALPHA = 3, 0.7, 6.0
State = dict[str, Tensor]


def pair(out: int, channels: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return random weights that read and write so many channels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((RANK, channels), generator=generator), torch.randn((out, RANK), generator=generator) / 4


def library(layer: str, down: Tensor, up: Tensor) -> State:
    """diffusers and peft."""
    return {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}


def kohya(layer: str, down: Tensor, up: Tensor) -> State:
    """kohya's scripts, which also write a scale."""
    name = f"lora_unet_{layer.replace('.', '_')}"
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(ALPHA)}


def dotted(layer: str, down: Tensor, up: Tensor) -> State:
    """Other programs."""
    return {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}
