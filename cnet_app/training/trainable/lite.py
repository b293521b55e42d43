"""ControlNet-lite of the paper's ablation: convolutions alone in the place of the copied encoder. For experiments."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn
from torch.nn import functional as F

from cnet_app.request.training import Joint


class LiteLevel(nn.Module):
    """The convolutions of one resolution; its parts are named as a ControlNet's, for what counts its places."""

    def __init__(self, channels_in: int, channels: int, layers: int, downsamples: bool) -> None:
        super().__init__()
        widths = [channels_in, *[channels] * layers]
        self.resnets = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.downsamplers = nn.ModuleList([nn.Conv2d(channels, channels, 3, stride=2, padding=1)] * downsamples)

    def forward(self, hidden: Tensor) -> list[Tensor]:
        """Return the features after each convolution, from the first on."""
        found: list[Tensor] = []
        for layer in (*self.resnets, *self.downsamplers):
            hidden = F.silu(layer(hidden))
            found.append(hidden)
        return found


class LiteControl(ModelMixin, ConfigMixin):
    """Reads the map, neither the noisy picture nor the prompt nor the step. Its forward is that of ControlNetModel."""

    @register_to_config
    def __init__(
        self,
        in_channels: int,
        block_out_channels: tuple[int, ...],
        layers_per_block: int,
        conditioning_embedding_out_channels: tuple[int, ...],
        global_pool_conditions: bool = False,
        controlnet_conditioning_channel_order: str = "rgb",
    ) -> None:
        super().__init__()
        widths = block_out_channels
        self.controlnet_cond_embedding = ControlNetConditioningEmbedding(
            widths[0], block_out_channels=conditioning_embedding_out_channels
        )
        last = len(widths) - 1
        self.down_blocks = nn.ModuleList(
            LiteLevel(widths[max(level - 1, 0)], width, layers_per_block, level < last)
            for level, width in enumerate(widths)
        )
        places = [widths[0]]
        for level, width in enumerate(widths):
            places += [width] * (layers_per_block + (level < last))
        self.controlnet_down_blocks = nn.ModuleList(_zero(width) for width in places)
        self.controlnet_mid_block = _zero(widths[-1])

    @classmethod
    def from_unet(cls, unet: Any, hint_channels: tuple[int, ...], joint: Joint) -> LiteControl:
        """Return a fresh network for a U-Net."""
        create = cast(Any, cls)
        found: LiteControl = create(
            in_channels=unet.config["in_channels"],
            block_out_channels=tuple(unet.config["block_out_channels"]),
            layers_per_block=unet.config["layers_per_block"],
            conditioning_embedding_out_channels=hint_channels,
        )
        nn.init.kaiming_normal_(found.controlnet_cond_embedding.conv_out.weight)  # its only way into the network
        if joint == "gaussian":
            for convolution in (*found.controlnet_down_blocks, found.controlnet_mid_block):
                nn.init.xavier_normal_(cast(nn.Conv2d, convolution).weight)
        return found

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor,
        conditioning_scale: float = 1.0,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        return_dict: bool = False,
    ) -> tuple[list[Tensor], Tensor]:
        """Return the residuals of the skip connections and of the middle block, at strength `conditioning_scale`."""
        hidden = self.controlnet_cond_embedding(controlnet_cond)
        hidden = hidden.expand(len(sample), -1, -1, -1)
        found = [hidden]
        for level in self.down_blocks:
            found += level(found[-1])
        down = [join(one) * conditioning_scale for join, one in zip(self.controlnet_down_blocks, found, strict=True)]
        return down, self.controlnet_mid_block(found[-1]) * conditioning_scale


def _zero(channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, channels, 1)
    for value in convolution.parameters():
        nn.init.zeros_(value)
    return convolution
