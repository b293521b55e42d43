"""Muon for inner matrices, AdamW for the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnet_app.embedded.train.optimizer import Muon, Optimizer


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 16, 3, padding=1)
        self.inner = nn.Conv2d(16, 32, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(torch.relu(self.conv_in(x)))


def small() -> Small:
    torch.manual_seed(0)
    module = Small()
    nn.Module.to(module, memory_format=torch.channels_last)
    return module


def learn(optimizer: Optimizer, loss: torch.Tensor, rate: float) -> None:
    optimizer.backward(loss)
    optimizer.update(rate)


def test_an_inner_matrix_moves_equally_in_every_direction() -> None:
    module = small()
    before = module.inner.weight.detach().clone()
    learn(Optimizer(module, weight_decay=0), module(torch.randn(4, 3, 8, 8)).square().mean(), 1e-2)
    change = (module.inner.weight.detach() - before).permute(0, 2, 3, 1).flatten(1)
    lengths = torch.linalg.svdvals(change)
    assert lengths.min() > 0.4 * lengths.max()
    assert change.square().mean().sqrt() == pytest.approx(0.2 * 1e-2, rel=0.3)


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_it_moves_as_the_librarys_muon_does_to_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(3, *shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    muon = Muon([ours], weight_decay=0.1)
    library = torch.optim.Muon([theirs], lr=1e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        muon.step()
        library.step()
    assert (ours - theirs).norm() < 0.02 * (theirs - start).norm()


def test_both_optimisers_lower_the_loss() -> None:
    module, image = small(), torch.randn(4, 3, 8, 8)
    target = Small()(image).detach()
    optimizer = Optimizer(module)
    first = {name: value.detach().clone() for name, value in module.named_parameters()}
    losses = []
    for _ in range(40):
        loss = (module(image) - target).square().mean()
        losses.append(loss.item())
        learn(optimizer, loss, 3e-3)
    assert losses[-1] < 0.5 * losses[0]
    assert not any(torch.equal(value, first[name]) for name, value in module.named_parameters())


def test_what_is_locked_stays() -> None:
    module = small()
    module.inner.requires_grad_(False)
    before = module.inner.weight.detach().clone()
    learn(Optimizer(module), module(torch.randn(1, 3, 8, 8)).square().mean(), 1e-2)
    assert torch.equal(module.inner.weight, before)
    assert not torch.equal(module.conv_in.weight, small().conv_in.weight)


@pytest.mark.parametrize("factor", [1.0, 1e4])
def test_gradients_are_clipped_and_their_length_is_returned(factor: float) -> None:
    module = small()
    optimizer = Optimizer(module)
    length = optimizer.backward(factor * module(torch.ones(1, 3, 8, 8)).square().mean())
    clipped = torch.stack([value.grad.norm() for value in module.parameters() if value.grad is not None]).norm()
    assert clipped.item() == pytest.approx(min(length, 1.0), rel=1e-3)
    assert (length > 1) == (factor > 1)


def test_refuses_memory_it_cannot_share() -> None:
    with pytest.raises(ValueError, match="channels_last"):
        Optimizer(Small())
