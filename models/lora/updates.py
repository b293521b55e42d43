"""Kinds of updates in LoRA files: what each makes of a layer's weights.

Formulas are those of LoRA (arXiv 2106.09685), LyCORIS (LoHa, LoKr, Tucker, arXiv 2309.14859), DoRA (arXiv 2402.09353), OFT
(arXiv 2306.07280) and BOFT (arXiv 2311.06243). Weights are (out, in), with the kernel behind where a layer is a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["low_rank", "hadamard", "kronecker", "full", "rotation", "none"]
Tensors = Mapping[str, Tensor]


class PartsError(ValueError):
    """The parts of a layer make no update: the reason, as a clause."""


@dataclass(frozen=True, eq=False)
class Update:
    """The update of one layer's weights."""

    kind: Kind
    tensors: Tensors
    """By part, as in the formulas below; `magnitude` and `bias` may come with every kind."""
    scale: float = 1.0

    @property
    def is_low_rank(self) -> bool:
        """Whether it is `scale x up @ down` and nothing else, which can run next to the layer."""
        return self.kind == "low_rank" and set(self.tensors) == {"down", "up"}

    @property
    def down(self) -> Tensor:
        """(rank, channels in), with the kernel where the layer is a convolution."""
        return self.tensors["down"]

    @property
    def up(self) -> Tensor:
        """(channels out, rank), or (channels out, rank, 1, 1)."""
        return self.tensors["up"]

    @property
    def rank(self) -> int:
        return len(self.down)

    @property
    def channels_in(self) -> int | None:
        """Channels that the layer reads; None where the update does not show them."""
        found = self.tensors
        match self.kind:
            case "low_rank":
                return self.down.shape[1]
            case "hadamard":
                return found["w1_b"].shape[1]
            case "kronecker":
                return _factor(found, 1).shape[1] * _factor(found, 2).shape[1]
            case "full":
                return found["diff"].shape[1]
            case _:
                return None

    def split(self, rows: Sequence[int]) -> tuple[Update, ...]:
        """Return the updates of the layers that are one in the file, by the rows of each in turn; () where they do not fit."""
        if len(rows) == 1:
            return (self,)
        cut = {*_ROWS.get(self.kind, ()), "bias", "magnitude"} & self.tensors.keys()
        if self.kind not in _ROWS or "t1" in self.tensors or any(len(self.tensors[name]) != sum(rows) for name in cut):
            return ()
        shares = {name: self.tensors[name].split(list(rows)) for name in cut}
        return tuple(
            Update(self.kind, {**self.tensors, **{name: share[place] for name, share in shares.items()}}, self.scale)
            for place in range(len(rows))
        )

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether it can change weights of this shape; the formulas run on shapes alone."""
        meta = {name: tensor.to("meta") for name, tensor in self.tensors.items()}
        weights = torch.empty(tuple(shape), device="meta")
        reads = self.channels_in if self.kind in ("low_rank", "full") else None
        try:
            change = weights if self.kind == "none" else _CHANGES[self.kind](meta, weights)
            changed(self.kind, meta, self.scale, weights)
        except (RuntimeError, ValueError, IndexError):
            return False
        rows = len(change) == shape[0] and reads in (None, shape[1])
        return rows and ("bias" not in meta or meta["bias"].numel() == shape[0])


_ROWS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {"low_rank": ("up",), "full": ("diff",), "hadamard": ("w1_a", "w2_a")}
)
"""Parts that have the layer's rows, of the kinds that can be cut between them."""


def changed(kind: Kind, tensors: Tensors, scale: float, weights: Tensor) -> Tensor:
    """Return the weights of a layer after an update at full weight, in their number format."""
    new = weights if kind == "none" else weights + scale * _CHANGES[kind](tensors, weights).reshape(weights.shape)
    return _with_magnitude(new, tensors["magnitude"]) if "magnitude" in tensors else new


def merged_middle(middle: Tensor, down: Tensor) -> Tensor:
    """Return (rank, in, h, w): the first two of Tucker's three factors, (rank, r, h, w) and (r, in, 1, 1), as one."""
    if middle.ndim != 4 or middle.shape[1] != len(down):
        raise PartsError("their ranks differ")
    return torch.einsum("pqhw,qi->pihw", middle.float(), down.flatten(1).float())


def rotations(blocks: Tensor, constraint: float) -> Tensor:
    """Return the rotations of OFT's (…, blocks, size, size) parameters, by Cayley's transform.

    A `constraint` above 0 bounds the norm of all of a layer's parameters.
    """
    skew = (blocks - blocks.mT).float()
    if constraint > 0:
        skew = skew * (constraint / skew.norm().clamp(min=1e-8)).clamp(max=1.0)
    one = torch.eye(blocks.shape[-1])
    return (one + skew) @ torch.linalg.inv(one - skew)


