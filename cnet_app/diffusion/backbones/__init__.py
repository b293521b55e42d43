"""Families of base models, one file a kind of network. The loop knows the Protocol in base.py alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnet_app.diffusion.backbones.base import Backbone
from cnet_app.diffusion.backbones.chroma import ChromaBackbone
from cnet_app.diffusion.backbones.flux import FluxBackbone
from cnet_app.diffusion.backbones.flux2 import Flux2Backbone
from cnet_app.diffusion.backbones.qwen_image import QwenImageBackbone
from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.diffusion.backbones.z_image import ZImageBackbone
from models.families import FAMILIES
from models.family_facts import Backbone as BackboneId

if TYPE_CHECKING:
    from models.loader import Base

BACKBONES: Mapping[BackboneId, Callable[[Base], Backbone]] = MappingProxyType(
    {
        "unet": UNetBackbone,
        "z_image": ZImageBackbone,
        "flux": FluxBackbone,
        "chroma": ChromaBackbone,
        "flux2": Flux2Backbone,
        "qwen_image": QwenImageBackbone,
    }
)


def create_backbone(base: Base) -> Backbone:
    """Return the backbone of a loaded base, chosen by its family."""
    return BACKBONES[FAMILIES[base.family].backbone](base)
