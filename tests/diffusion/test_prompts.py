"""Prompts: what is read, what is left out, and that the user is told."""

from __future__ import annotations

import pytest
import torch

from cnet_app.diffusion.prompts import encode_prompts, prompt_notes
from models.catalog import Family
from models.loader import Base
from tests.diffusion.conftest import request_for


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
def test_shapes(bases: dict[Family, Base], family: Family) -> None:
    base = bases[family]
    with torch.no_grad():
        one = encode_prompts(base, request_for(guidance_scale=1))
        two = encode_prompts(base, request_for(guidance_scale=2, negative_prompt="green"))
    assert one.states.shape == (1, 16, base.unet.config.cross_attention_dim)
    assert two.states.shape == (2, 16, base.unet.config.cross_attention_dim)
    assert torch.equal(two.conditional().states, one.states)
    assert not torch.equal(two.states[0], two.states[1])
    assert (one.added is not None) == (family == "sdxl")


def test_sdxl_is_told_the_size_and_takes_an_absent_negative_prompt_as_zeros(bases: dict[Family, Base]) -> None:
    with torch.no_grad():
        text = encode_prompts(bases["sdxl"], request_for(guidance_scale=2, width=128))
    assert text.added is not None
    assert text.added["time_ids"].tolist() == [[64, 128, 0, 0, 64, 128]] * 2
    assert text.states[0].abs().sum() == 0
    assert text.added["text_embeds"][0].abs().sum() == 0
    assert text.states[1].abs().sum() > 0


def test_words_beyond_the_limit_are_left_out_and_named(bases: dict[Family, Base]) -> None:
    base = bases["sd15"]
    long = "red ball " * 7 + "blue cone"
    request = request_for(prompt=long, negative_prompt=long, guidance_scale=2)
    notes = prompt_notes(base, request)
    assert notes[0] == "prompt is 16 tokens long, but the model reads 14; left out: “blue cone”."
    assert notes[1].startswith("negative_prompt is 16 tokens long")
    with torch.no_grad():
        short = encode_prompts(base, request_for(prompt="red ball " * 7))
        assert torch.equal(encode_prompts(base, request_for(prompt=long)).states, short.states)


def test_a_very_long_prompt_is_named_briefly(bases: dict[Family, Base]) -> None:
    (note,) = prompt_notes(bases["sd15"], request_for(prompt="red " * 2500))
    assert "prompt is 2500 tokens long" in note
    assert len(note) < 150


def test_a_negative_prompt_without_guidance_is_told(bases: dict[Family, Base]) -> None:
    (note,) = prompt_notes(bases["sd15"], request_for(negative_prompt="green", guidance_scale=1))
    assert note == "negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it."
    assert prompt_notes(bases["sd15"], request_for(negative_prompt="green", guidance_scale=1.5)) == ()
