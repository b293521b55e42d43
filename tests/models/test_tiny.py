"""The miniatures are worth testing with: small, repeatable, and their ControlNets are not silent."""

from __future__ import annotations

import pytest
import torch

from models.catalogue.catalog import Family
from models.families import FAMILIES, family_of
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet
from tests.families import UNETS


@pytest.mark.parametrize("family", UNETS)
def test_a_controlnet_answers_to_its_map(family: Family) -> None:
    base = tiny_base(family)
    controlnet = tiny_controlnet(base)
    assert family_of(base.network.config) == family_of(controlnet.config) == family
    latents = torch.randn(1, base.network.config["in_channels"], 8, 8)
    text = torch.randn(1, 16, base.network.config["cross_attention_dim"])
    added = {"text_embeds": torch.randn(1, 16), "time_ids": torch.zeros(1, 6)}

    side = 8 * base.vae_scale_factor

    def last_residual(hint: torch.Tensor) -> torch.Tensor:
        _, middle = controlnet(latents, 5, text, hint, added_cond_kwargs=added, return_dict=False)
        return middle

    with torch.inference_mode():
        black, noise = last_residual(torch.zeros(1, 3, side, side)), last_residual(torch.rand(1, 3, side, side))
    assert 0.1 < black.abs().max() < 10
    assert (black - noise).abs().max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_alone_decides(family: Family) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    weights = [next(tiny_base(family, seed).network.parameters()) for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(state, torch.get_rng_state())


def test_words_are_tokens_and_letters_spell_the_rest() -> None:
    tokenizer = tiny_base("sd15").tokenizers[0]
    ids = tokenizer("a red zz").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == [
        "<|startoftext|>",
        "a</w>",
        "red</w>",
        "z",
        "z</w>",
        "<|endoftext|>",
    ]
    assert len(tokenizer("red " * 50, truncation=True).input_ids) == tokenizer.model_max_length
