"""Description of the machine that the figures were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

LIBRARIES = ("torch", "diffusers", "transformers")
FLAGS = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")
"""Of a CPU, those that decide how fast it multiplies."""


@dataclass(frozen=True)
class Machine:
    """Processor, system and libraries, as torch and the system report them."""

    cpu: str
    flags: str
    cores: int
    threads: int
    """That torch computes with."""
    versions: str


def this_machine() -> Machine:
    """Of the process that asks."""
    found: Mapping[str, Any] = torch.cpu.get_capabilities()
    return Machine(
        cpu=found.get("cpu_name") or platform.processor() or platform.machine(),
        flags=" ".join(flag for flag in FLAGS if found.get(flag)),
        cores=os.cpu_count() or 0,
        threads=torch.get_num_threads(),
        versions=", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)]),
    )
