"""Families by what tests need of them."""

from __future__ import annotations

from models.families import FAMILIES
from models.family_facts import Family

UNETS: tuple[Family, ...] = tuple(id for id, row in FAMILIES.items() if row.backbone == "unet")
"""Their bases, ControlNets and files are alike: see models.tiny.tiny_controlnet."""
