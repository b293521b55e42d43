"""Speed: the number format that a device is fast in, and networks laid out and compiled for it."""

from __future__ import annotations

from typing import Any

import torch

REPEATED = "TransformerBlock"
"""End of the class names of the blocks that networks repeat, in diffusers: each class is compiled once."""


def half_precision(device: torch.device) -> torch.dtype | None:
    """Return float16 for an NVIDIA GPU, bfloat16 for a CPU with AMX or AVX512-BF16; None where float32 is no slower."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and cpu_multiplies_bfloat16():
        return torch.bfloat16
    return None


def cpu_multiplies_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16; others are slower in it than in float32."""
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def tune(network: Any, speed: str, backend: str = "inductor") -> Any:
    """Return a base's network or a ControlNet at a speed: "exact" as it is, "near" laid out for half precision, "compiled" also compiled.

    Only repeated blocks are compiled: control weights and ranges are applied outside of them.
    """
    if speed != "exact" and network.dtype != torch.float32:
        network = torch.nn.Module.to(network, memory_format=torch.channels_last)
    if speed == "compiled":
        for module in network.modules():
            if type(module).__name__.endswith(REPEATED):
                module.compile(backend=backend)
    return network