def _low_rank(parts: Tensors, weights: Tensor) -> Tensor:
    return parts["up"].flatten(1).to(weights) @ parts["down"].flatten(1).to(weights)


def _hadamard(parts: Tensors, weights: Tensor) -> Tensor:
    """LoHa: the product, number by number, of two products of two factors."""
    return _product(parts, "w1", "t1", weights) * _product(parts, "w2", "t2", weights)


def _kronecker(parts: Tensors, weights: Tensor) -> Tensor:
    """LoKr: every number of the first matrix times the whole second one."""
    one, two = _factor(parts, 1).to(weights), _factor(parts, 2).to(weights)
    return torch.kron(one.reshape(*one.shape, *[1] * (two.ndim - one.ndim)), two.contiguous())


def _full(parts: Tensors, weights: Tensor) -> Tensor:
    return parts["diff"].to(weights)


def _rotation(parts: Tensors, weights: Tensor) -> Tensor:
    """OFT (three dimensions) turns blocks of neighbouring outputs, BOFT (four) in several rounds also distant ones."""
    turns = parts["rotation"].to(weights)
    flat = weights.flatten(1)
    if turns.ndim == 3:
        turned = torch.einsum("kij,kic->kjc", turns, flat.reshape(len(turns), -1, flat.shape[1])).flatten(0, 1)
    else:
        turned = flat
        for number, turn in enumerate(turns):
            turned = _butterfly(turn, turned, 2**number * (turn.shape[-1] // 2))
    if "rescale" in parts:
        turned = turned * parts["rescale"].to(weights).reshape(-1, 1)
    return turned.reshape(weights.shape) - weights


_CHANGES: Mapping[Kind, Callable[[Tensors, Tensor], Tensor]] = MappingProxyType(
    {"low_rank": _low_rank, "hadamard": _hadamard, "kronecker": _kronecker, "full": _full, "rotation": _rotation}
)
"""What is added to the weights, before its scale."""


def _butterfly(turn: Tensor, flat: Tensor, distance: int) -> Tensor:
    """Turn the rows of (out, channels) in blocks that hold rows `distance` apart."""
    channels = flat.shape[1]
    pairs = flat.reshape(-1, 2, distance, channels).transpose(1, 2)
    blocks = pairs.reshape(len(turn), -1, channels)
    turned = torch.einsum("kij,kjc->kic", turn, blocks)
    return turned.reshape(-1, distance, 2, channels).transpose(1, 2).reshape(-1, channels)


def _product(parts: Tensors, name: str, core: str, weights: Tensor) -> Tensor:
    """Return (out, in …): two factors' product, or with a core the three of Tucker."""
    one, two = parts[f"{name}_a"].to(weights), parts[f"{name}_b"].to(weights)
    if core in parts:
        return torch.einsum("pqhw,po,qi->oihw", parts[core].to(weights), one, two)
    return one @ two


def _factor(parts: Tensors, number: int) -> Tensor:
    """Return one of LoKr's two matrices: as it is, or as a product."""
    name = f"k{number}"
    if name in parts:
        return parts[name]
    return _product(parts, name, f"kt{number}", torch.empty(0, device=parts[f"{name}_a"].device))


def _with_magnitude(weights: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA: the norms of all rows, (out, 1 …) or (out,), or of all columns, (1, in …), are parameters of their own."""
    by_column = magnitude.ndim > 1 and len(magnitude) == 1 != len(weights)
    flat = weights.transpose(0, 1) if by_column else weights
    shape = (len(flat), *[1] * (weights.ndim - 1))
    norms = flat.flatten(1).norm(dim=1).reshape(shape).clamp(min=torch.finfo(weights.dtype).tiny)
    scaled = flat * (magnitude.to(weights).reshape(shape) / norms)
    return scaled.transpose(0, 1) if by_column else scaled


def rank_of(kind: Kind, parts: Tensors) -> int | None:
    """Return the rank by which an update's alpha is divided; None where it has none, so that its scale is 1."""
    match kind:
        case "low_rank":
            return len(parts["down"])
        case "hadamard":
            return len(parts["w1_b"])
        case "kronecker":
            return next((len(parts[name]) for name in ("k2_b", "k1_b") if name in parts), None)
        case _:
            return None


def constrained(alpha: float, out: int) -> float:
    """Return OFT's bound on a layer's parameters, which its alpha gives for each output."""
    return max(alpha, 0.0) * out
