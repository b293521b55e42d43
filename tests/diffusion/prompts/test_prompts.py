"""Prompts: what is read, what is left out, and that the user is told."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnet_app.diffusion.backbones.clip import encode_prompts, prompt_notes
from cnet_app.diffusion.prompt_syntax import Phrase, parse_prompt
from models.catalogue.catalog import Family
from models.loader import Base
from tests.diffusion.conftest import request_for


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
def test_shapes(bases: dict[Family, Base], family: Family) -> None:
    base = bases[family]
    with torch.no_grad():
        one = encode_prompts(base, request_for(guidance_scale=1))
        two = encode_prompts(base, request_for(guidance_scale=2, negative_prompt="green"))
    assert one.states.shape == (1, 16, base.network.config.cross_attention_dim)
    assert two.states.shape == (2, 16, base.network.config.cross_attention_dim)
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


def test_a_long_prompt_is_read_in_parts(bases: dict[Family, Base]) -> None:
    base = bases["sd15"]
    long = "red ball " * 7 + "blue cone"
    notes = prompt_notes(base, request_for(prompt=long, negative_prompt=long, guidance_scale=2))
    assert notes[0] == "prompt is 16 tokens long and is read in 2 parts of at most 14."
    assert notes[1].startswith("negative_prompt is 16 tokens long")
    with torch.no_grad():
        parts = [encode_prompts(base, request_for(prompt=words)).states for words in ("red ball " * 7, "blue cone")]
        whole = encode_prompts(base, request_for(prompt=long)).states
    torch.testing.assert_close(whole, torch.cat(parts, dim=1))


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
def test_the_shorter_of_two_prompts_is_filled_up(bases: dict[Family, Base], family: Family) -> None:
    base = bases[family]
    with torch.no_grad():
        text = encode_prompts(base, request_for(prompt="red " * 40, negative_prompt="green", guidance_scale=2))
        short = encode_prompts(base, request_for(prompt="green", guidance_scale=1))
    assert text.states.shape[:2] == (2, 48)
    torch.testing.assert_close(text.states[:1, :16], short.states)
    if text.added and short.added:
        torch.testing.assert_close(text.added["text_embeds"][:1], short.added["text_embeds"])


def test_a_break_begins_a_new_part(bases: dict[Family, Base]) -> None:
    base = bases["sd15"]
    with torch.no_grad():
        broken = encode_prompts(base, request_for(prompt="red ball BREAK blue cone")).states
        parts = [encode_prompts(base, request_for(prompt=words)).states for words in ("red ball", "blue cone")]
    torch.testing.assert_close(broken, torch.cat(parts, dim=1))


def test_a_weight_multiplies_its_tokens_and_keeps_the_norm(bases: dict[Family, Base]) -> None:
    base = bases["sd15"]
    with torch.no_grad():
        plain, loud = (encode_prompts(base, request_for(prompt=text)).states for text in ("red ball", "(red:1.5) ball"))
    torch.testing.assert_close(loud.norm(), plain.norm())
    ratio = (loud / plain).median(dim=2).values[0]
    torch.testing.assert_close(ratio[1] / ratio[2], torch.tensor(1.5))
    torch.testing.assert_close(ratio[2:], ratio[2].expand(14))


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("a ball", [("a ball", 1.0)]),
        ("a (red) ball", [("a ", 1.0), ("red", 1.1), (" ball", 1.0)]),
        ("a ((red)) ball", [("a ", 1.0), ("red", 1.21), (" ball", 1.0)]),
        ("a [red] ball", [("a ", 1.0), ("red", 1 / 1.1), (" ball", 1.0)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("(red ball : .5 )", [("red ball ", 0.5)]),
        ("(a (red:2) ball:0.5)", [("a ", 0.5), ("red", 1.0), (" ball", 0.5)]),
        ("[red:2]", [("red:2", 1 / 1.1)]),
        (r"a \(red\) ball \\", [("a (red) ball \\", 1.0)]),
        (r"(a \) ball)", [("a ) ball", 1.1)]),
        ("a (red ball", [("a (red ball", 1.0)]),
        ("a red) ball]", [("a red) ball]", 1.0)]),
        ("(a [red) ball", [("a [red", 1.1), (" ball", 1.0)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(red:)", [("red:", 1.1)]),
        ("()", []),
        ("", []),
    ],
)
def test_brackets_weigh_their_words(prompt: str, phrases: list[tuple[str, float]]) -> None:
    (section,) = parse_prompt(prompt)
    assert [phrase.text for phrase in section] == [text for text, _ in phrases]
    assert [phrase.weight for phrase in section] == pytest.approx([weight for _, weight in phrases])


def test_a_break_may_stand_inside_brackets() -> None:
    assert parse_prompt("a BREAK (b BREAK c:2) d BREAKS") == (
        (Phrase("a "),),
        (Phrase("b ", 2.0),),
        (Phrase(" c", 2.0), Phrase(" d BREAKS")),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("ab ()[]:.12\\BREAK", max_size=40))
def test_any_text_is_a_prompt(prompt: str) -> None:
    phrases = [phrase for section in parse_prompt(prompt) for phrase in section]
    assert all(phrase.text.strip() and math.isfinite(phrase.weight) for phrase in phrases)
    assert sum(map(len, (phrase.text for phrase in phrases))) <= len(prompt)


def test_a_hostile_prompt_is_read_at_once() -> None:
    for prompt in ("(" * 5000 + "]" * 5000, "(" * 5000 + ")" * 5000, "((a:9)" * 1600):
        parse_prompt(prompt)


def test_a_negative_prompt_without_guidance_is_told(bases: dict[Family, Base]) -> None:
    (note,) = prompt_notes(bases["sd15"], request_for(negative_prompt="green", guidance_scale=1))
    assert note == "negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it."
    assert prompt_notes(bases["sd15"], request_for(negative_prompt="green", guidance_scale=1.5)) == ()
