"""Z-Image through the engine, from files as a user has them, and with layers that come to the device one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnet_app.diffusion.pipeline import generate
from cnet_app.engine.protocol import Note, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.maps.upscale import to_generation
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from models.catalogue.catalog import entry
from models.loader import save_base
from models.machine.memory import offload_layers
from models.tiny import tiny_base
from models.tiny.z_image import tiny_z_image_controlnet
from tests.diffusion.conftest import control_map, request_for, unit


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


def test_a_picture_is_made_larger_with_the_tile_of_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    base, net = tiny_base("z_image"), tiny_z_image_controlnet("2.1")
    save_base(base, tmp_path / "base", torch.float32)
    (file,) = entry("controlnet_tile_z_image").files
    place = tmp_path / "models" / "controlnet_tile_z_image" / file.name
    place.parent.mkdir(parents=True)
    save_file(net.state_dict(), place)
    task = UpscaleRequest(
        picture=encode_png(control_map()),
        factor=1.5,
        prompt="a ball",
        base=str(tmp_path / "base"),
        num_inference_steps=4,
    )
    engine = TorchEngine(Settings(base=task.base, device="cpu", speed="exact", output_dir=tmp_path))
    (made,) = (event for event in engine.run(task) if isinstance(event, PictureMade))
    engine.close()
    assert made.pixels.shape == (96, 96, 3)
    np.testing.assert_array_equal(made.pixels, generate(base, [net], to_generation(task))[0])


def test_layers_may_come_to_the_device_one_by_one() -> None:
    base, net = tiny_base("z_image"), tiny_z_image_controlnet("2.1")
    request = request_for(unit(), num_inference_steps=2, guidance_scale=3)
    whole = generate(base, [net], request)[0]
    for network in (base.network, net):
        offload_layers(network, torch.device("cpu"))
    np.testing.assert_array_equal(generate(base, [net], request)[0], whole)
