"""Sizes of networks by their published configs, before any weight is here."""

from __future__ import annotations

from typing import Any

import pytest

from models.catalogue.catalog import entry
from models.catalogue.config_sizes import encoder_numbers, network_numbers
from models.families import FAMILIES

HEADS_24 = {"num_attention_heads": 24, "attention_head_dim": 128}
NETWORKS: dict[str, dict[str, Any]] = {
    "sd3": {"num_layers": 38, "num_attention_heads": 38, "attention_head_dim": 64, "dual_attention_layers": [], "pos_embed_max_size": 192},
    "flux": {"num_layers": 19, "num_single_layers": 38, **HEADS_24},
    "chroma": {"num_layers": 19, "num_single_layers": 38, **HEADS_24},
    "flux2": {"num_layers": 5, "num_single_layers": 20, **HEADS_24},
    "qwen_image": {"num_layers": 60, **HEADS_24},
    "z_image": {"n_layers": 30, "n_refiner_layers": 2, "dim": 3840},
}  # fmt: skip
QWEN3 = {
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_hidden_layers": 36,
    "vocab_size": 151936,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 49408,
}
T5 = {
    "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_layers": 24, "num_heads": 64, "vocab_size": 32128,
    "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip
QWEN_VL = {
    "text_config": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064,
    },
    "tie_word_embeddings": False,
    "vision_config": {"hidden_size": 1280, "intermediate_size": 3420, "depth": 32},
}  # fmt: skip


@pytest.mark.parametrize("family", NETWORKS)
def test_a_config_shows_the_size_of_its_network(family: str) -> None:
    found = network_numbers(FAMILIES[family], NETWORKS[family])
    assert found == pytest.approx(FAMILIES[family].parameters.network, rel=0.06)


def test_the_smaller_base_of_a_family_has_its_own_size() -> None:
    medium = {
        **NETWORKS["sd3"],
        "num_layers": 24,
        "num_attention_heads": 24,
        "dual_attention_layers": list(range(13)),
        "pos_embed_max_size": 384,
    }
    own = entry("sd3_medium").parameters
    assert own and network_numbers(FAMILIES["sd3"], medium) == pytest.approx(own.network, rel=0.02)
    klein_9b = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "attention_head_dim": 128}
    assert network_numbers(FAMILIES["flux2"], klein_9b) == pytest.approx(9078, rel=0.05)  # counted on the meta device


def test_a_config_that_does_not_tell_shows_none() -> None:
    assert network_numbers(FAMILIES["sd15"], {"block_out_channels": [320]}) is None
    assert network_numbers(FAMILIES["flux"], {"num_layers": 19, **HEADS_24}) is None
    assert encoder_numbers({}) is None


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        (CLIP_L, FAMILIES["sd15"].parameters.text_encoders),
        (T5, FAMILIES["chroma"].parameters.text_encoders),
        ({**QWEN3, "hidden_size": 2560, "intermediate_size": 9728, "tie_word_embeddings": True}, FAMILIES["flux2"].parameters.text_encoders),
        ({**QWEN3, "hidden_size": 4096, "intermediate_size": 12288, "tie_word_embeddings": False}, 8190.7),
        (QWEN_VL, FAMILIES["qwen_image"].parameters.text_encoders),
    ],
    ids=["CLIP-L", "T5-XXL", "Qwen3-4B", "Qwen3-8B", "Qwen2.5-VL-7B"],
)  # fmt: skip
def test_a_config_shows_the_size_of_its_text_encoder(config: dict[str, Any], millions: float) -> None:
    assert encoder_numbers(config) == pytest.approx(millions, rel=0.02)
