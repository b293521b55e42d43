"""Bytes of LoRAs and image prompts before they are loaded, within a tenth of what is then in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.addition_sizes import expected_additions, image_prompt_bytes, lora_bytes
from models.catalogue.catalog import entry
from models.catalogue.sizes import expected_sizes
from models.ip_adapter import load_ip_adapter
from models.lora.loras import updates_bytes, use_loras
from models.machine.ladder import LADDER, needed_bytes
from models.machine.memory import module_bytes
from models.tiny import tiny_base
from models.tiny.unets import save_tiny_ip_adapter
from tests.models.lora.lora_layouts import RANK, State, dotted, kohya, library, pair

SINGLE, HALF = 4, 2
TO_K = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def on_text(state: State) -> State:
    return {name.replace("lora_unet", "lora_te"): tensor for name, tensor in state.items()}


def of_shape(layer: str, shape: Sequence[int]) -> State:
    return kohya(layer, *pair(shape[0], shape[1], 0))


def fused(base: Any, writer: Callable[[str, Tensor, Tensor], State], layer: str, own: str, rows: int) -> State:
    """Return a LoRA of a layer that the authors fused: `rows` times as many rows as the first of its own has channels."""
    width = base.network.get_submodule(own).weight.shape[1]
    down, up = pair(rows * width, width, 1)
    return writer(layer, down, up)


@pytest.mark.parametrize(
    ("family", "make"),
    [
        ("sd15", lambda base: of_shape(TO_K, base.network.get_submodule(TO_K).weight.shape)),
        ("z_image", lambda base: library("layers.0.attention.to_q", *pair(32, 32, 0))),
        ("z_image", lambda base: fused(base, dotted, "layers.1.attention.qkv", "layers.1.attention.to_q", 3)),
        ("flux", lambda base: fused(base, kohya, "double_blocks.1.img_attn.qkv", "transformer_blocks.1.attn.to_q", 3)),
        ("flux", lambda base: fused(base, dotted, "single_blocks.0.linear1", "single_transformer_blocks.0.attn.to_q", 7)),
        (
            "sd15",
            lambda base: {
                f"lora_unet_{TO_K.replace('.', '_')}.diff": torch.randn(base.network.get_submodule(TO_K).weight.shape)
            },
        ),
    ],
    ids=["kohya", "library", "fused", "fused by kohya", "four in one", "difference"],
)  # fmt: skip
def test_a_lora_takes_what_its_header_shows(family: str, make: Any, tmp_path: Path) -> None:
    base, path = tiny_base(family), tmp_path / "one.safetensors"
    save_file(make(base), path)
    expected = lora_bytes(str(path), family, SINGLE)
    use_loras(base, [(str(path), 1.0)])
    assert updates_bytes([base.network]) > 0
    assert expected[0] == pytest.approx(updates_bytes([base.network]), rel=0.1)
    assert expected[1] == updates_bytes(base.text_encoders) == 0


def test_layers_of_a_text_encoder_lie_with_it(tmp_path: Path) -> None:
    base, path = tiny_base("sd15"), tmp_path / "text.safetensors"
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    save_file(on_text(kohya(layer, *pair(TEXT := base.text_encoders[0].config.hidden_size, TEXT, 0))), path)
    use_loras(base, [(str(path), 1.0)])
    assert lora_bytes(str(path), "sd15", SINGLE)[1] == pytest.approx(updates_bytes(base.text_encoders), rel=0.1)
    assert updates_bytes(base.text_encoders) == SINGLE * 2 * RANK * TEXT


@pytest.mark.parametrize("plus", [False, True])
def test_an_image_prompt_takes_its_adapter_and_its_encoder(plus: bool, tmp_path: Path) -> None:
    base = tiny_base("sd15")
    path = save_tiny_ip_adapter(base, tmp_path, plus)
    loaded = load_ip_adapter(str(path), base)
    held = module_bytes((loaded.projection, loaded.image_encoder, *loaded.attention.values()))
    assert image_prompt_bytes(str(path), "sd15", SINGLE) == pytest.approx(held, rel=0.1)


def test_rows_count_by_their_sizes_in_the_format_that_is_loaded() -> None:
    assert lora_bytes("lcm_lora_sdxl", "sdxl", HALF) == (entry("lcm_lora_sdxl").size, 0)
    encoder = 632.1e6  # CLIP ViT-H, whose file is in 32 bits
    assert image_prompt_bytes("ip_adapter_sd15", "sd15", HALF) == pytest.approx(45e6 + 2 * encoder, rel=0.01)
    assert image_prompt_bytes("ip_adapter_sdxl", "sdxl", HALF) == pytest.approx(4.393e9, rel=0.01)


def test_what_cannot_be_read_counts_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"damaged")
    assert lora_bytes(str(tmp_path / "bad.safetensors"), "sd15", HALF) == lora_bytes("none", "sd15", HALF) == (0, 0)
    assert image_prompt_bytes("none", "sd15", HALF) == 0
    assert expected_additions("flux2", ["none"], "ip_adapter_sd15", HALF).picture == 0  # a family that has none


def test_an_image_prompt_stays_on_the_device_on_every_rung() -> None:
    plain, added = (expected_sizes("sd15", "sd15", (), HALF, (), name).weights for name in ("", "ip_adapter_sd15"))
    for rung in LADDER:
        more = needed_bytes(rung, added, 512 * 512, HALF) - needed_bytes(rung, plain, 512 * 512, HALF)
        assert more == image_prompt_bytes("ip_adapter_sd15", "sd15", HALF)
