"""The number of a ControlNet's blocks that the page draws weights for, against the places of the network itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from diffusers import ControlNetModel

from cnet_app.diffusion.backbones.controls.flux import block_runs
from cnet_app.diffusion.backbones.controls.unet import controlnet_places
from cnet_app.diffusion.backbones.controls.z_image import control_places
from models.catalogue.catalog import entry
from models.catalogue.local import count_blocks
from models.families import FAMILIES
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet
from models.tiny.z_image import tiny_z_image_controlnet


@pytest.mark.parametrize("layout", ["1", "2.1"])
def test_blocks_of_a_file_for_z_image(layout: str) -> None:
    network = tiny_z_image_controlnet(layout)
    _, places = control_places(network, tiny_base("z_image").network)
    assert count_blocks("z_image", network.state_dict()) == len(places)


def flux(doubles: int, singles: int, hint: Any = None) -> Any:
    return SimpleNamespace(
        transformer_blocks=range(doubles), single_transformer_blocks=range(singles), input_hint_block=hint
    )


@pytest.mark.parametrize(
    ("doubles", "singles", "hint", "id"),
    [
        (6, 0, None, "controlnet_union_flux"),
        (5, 10, None, "controlnet_instantx_flux"),
        (2, 0, "pixels", "controlnet_xlabs_canny_flux"),
    ],
)
def test_blocks_of_a_file_for_flux(doubles: int, singles: int, hint: str | None, id: str) -> None:
    names = [f"controlnet_blocks.{number}.weight" for number in range(doubles)]
    names += [f"controlnet_single_blocks.{number}.weight" for number in range(singles)]
    runs = block_runs(flux(doubles, singles, hint), flux(19, 38))
    count = sum(map(len, runs))
    for family in ("flux", "chroma"):
        assert count_blocks(family, names) == count == (entry(id).blocks or FAMILIES[family].control_blocks)


def test_blocks_of_a_file_for_a_unet() -> None:
    network: ControlNetModel = tiny_controlnet(tiny_base("sd15"))
    assert count_blocks("sd15", network.state_dict()) == len(controlnet_places(network))
    original = [*(f"control_model.zero_convs.{number}.0.weight" for number in range(12)), "middle_block_out.0.weight"]
    assert count_blocks("sd15", original) == 13
    assert count_blocks("sd15", ["lora_unet.weight"]) is None
