"""What networks made is found again, and forgotten with the network or where there is too much."""

from __future__ import annotations

import torch
from torch import nn

from cnet_app.diffusion.kept import Kept


def test_the_same_is_made_once() -> None:
    kept, network = Kept(), nn.Identity()
    made = [kept.get(network, key, lambda: torch.zeros(1)) for key in ("a", "b", "a")]
    assert made[0] is made[2]
    assert made[0] is not made[1]
    assert kept.get(nn.Identity(), "a", lambda: torch.ones(1)) == 1


def test_only_so_many_bytes_are_kept() -> None:
    kept, network = Kept(max_bytes=40), nn.Identity()
    first = kept.get(network, 0, lambda: (torch.zeros(5), torch.zeros(5)))
    assert kept.get(network, 0, lambda: (torch.zeros(1), torch.zeros(1))) is first
    for key in range(1, 4):
        kept.get(network, key, lambda: (torch.zeros(5), torch.zeros(5)))
    assert kept.get(network, 0, lambda: (torch.zeros(1), torch.zeros(1))) is not first


def test_what_an_unloaded_network_made_goes_with_it() -> None:
    kept = Kept()
    for _ in range(3):
        kept.get(nn.Identity(), "a", lambda: torch.zeros(1))
    assert len(vars(kept)["_made"]) == 1
