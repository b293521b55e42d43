"""Networks that a U-Net's control is trained in: the paper's ControlNet, a light one, and ControlNet-lite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cnet_app.request.training import TrainingPlan
from cnet_app.training.trainable.lite import LiteControl
from models.errors import InputError

HINT_CHANNELS, SMALL_HINT_CHANNELS = (16, 32, 96, 256), (8, 16, 32, 64)
"""Channels of the layers that read the map: the original's, and those for a base of few channels."""
SMALL = 128
"""Channels of a base's first level below which it counts as small."""
SMALL_GAIN = 1.8
"""With the usual start a map shrinks to a third in every layer, and a small network takes long to notice it."""
Factored = tuple[type[nn.Linear], type[nn.Conv2d]]


def create_network(unet: Any, plan: TrainingPlan) -> Any:
    """Return a new network for a base's U-Net, as the plan begins it; the same seed makes the same one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        if plan.network == "lite":
            return LiteControl.from_unet(unet, hint_channels(unet), joint=plan.joint)
        network: Any = ControlNetModel.from_unet(
            unet,
            conditioning_embedding_out_channels=hint_channels(unet),
            load_weights_from_unet=plan.initial == "copy",
        )
        if hint_channels(unet) == SMALL_HINT_CHANNELS:
            _spread(network.controlnet_cond_embedding)
        if plan.joint == "gaussian":
            fill_joints(network)
        if plan.network == "light":
            make_light(network, unet, plan.rank)
    return network


def hint_channels(unet: Any) -> tuple[int, ...]:
    """Return the channels of the layers that read the map, for a base of this width."""
    return SMALL_HINT_CHANNELS if unet.config["block_out_channels"][0] < SMALL else HINT_CHANNELS


def joints(network: Any) -> list[nn.Conv2d]:
    """Return the convolutions that are zero at the first step: between map and network, and between network and base."""
    return [
        network.controlnet_cond_embedding.conv_out,
        *network.controlnet_down_blocks,
        network.controlnet_mid_block,
    ]


def fill_joints(network: Any) -> None:
    """Give Gaussian weights to the zero convolutions: the paper's ablation."""
    for convolution in joints(network):
        nn.init.xavier_normal_(convolution.weight)


def _spread(embedding: Any) -> None:
    for convolution in (embedding.conv_in, *embedding.blocks):
        nn.init.orthogonal_(convolution.weight, gain=SMALL_GAIN)
        nn.init.zeros_(convolution.bias)


class LowRank(nn.Module):
    """A weight plus the product of two factors, of which `up` is zero at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rank = min(rank, len(weight), weight[0].numel())
        ones = [1] * (weight.ndim - 2)
        self.up = nn.Parameter(torch.zeros(len(weight), rank, *ones))
        self.down = nn.Parameter(torch.empty(rank, *weight.shape[1:]))
        nn.init.kaiming_uniform_(self.down.flatten(1), a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with the product added."""
        product = self.up.flatten(1) @ self.down.flatten(1)
        return weight + product.reshape(weight.shape)


def make_light(network: Any, unet: Any, rank: int) -> None:
    """Lock a copy of the base, on the base's own memory, and train low-rank factors on it and the layers that read the map.

    The zero convolutions are factors too: whole, they would be two thirds of the file.
    """
    _share_weights(network, unet)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d) and not name.startswith("controlnet_cond_embedding."):
            layer.requires_grad_(False)
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    for name, value in network.named_parameters():
        value.requires_grad_(name.startswith("controlnet_cond_embedding.") or name.endswith((".up", ".down")))


def _share_weights(network: Any, unet: Any) -> None:
    own = unet.state_dict()
    for name, value in network.named_parameters():
        if name in own and own[name].shape == value.shape:
            value.data = own[name]


def low_rank_layers(network: Any) -> Iterator[tuple[str, LowRank]]:
    """Yield the factored layers of a light network, by name."""
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            yield name, layer.parametrizations.weight[0]


def check_start(network: Any, unet: Any, id: str) -> None:
    """Raise InputError where a loaded network cannot be trained on as it is."""
    if not isinstance(network, ControlNetModel):
        raise InputError(f"start is {id!r}, which is no plain ControlNet; choose one, or leave start out.")
    if network.config["in_channels"] != unet.config["in_channels"]:
        raise InputError(
            f"start is {id!r}, which reads {network.config['in_channels']} channels, but the base has "
            f"{unet.config['in_channels']}; choose another base."
        )
