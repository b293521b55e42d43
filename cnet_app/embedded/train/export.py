"""Training checkpoints to the files that ship: fp16, diffusers' folder layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, ControlNetModel
from torch import Tensor
from transformers import CLIPTokenizer

from annotators.scene_net import SceneNet, save_scene_net
from cnet_app.embedded.train.diffusion import Networks
from cnet_app.embedded.train.networks import create_scheduler
from models.loader import Base, family_defaults, save_base, save_network


def as_base(networks: Networks, tokenizer: CLIPTokenizer, vae: AutoencoderTiny) -> Base:
    """U-Net, words, autoencoder and scheduler as the base that the pipeline takes."""
    return Base(
        id="embedded",
        family="embedded",
        unet=networks.unet,
        vae=vae,
        text_encoders=(networks.text_encoder,),
        tokenizers=(tokenizer,),
        scheduler=create_scheduler(),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=8,
        defaults=family_defaults("embedded"),
    )


def export_base(folder: Path, networks: Networks, tokenizer: CLIPTokenizer, vae: AutoencoderTiny) -> None:
    """The base's folder."""
    save_base(as_base(networks, tokenizer, vae), folder)


def export_controlnet(folder: Path, controlnet: ControlNetModel) -> None:
    """One ControlNet folder."""
    save_network(controlnet, folder)


def export_annotator(folder: Path, state: dict[str, Tensor]) -> None:
    """The annotators' network."""
    network = SceneNet()
    network.load_state_dict(state)
    save_scene_net(network, folder)
