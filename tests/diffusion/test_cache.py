"""The cache of encodings: used again for equal content, and dropped with its network, beyond its size, or for another LoRA."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from models.loader import Base
from models.lora.loras import lora_versions, use_loras
from models.tiny import tiny_base
from tests.diffusion.conftest import request_for


def test_the_same_is_encoded_once() -> None:
    cache, network = EncodingCache(), nn.Identity()
    made = [cache.get(network, key, lambda: torch.zeros(1)) for key in ("a", "b", "a")]
    assert made[0] is made[2]
    assert made[0] is not made[1]
    assert cache.get(nn.Identity(), "a", lambda: torch.ones(1)) == 1


def test_it_holds_at_most_so_many_bytes() -> None:
    cache, network = EncodingCache(max_bytes=40), nn.Identity()
    first = cache.get(network, 0, lambda: (torch.zeros(5), torch.zeros(5)))
    assert cache.get(network, 0, lambda: (torch.zeros(1), torch.zeros(1))) is first
    for key in range(1, 4):
        cache.get(network, key, lambda: (torch.zeros(5), torch.zeros(5)))
    assert cache.get(network, 0, lambda: (torch.zeros(1), torch.zeros(1))) is not first


def test_encodings_of_an_unloaded_network_go_with_it() -> None:
    cache = EncodingCache()
    for _ in range(3):
        cache.get(nn.Identity(), "a", lambda: torch.zeros(1))
    assert len(vars(cache)["_encodings"]) == 1


def write_lora(path: Path, seed: int) -> None:
    """A LoRA on the text encoder alone; files of all seeds have one size."""
    random = torch.Generator().manual_seed(seed)
    layer = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    save_file(
        {
            f"{layer}.lora_down.weight": torch.randn(2, 16, generator=random),
            f"{layer}.lora_up.weight": torch.randn(32, 2, generator=random),
        },
        path,
    )


def picture(base: Base, lora: Path | None, cache: EncodingCache) -> NDArray[np.uint8]:
    use_loras(base, [(str(lora), 1.0)] if lora else [])
    return generate(base, [], request_for(), cache=cache)[0]


def test_prompts_are_encoded_anew_for_another_lora_and_for_a_replaced_file(tmp_path: Path) -> None:
    base, cache, path = tiny_base("sd15"), EncodingCache(), tmp_path / "style.safetensors"
    plain = picture(base, None, cache)
    write_lora(path, 1)
    first = picture(base, path, cache)
    assert (first != plain).any()
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    write_lora(path, 2)
    os.utime(path, ns=(time + 1_000, time + 1_000))
    assert path.stat().st_size == size
    second = picture(base, path, cache)
    np.testing.assert_array_equal(second, picture(base, path, EncodingCache()))
    assert (second != first).any()
    np.testing.assert_array_equal(picture(base, None, cache), plain)


def test_versions_name_every_lora_on_a_network(tmp_path: Path) -> None:
    base, path = tiny_base("sd15"), tmp_path / "style.safetensors"
    encoder = base.text_encoders[0]
    assert lora_versions(encoder) == ()
    write_lora(path, 1)
    versions = {lora_versions(encoder)}
    for weight in (0.5, 1.0, 0.5):
        use_loras(base, [(str(path), weight)])
        versions.add(lora_versions(encoder))
    assert len(versions) == 3
    assert lora_versions(base.network) == ()
