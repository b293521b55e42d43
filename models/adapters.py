"""T2I-Adapters: small networks that turn a map into features for the U-Net's encoder, once for all steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.catalog import Family

ADAPTER = "T2IAdapter"
"""Their class in a config."""


def adapter_family(config: Mapping[str, Any]) -> Family:
    """SDXL's have a layout of their own and read squares of 16 pixels; all others were made for SD 1.5."""
    return "sdxl" if config.get("adapter_type") == "full_adapter_xl" or config.get("downscale_factor") == 16 else "sd15"
