"""The networks of the embedded model, with fresh weights."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn

from cnet_app.embedded.train.stages.autoencoder import LATENT_CHANNELS
from cnet_app.embedded.train.stages.grounding import record_attention
from cnet_app.embedded.train.text import WIDTH as TEXT_WIDTH

CHANNELS = (48, 96, 128, 128)
HINT_CHANNELS = (8, 16, 32, 64)
"""Channels of the hint's embedding: few at the map's full size, where each costs most."""
HEADS = 4
"""Attention heads; diffusers takes their number as `attention_head_dim`. Many narrow ones cannot distinguish words."""
Network = TypeVar("Network", UNet2DConditionModel, ControlNetModel)


def create_unet() -> UNet2DConditionModel:
    """Return a U-Net with attention on the two lowest levels, where it is cheap, and on three levels of the way up."""
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=16,
    )
    return for_training(unet)


def create_scheduler() -> DDIMScheduler:
    """Return Stable Diffusion's betas with zero terminal SNR, for the first step starts from pure noise."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def create_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """Return the paper's ControlNet: a copy of encoder and middle block, connected by zero convolutions.

    The hint's embedding starts orthogonal: with the usual start a hint shrinks to a third in every layer.
    """
    controlnet: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    embedding = controlnet.controlnet_cond_embedding
    for convolution in (embedding.conv_in, *embedding.blocks):
        nn.init.orthogonal_(convolution.weight, gain=1.8)
        nn.init.zeros_(convolution.bias)
    return for_training(controlnet)


def open_zero_convolutions(controlnet: ControlNetModel, gain: float = 0.3) -> None:
    """Replace the zeros of the connecting convolutions, for training together with a base that is itself fresh."""
    joints: list[Any] = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
    joints.append(controlnet.controlnet_cond_embedding.conv_out)
    for convolution in joints:
        nn.init.xavier_normal_(convolution.weight, gain=gain)


def for_training(network: Network) -> Network:
    """Prepare a network for training on a CPU, and let it record its attention to the words."""
    attend_for_training(network, torch.device("cpu"))
    nn.Module.to(network, memory_format=torch.channels_last)
    return network


def attend_for_training(network: nn.Module, device: torch.device) -> None:
    """Set every attention for a device: fused on CUDA, else plain, whose backward pass is twice as fast on a CPU.

    Attention to the words is always plain and recorded.
    """
    for module in network.modules():
        if isinstance(module, UNet2DConditionModel | ControlNetModel):
            module.set_attn_processor(AttnProcessor2_0() if device.type == "cuda" else AttnProcessor())
    record_attention(network)
