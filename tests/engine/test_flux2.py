"""FLUX.2 through the engine: units that need no network, units that name a LoRA, and what has to be downloaded for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnet_app.diffusion.pipeline import generate
from cnet_app.engine.missing import rows_to_download
from cnet_app.engine.protocol import Note, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipes.files import file_hashes
from cnet_app.request.units import Lora
from cnet_app.settings import Settings
from models.errors import InputError
from models.loader import save_base
from models.lora.loras import use_loras
from models.machine.memory import offload_layers, set_tiling
from models.references import NoNetwork
from models.tiny import tiny_base
from tests.diffusion.conftest import request_for, unit

LAYER = "single_transformer_blocks.0.attn.to_out"


@pytest.fixture
def base(tmp_path: Path) -> str:
    folder = tmp_path / "base"
    save_base(tiny_base("flux2"), folder, torch.float32)
    return str(folder)


@pytest.fixture
def lora(tmp_path: Path) -> str:
    path, generator = tmp_path / "refcontrol.safetensors", torch.Generator().manual_seed(0)
    out, channels = tiny_base("flux2").network.get_submodule(LAYER).weight.shape
    down, up = torch.randn(4, channels, generator=generator), torch.randn(out, 4, generator=generator)
    save_file({f"transformer.{LAYER}.lora_A.weight": down, f"transformer.{LAYER}.lora_B.weight": up}, path)
    return str(path)


def run(request: GenerationRequest, folder: Path) -> tuple[Any, list[str]]:
    """The picture, and the notes."""
    engine = TorchEngine(Settings(base=request.base, device="cpu", speed="exact", output_dir=folder))
    events = list(engine.run(request))
    engine.close()
    (made,) = (event for event in events if isinstance(event, PictureMade))
    return made.pixels, [event.text for event in events if isinstance(event, Note)]


def small(*units: Any, **values: Any) -> GenerationRequest:
    return request_for(*units, **{"num_inference_steps": 2, "guidance_scale": 1.0} | values)


def test_a_unit_needs_no_network(base: str, tmp_path: Path) -> None:
    request = small(unit(condition="normal"), base=base)
    pixels, notes = run(request, tmp_path)
    assert not notes
    np.testing.assert_array_equal(pixels, generate(tiny_base("flux2"), [NoNetwork()], request)[0])


def test_a_unit_may_name_a_lora(base: str, lora: str, tmp_path: Path) -> None:
    """It acts once, at full weight, or at the weight that the request itself gives it."""
    units = (unit(condition="depth", controlnet=lora), unit(1, condition="normal", controlnet=lora))
    request = small(*units, base=base)
    found, _ = run(request, tmp_path)
    loaded = tiny_base("flux2")
    use_loras(loaded, [(lora, 1.0)])
    np.testing.assert_array_equal(found, generate(loaded, [NoNetwork()] * 2, request)[0])
    use_loras(loaded, [(lora, 0.5)])
    weaker = small(*units, base=base, loras=(Lora(name=lora, scale=0.5),))
    np.testing.assert_array_equal(run(weaker, tmp_path)[0], generate(loaded, [NoNetwork()] * 2, request)[0])
    assert list(file_hashes(request)) == [f"LoRA {lora}"]


def test_a_unit_without_effect_brings_no_lora(base: str, lora: str, tmp_path: Path) -> None:
    silent = small(unit(condition="depth", controlnet=lora, conditioning_scale=0), base=base)
    np.testing.assert_array_equal(run(silent, tmp_path)[0], run(small(base=base), tmp_path)[0])


def test_what_is_no_lora_is_refused(base: str, tmp_path: Path) -> None:
    request = small(unit(condition="depth", controlnet="controlnet_depth_sdxl"), base=base)
    with pytest.raises(InputError, match="There is no LoRA 'controlnet_depth_sdxl'"):
        run(request, tmp_path)
    with pytest.raises(InputError, match=r"Inpaint has no ControlNet for FLUX\.2"):
        run(small(unit(condition="inpaint"), base=base), tmp_path)


def test_what_does_not_fit_is_refused_before_a_base_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Inpaint has no ControlNet for FLUX\.2"):
        run(small(unit(condition="inpaint"), base="flux2_base"), tmp_path)
    with pytest.raises(InputError, match=r"is made for SDXL, but the base is FLUX\.2"):
        run(small(base="flux2_base", loras=(Lora(name="lcm_lora_sdxl"),)), tmp_path)


def test_downloads_are_the_base_and_the_loras_of_units() -> None:
    request = small(
        unit(condition="normal"), unit(1, condition="depth", controlnet="refcontrol_depth_flux2"), base="flux2_base"
    )
    assert [row.id for row in rows_to_download(request)] == ["flux2_base", "refcontrol_depth_flux2"]


def test_layers_may_come_to_the_device_one_by_one() -> None:
    base = tiny_base("flux2")
    request = small(unit(conditioning_scale=0.5))
    whole = generate(base, [NoNetwork()], request)[0]
    offload_layers(base.network, torch.device("cpu"))
    np.testing.assert_array_equal(generate(base, [NoNetwork()], request)[0], whole)


def test_the_autoencoder_may_work_in_tiles() -> None:
    base = tiny_base("flux2")
    whole = generate(base, [], small())[0]
    set_tiling(base.vae, on=True)
    np.testing.assert_array_equal(generate(base, [], small())[0], whole)
