"""Networks of full size whose weights are random, and yet need little room in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

LARGE = 50_000
"""Numbers of a tensor above which all that belong to one output channel are the same."""


def thin(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give the network random weights that `save_thin` stores in few numbers, and return it ready to run."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim < 2:
                value.normal_(0, 0.1)
            elif value.numel() > LARGE:
                value.copy_(torch.randn(len(value), *[1] * (value.ndim - 1)) * 2 / value[0].numel())
            else:
                value.normal_(0, 1.4 / value[0].numel() ** 0.5)
    return network.eval().requires_grad_(False)


def save_thin(state: Mapping[str, Any], path: Path, wrapper: str = "") -> None:
    """Save a state dict, in a checkpoint under the name `wrapper` where one is given."""
    small = {name: _thinned(value) for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({wrapper: small} if wrapper else small, path)


def _thinned(value: torch.Tensor) -> torch.Tensor:
    if value.ndim < 2:
        return value.clone()
    first = value.flatten(1)[:, 0].clone().view(-1, *[1] * (value.ndim - 1)).expand(value.shape)
    return first if torch.equal(first, value) else value.clone()
