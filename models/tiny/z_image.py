"""Miniatures of Z-Image's ControlNets: see models.tiny."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ZImageControlNetModel

_TRANSFORMER: dict[str, Any] = {"dim": 32, "n_refiner_layers": 2, "n_heads": 2, "n_kv_heads": 2}
_CONTROL_LAYOUTS: dict[str, dict[str, Any]] = {
    "1": {"control_layers_places": [0, 2], "control_in_dim": 16},
    "2.0": {"control_layers_places": [0, 1, 2, 3], "add_control_noise_refiner": "control_layers"},
    "2.1": {"control_layers_places": [0, 1, 2, 3], "add_control_noise_refiner": "control_noise_refiner"},
    "lite": {"control_layers_places": [0, 2], "add_control_noise_refiner": "control_noise_refiner"},
}
"""Configs of the published kinds of Z-Image ControlNets, for the tiny base's four layers."""
CONTROL_LAYOUTS = tuple(_CONTROL_LAYOUTS)


def tiny_z_image_controlnet(layout: str = "2.1", seed: int = 0) -> ZImageControlNetModel:
    """A ControlNet of Z-Image that visibly changes what the tiny base makes; layouts are CONTROL_LAYOUTS."""
    config: dict[str, Any] = {"control_in_dim": 33, "control_refiner_layers_places": [0, 1]} | _CONTROL_LAYOUTS[layout]
    if "add_control_noise_refiner" not in config:
        del config["control_refiner_layers_places"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ZImageControlNetModel(**_TRANSFORMER, **config)
        for name, weight in network.named_parameters():
            if "before_proj" in name or "after_proj" in name:
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)
