"""Sizes of networks before they are loaded, within a tenth of what is then in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.catalogue.sizes import control_bytes, expected_sizes, network_key
from models.tiny import tiny_base
from tests.models.layouts.gguf import write_gguf

HALF, SINGLE = 2, 4
UNION, LITE = "controlnet_union_z_image", "controlnet_union_lite_z_image"


def test_each_controlnet_counts_once_and_none_where_none_is_named() -> None:
    plain = expected_sizes("z_image", "z_image", (), HALF).weights["denoiser"]
    assert plain == pytest.approx(12.31e9, rel=0.01)
    union = expected_sizes("z_image", "z_image", [UNION, UNION], HALF).weights["denoiser"]
    assert union - plain == pytest.approx(6.712e9, rel=0.01)
    lite = expected_sizes("z_image", "z_image", [LITE], HALF).weights["denoiser"]
    assert lite - plain == pytest.approx(2.02e9, rel=0.01)


def test_rows_of_one_union_are_one_network() -> None:
    rows = ["controlnet_union_sdxl", "controlnet_union_depth_sdxl", "controlnet_promax_depth_sdxl"]
    assert len({network_key(row) for row in rows}) == 2
    assert len(expected_sizes("sdxl", "sdxl", rows, HALF).controls) == 2


@pytest.mark.parametrize(
    ("id", "family", "gigabytes"),
    [
        ("controlnet_canny_sdxl", "sdxl", 2.5),
        ("controlnet_openpose_sdxl", "sdxl", 2.5),  # its file is in float32
        ("controlnet_canny_sd3", "sd3", 4.3),  # and so is this one
        ("controlnet_instantx_flux", "flux", 6.6),
        ("t2iadapter_canny_sd15", "sd15", 0.15),
        ("controlnet_sd21_canny", "sd21", 0.73),  # of unknown size
    ],
)
def test_a_controlnet_has_the_size_of_its_row(id: str, family: str, gigabytes: float) -> None:
    assert control_bytes(id, family, HALF) == pytest.approx(gigabytes * 1e9, rel=0.05)
    assert control_bytes(id, family, SINGLE) == pytest.approx(2 * gigabytes * 1e9, rel=0.05)


def test_a_file_counts_by_its_header(tmp_path: Path) -> None:
    plain, part = tmp_path / "plain.safetensors", tmp_path / "part.safetensors"
    save_file({"zero_convs.0.0.weight": np.zeros((10, 5), np.float16)}, plain)
    save_file({"zero_convs.0.0.weight": np.zeros((10, 5), np.float16), "lora_controlnet": np.zeros(1)}, part)
    assert control_bytes(str(plain), "sd15", SINGLE) == 200
    assert control_bytes(str(part), "sd15", HALF) == pytest.approx(0.72e9, rel=0.01)  # it is completed to a whole one


def test_packed_weights_count_as_they_are_stored(tmp_path: Path) -> None:
    four_bits = tmp_path / "nf4.safetensors"
    save_file({"layers.0.adaLN_modulation.0.weight": np.zeros(1000, np.uint8),
               "layers.0.adaLN_modulation.0.weight.quant_state.bitsandbytes__nf4": np.zeros(8, np.uint8)}, four_bits)  # fmt: skip
    gguf = tmp_path / "base.gguf"
    write_gguf(gguf, tiny_base("z_image").network.state_dict())
    for path in (four_bits, gguf):
        sizes = expected_sizes(str(path), "z_image", [UNION], HALF)
        assert sizes.network == path.stat().st_size
        assert sizes.controls[UNION] == pytest.approx(6.712e9, rel=0.01)  # it is not packed


def test_a_quantised_folder_counts_the_parts_that_are_packed(tmp_path: Path) -> None:
    for part in ("transformer", "text_encoder"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "model.safetensors").write_bytes(bytes(3000))
    (tmp_path / "transformer" / "config.json").write_text('{"quantization_config": {"quant_method": "torchao"}}')
    (tmp_path / "text_encoder" / "config.json").write_text("{}")
    (tmp_path / "model_index.json").write_text('{"_class_name": "ZImagePipeline"}')
    sizes = expected_sizes(str(tmp_path), "z_image", (), HALF)
    assert sizes.network == 3000
    assert sizes.text == pytest.approx(8.045e9, rel=0.01)
