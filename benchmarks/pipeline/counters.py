"""Counters of a run that no other load on the machine can change: calls, pictures, FLOPs, latents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks.pipeline.models import Models

PARTS = ("unet", "controlnet", "hint", "text", "vae")
"""U-Net, ControlNet, its hint encoder, text encoder, the autoencoder's decoder."""
CPU_ATTENTION: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
CPU_ATTENTION_BACK: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
"""torch knows the FLOPs of a GPU's attention alone; the formulas are the same."""


@dataclass
class Counted:
    """Filled while the run goes on."""

    counts: Counter[str] = field(default_factory=lambda: Counter[str]())
    """"flops" in all; for each part, as in "unet calls": calls, rows (the calls' batch sizes, summed) and flops.

    "denoising flops" are all but the text encoder's and the decoder's: what grows with the steps.
    """
    latents: list[Tensor] = field(default_factory=lambda: list[Tensor]())
    """(B, C, h, w) each, as they reached the decoder."""


@contextmanager
def counting(models: Models) -> Generator[Counted]:
    """Counts what runs inside. The networks' hooks are gone again afterwards."""
    counted = Counted()
    flops = flop_counter()
    networks = (
        models.base.network,
        models.controlnet,
        models.controlnet.controlnet_cond_embedding,
        models.base.text_encoders[0],
        models.base.vae.decoder,
    )
    hooks = [
        hook for part, network in zip(PARTS, networks, strict=True) for hook in _watch(part, network, counted, flops)
    ]
    hooks.append(models.base.vae.post_quant_conv.register_forward_pre_hook(_keeper(models, counted)))
    try:
        with flops:
            yield counted
        counts = counted.counts
        counts["flops"] = flops.get_total_flops()
        counts["denoising flops"] = counts["flops"] - counts["text flops"] - counts["vae flops"]
    finally:
        for hook in hooks:
            hook.remove()


def flop_counter() -> FlopCounterMode:
    """Return a counter that knows the attention of a CPU too."""
    known = {CPU_ATTENTION: _attention_flops, CPU_ATTENTION_BACK: _attention_back_flops}
    return FlopCounterMode(display=False, custom_mapping=known)


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_back_flops(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


def _watch(part: str, network: nn.Module, counted: Counted, flops: FlopCounterMode) -> list[Any]:
    before: list[int] = []

    def begin(*_: Any) -> None:
        before.append(flops.get_total_flops())

    def end(_: nn.Module, inputs: tuple[Any, ...], given: dict[str, Any], __: Any) -> None:
        batch = inputs[0] if inputs else next(iter(given.values()))
        counted.counts[f"{part} calls"] += 1
        counted.counts[f"{part} rows"] += len(batch)
        counted.counts[f"{part} flops"] += flops.get_total_flops() - before.pop()

    return [network.register_forward_pre_hook(begin), network.register_forward_hook(end, with_kwargs=True)]


def _keeper(models: Models, counted: Counted) -> Callable[..., None]:
    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        counted.latents.append(inputs[0].float() * models.base.vae.config["scaling_factor"])

    return keep
