"""Export of trained weights to the files that ship: fp16, in diffusers' folder layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, ControlNetModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from annotators.networks.scene_net import SceneNet, save_scene_net
from cnet_app.embedded.train.networks import create_scheduler
from cnet_app.embedded.train.stages.diffusion import Networks
from models.families import FAMILIES
from models.loader import Base, save_base, save_network


def as_base(networks: Networks, tokenizer: CLIPTokenizer, vae: AutoencoderTiny) -> Base:
    """Return U-Net, text, autoencoder and scheduler as a base for the pipeline, on the networks' device."""
    nn.Module.to(vae, networks.device)
    return Base(
        id="embedded",
        family="embedded",
        network=networks.unet,
        vae=vae,
        text_encoders=(networks.text_encoder,),
        tokenizers=(tokenizer,),
        scheduler=create_scheduler(),
        device=networks.device,
        dtype=torch.float32,
        vae_scale_factor=8,
        defaults=FAMILIES["embedded"].defaults,
    )


def export_base(folder: Path, networks: Networks, tokenizer: CLIPTokenizer, vae: AutoencoderTiny) -> None:
    """Write the base's folder."""
    save_base(as_base(networks, tokenizer, vae), folder)


def export_controlnet(folder: Path, controlnet: ControlNetModel) -> None:
    """Write the folder of one ControlNet."""
    save_network(controlnet, folder)


def export_annotator(folder: Path, state: dict[str, Tensor]) -> None:
    """Write the folder of the annotators' network."""
    network = SceneNet()
    network.load_state_dict(state)
    save_scene_net(network, folder)
