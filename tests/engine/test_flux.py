"""FLUX.1 and Chroma through the engine, from files as a user has them, and with layers that come to the device one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnet_app.diffusion.pipeline import generate
from cnet_app.engine.protocol import Note, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.settings import Settings
from models.family_facts import Family
from models.loader import save_base, save_network
from models.machine.memory import offload_layers, set_tiling
from models.tiny import tiny_base
from models.tiny.flux import KINDS, tiny_flux_controlnet
from tests.diffusion.conftest import request_for, unit

FAMILIES: tuple[Family, ...] = ("flux", "chroma")


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_are_made_from_files(tmp_path: Path, family: Family) -> None:
    """One unit has a folder of a ControlNet, the other a file of a union."""
    base, net, union = tiny_base(family), tiny_flux_controlnet(), tiny_flux_controlnet("union", seed=1)
    save_base(base, tmp_path / "base", torch.float32)
    save_network(net, tmp_path / "net", torch.float32)
    save_file(union.state_dict(), tmp_path / "union.safetensors")
    units = (
        unit(controlnet=str(tmp_path / "net"), conditioning_scale=0.5),
        unit(1, condition="depth", controlnet=str(tmp_path / "union.safetensors"), conditioning_scale=0.5),
    )
    request = request_for(*units, base=str(tmp_path / "base"), num_inference_steps=2, guidance_scale=3)
    engine = TorchEngine(Settings(base=request.base, device="cpu", speed="exact", output_dir=tmp_path))
    events = list(engine.run(request))
    engine.close()
    assert not [event for event in events if isinstance(event, Note)]
    (made,) = (event for event in events if isinstance(event, PictureMade))
    expected = generate(base, [net, union], request)[0]
    assert (
        np.abs(made.pixels.astype(int) - expected).max() <= 1
    )  # loaded weights lie elsewhere, and sums may be in another order


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_may_come_to_the_device_one_by_one(family: Family, kind: str) -> None:
    base, net = tiny_base(family), tiny_flux_controlnet(kind)
    request = request_for(unit(), num_inference_steps=2, guidance_scale=3)
    whole = generate(base, [net], request)[0]
    for network in (base.network, net):
        offload_layers(network, torch.device("cpu"))
    np.testing.assert_array_equal(generate(base, [net], request)[0], whole)


def test_the_autoencoder_may_work_in_tiles() -> None:
    base = tiny_base("flux")
    small = request_for(num_inference_steps=2)
    whole = generate(base, [], small)[0]
    set_tiling(base.vae, on=True)
    np.testing.assert_array_equal(generate(base, [], small)[0], whole)
