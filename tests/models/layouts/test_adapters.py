"""T2I-Adapters of one file, in diffusers' layout or the original's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import T2IAdapter
from safetensors.torch import save_file

from models.catalogue.catalog import Family
from models.errors import DamagedError, InputError
from models.loader import load_controlnet
from models.tiny.unets import tiny_adapter

WIDTHS = (8, 16, 24, 24)
KINDS: dict[str, dict[str, Any]] = {
    "full": {"channels": WIDTHS, "num_res_blocks": 2},
    "grey": {"channels": WIDTHS, "num_res_blocks": 2, "in_channels": 1},
    "xl": {"channels": WIDTHS, "num_res_blocks": 2, "adapter_type": "full_adapter_xl", "downscale_factor": 16},
    "light": {"channels": WIDTHS[:3], "num_res_blocks": 4, "adapter_type": "light_adapter"},
}


def original(adapter: T2IAdapter) -> dict[str, torch.Tensor]:
    """Its tensors under the names of the first authors: blocks in a row, in a light one within their level."""

    def name(ours: str) -> str:
        ours = ours.removeprefix("adapter.")
        if adapter.config["adapter_type"] == "light_adapter":
            return ours.replace("resnets", "body")
        ours = re.sub(r"body\.(\d)\.resnets\.(\d)", lambda m: f"body.{2 * int(m[1]) + int(m[2])}", ours)
        return re.sub(r"body\.(\d)\.in_conv", lambda m: f"body.{2 * int(m[1])}.in_conv", ours)

    return {name(key): tensor.contiguous() for key, tensor in adapter.state_dict().items()}


@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_from_one_file(tmp_path: Path, kind: str, layout: str) -> None:
    made = tiny_adapter(**KINDS[kind])
    family: Family = "sdxl" if kind == "xl" else "sd15"
    if layout == "original":
        path = tmp_path / "adapter.pth"
        torch.save(original(made), path)
    else:
        path = tmp_path / "adapter.safetensors"
        save_file(made.state_dict(), path)
    loaded = load_controlnet(str(path), family)
    assert isinstance(loaded, T2IAdapter)
    image = torch.rand(1, made.config["in_channels"], 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image), made(image), rtol=0, atol=0)


def test_another_family_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    save_file(original(tiny_adapter(**KINDS["xl"])), path)
    with pytest.raises(InputError, match=r"adapter.safetensors is a T2I-Adapter for SDXL, but the base is SD 1\.5"):
        load_controlnet(str(path), "sd15")


def test_parts_of_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    tensors = original(tiny_adapter(**KINDS["full"]))
    save_file({name: tensor for name, tensor in tensors.items() if not name.startswith("conv_in")}, path)
    with pytest.raises(InputError, match=r"is no whole T2I-Adapter: it lacks 'adapter.conv_in.weight'"):
        load_controlnet(str(path), "sd15")
    save_file({name: tensor for name, tensor in tensors.items() if name != "body.3.block2.bias"}, path)
    with pytest.raises(DamagedError, match=r"its tensors are not those of a T2I-Adapter for SD 1\.5"):
        load_controlnet(str(path), "sd15")
