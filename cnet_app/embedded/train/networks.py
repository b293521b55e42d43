"""The networks of the embedded model, fresh."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from cnet_app.embedded.train.autoencoder import LATENT_CHANNELS
from cnet_app.embedded.train.grounding import watch
from cnet_app.embedded.train.text import WIDTH as TEXT_WIDTH

CHANNELS = (48, 96, 128, 128)
HINT_CHANNELS = (8, 16, 32, 64)
"""Few at the map's full size, where every channel costs most."""
HEADS = 4
"""Of the attention; diffusers takes their number as `attention_head_dim`. Many narrow ones cannot tell words apart."""
Network = TypeVar("Network", UNet2DConditionModel, ControlNetModel)


def create_unet() -> UNet2DConditionModel:
    """Attention, to itself and to the words, on the two lowest levels, where it is cheap, and once more on the way up."""
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
    """Stable Diffusion's betas with zero terminal SNR: the first step starts from pure noise and must not know more."""
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
    """The paper's: a copy of encoder and middle block, joined by zero convolutions.

    The hint's embedding starts orthogonal: with the usual start a hint fades to a third in every layer.
    """
    controlnet: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)
    embedding = controlnet.controlnet_cond_embedding
    for convolution in (embedding.conv_in, *embedding.blocks):
        nn.init.orthogonal_(convolution.weight, gain=1.8)
        nn.init.zeros_(convolution.bias)
    return for_training(controlnet)


def open_zero_convolutions(controlnet: ControlNetModel, gain: float = 0.3) -> None:
    """Start joined instead of silent: for training beside a base that is itself still fresh."""
    joints: list[Any] = [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]
    joints.append(controlnet.controlnet_cond_embedding.conv_out)
    for convolution in joints:
        nn.init.xavier_normal_(convolution.weight, gain=gain)


def for_training(network: Network) -> Network:
    """Plain attention: its backward pass is twice as fast on a CPU as the fused one's; that to the words is watched."""
    if not torch.cuda.is_available():
        network.set_attn_processor(AttnProcessor())
    watch(network)
    nn.Module.to(network, memory_format=torch.channels_last)
    return network
