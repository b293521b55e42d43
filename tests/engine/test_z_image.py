"""Z-Image through the engine, from files as a user has them, and with layers that come to the device one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from cnet_app.diffusion.pipeline import generate
from cnet_app.engine.protocol import Note, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.settings import Settings
from models.loader import save_base
from models.memory import offload_layers
from models.tiny import tiny_base, tiny_z_image_controlnet
from tests.diffusion.conftest import request_for, unit


def test_a_picture_is_made_from_files(tmp_path: Path) -> None:
    base, net = tiny_base("z_image"), tiny_z_image_controlnet("2.1")
    save_base(base, tmp_path / "base", torch.float32)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    given = unit(controlnet=str(tmp_path / "net.safetensors"), conditioning_scale=0.75)
    request = request_for(given, base=str(tmp_path / "base"), num_inference_steps=2)
    engine = TorchEngine(Settings(base=request.base, device="cpu", speed="exact", output_dir=tmp_path))
    events = list(engine.run(request))
    engine.close()
    assert not [event for event in events if isinstance(event, Note)]
    (made,) = (event for event in events if isinstance(event, PictureMade))
    np.testing.assert_array_equal(made.pixels, generate(base, [net], request)[0])


def test_layers_may_come_to_the_device_one_by_one() -> None:
    base, net = tiny_base("z_image"), tiny_z_image_controlnet("2.1")
    request = request_for(unit(), num_inference_steps=2, guidance_scale=3)
    whole = generate(base, [net], request)[0]
    for network in (base.unet, net):
        offload_layers(network, torch.device("cpu"))
    np.testing.assert_array_equal(generate(base, [net], request)[0], whole)
