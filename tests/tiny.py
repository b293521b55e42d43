"""Miniatures as files in the folder of models, as a user would have them."""

from __future__ import annotations

from pathlib import Path

import pytest

CONTROLNETS = {"canny": "control_v11p_sd15_canny", "softedge": "control_v11p_sd15_softedge", "scribble": "control_v11p_sd15_scribble", "openpose": "control_v11p_sd15_openpose", "tile": "control_v11f1e_sd15_tile"}  # fmt: skip
"""Condition to catalogue id."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bases of one family and a few ControlNets, by catalogue id."""
    from models.loader import save_base, save_network
    from models.tiny import tiny_base
    from models.tiny.unets import tiny_controlnet

    folder = tmp_path_factory.mktemp("models")
    base = tiny_base("sd15")
    save_base(base, folder / "sd15")
    save_base(tiny_base("sd15", seed=1, in_channels=9), folder / "sd15_inpaint")
    for seed, id in enumerate(CONTROLNETS.values()):
        save_network(tiny_controlnet(base, seed), folder / id)
    return folder
