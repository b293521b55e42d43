"""Families of base models, one file a kind of network. The loop knows the Protocol in base.py alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cnet_app.diffusion.backbones.base import Backbone, CreateBackbone
from models.families import FAMILIES

if TYPE_CHECKING:
    from models.loader import Base


def create_backbone(base: Base) -> Backbone:
    """Return the backbone of a loaded base, from the file that its family names."""
    file = import_module(f"{__name__}.{FAMILIES[base.family].backbone}")
    create: CreateBackbone = file.create
    return create(base)
