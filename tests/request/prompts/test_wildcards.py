"""Wildcards: a text and a seed give one prompt, and what has no wildcards stays as it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnet_app.diffusion.prompt_syntax import Phrase, parse_prompt
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.wildcards import MAX_DEPTH, Wildcards, has_wildcards, resolve_request
from cnet_app.request.tasks import task_from_json, task_to_json
from models.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "colour": "\ufeffred\n\n# a comment\n  green  \n2::blue\n",
        "thing": "a __colour__ ball\n{old|new} hat\n",
        "animals/cats": "tabby\nsiamese",
        "circle": "to __back__",
        "back": "to __circle__",
        "empty": "# nothing\n\n",
        "broken": "fine\n{half",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    return tmp_path


@pytest.fixture
def wildcards(folder: Path) -> Wildcards:
    return Wildcards(folder)


def results(wildcards: Wildcards, text: str, seeds: int = 300) -> Counter[str]:
    return Counter(wildcards.resolve(text, seed) for seed in range(seeds))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a (red:1.2) ball, [grey] BREAK sky",
        r"\( brackets \) and \\ and \| and a|b",
        "my__file__name and __ and ____ and _one_",
    ],
)
def test_a_prompt_without_wildcards_stays_as_it_is(wildcards: Wildcards, text: str) -> None:
    assert not has_wildcards(text)
    assert wildcards.resolve(text, 1) == text
    wanted = GenerationRequest(prompt=text, num_images=3)
    assert resolve_request(wanted, wildcards) == (wanted,)


@given(text=st.text(alphabet="ab(:1.2)[]\\|_ ", max_size=30), seed=st.integers(0, 2**32))
def test_no_text_without_braces_and_names_is_changed(text: str, seed: int) -> None:
    if "__" not in text:
        assert Wildcards(Path("none")).resolve(text, seed) == text


def test_each_text_of_a_choice_comes_as_often_as_its_weight(wildcards: Wildcards) -> None:
    found = results(wildcards, "{red|2::green|.5::blue|}", 4500)
    assert set(found) == {"red", "green", "blue", ""}
    for text, share in {"red": 1, "green": 2, "blue": 0.5, "": 1}.items():
        assert found[text] == pytest.approx(1000 * share, rel=0.15)


def test_the_same_seed_takes_the_same_texts(wildcards: Wildcards, folder: Path) -> None:
    text = "{a|b|c|d} __thing__"
    assert [wildcards.resolve(text, seed) for seed in range(5)] == [
        Wildcards(folder).resolve(text, seed) for seed in range(5)
    ]
    assert wildcards.resolve("{a|b|c|d|e|f|g|h}", 7) == "f"  # pinned: a recipe's template gives its prompt for good
    fields = {(wildcards.resolve(text, s), wildcards.resolve(text, s, "negative_prompt")) for s in range(40)}
    assert any(prompt != negative for prompt, negative in fields)


def test_files_nest_and_bring_weights_and_comments(wildcards: Wildcards) -> None:
    found = results(wildcards, "__colour__", 1200)
    assert set(found) == {"red", "green", "blue"}
    assert found["blue"] == pytest.approx(600, rel=0.15)
    assert set(results(wildcards, "{__animals/cats__s|{no {cat|dog}}}")) == {
        "tabbys", "siameses", "no cat", "no dog",
    }  # fmt: skip
    assert set(results(wildcards, "__thing__")) == {
        "a red ball", "a green ball", "a blue ball", "old hat", "new hat",
    }  # fmt: skip
    assert wildcards.names() == ("animals/cats", "back", "broken", "circle", "colour", "empty", "latin", "thing")


@pytest.mark.parametrize(
    ("text", "count"),
    [("plain", 1), ("{a|b} {c|d|e}", 6), ("{a|{b|c}}", 3), ("__colour__ {x|__colour__}", 12), ("__thing__", 5), (r"\{", 1)],
)  # fmt: skip
def test_combinations_are_counted(wildcards: Wildcards, text: str, count: int) -> None:
    assert wildcards.count(text) == count


def test_every_counted_combination_comes(wildcards: Wildcards) -> None:
    text = "{a|{b|c}|} __thing__"
    assert len(results(wildcards, text, 3000)) == wildcards.count(text)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        (r"a \{b\} c", "a {b} c"),
        (r"\__colour__", "__colour__"),
        (r"{a\|b}", "a|b"),
        (r"{x} \| y", r"x \| y"),
        (r"\\{x}", r"\\x"),
        (r"{\(x\)}", r"\(x\)"),
    ],
)
def test_escapes_are_the_characters_and_all_others_pass_through(wildcards: Wildcards, text: str, resolved: str) -> None:
    assert has_wildcards(text)
    assert wildcards.resolve(text, 3) == resolved


def test_wildcards_come_before_the_syntax_of_prompts(wildcards: Wildcards) -> None:
    """A choice stands inside brackets and brackets inside a choice; a weight of one colon is the bracket's."""
    inside = wildcards.resolve("({sky}:1.3)", 1)
    assert parse_prompt(inside) == ((Phrase("sky", 1.3),),)
    assert wildcards.resolve("{(sky:1.3)}", 1) == inside
    assert len(parse_prompt(wildcards.resolve("{a BREAK b}", 1))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {b|c", "The brace at character 3 of prompt is closed by no }, near 'a {b|c'"),
        ("a} b", "The brace at character 2 of prompt closes what no { opens"),
        ("{a|{b}", "closed by no }"),
        ("__color__", "There is no wildcard __color__ (did you mean colour?); put color.txt into"),
        ("{x|__circle__}", "__circle__ → __back__ → __circle__ go in a circle"),
        ("__empty__", "has 0 texts, but it must have 1 to 100,000"),
        ("__broken__", "The brace at character 1 of Line 2 of broken.txt is closed by no }"),
        ("__latin__", "is not text in UTF-8"),
        ("{0::a|b}", "prompt has the weight 0, but it must be above 0"),
        ("{" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), "nested more than 20 levels"),
        ("{" + "|" * 1000 + "}", "more than 1,000 texts"),
    ],
)
def test_what_cannot_be_resolved_is_refused_in_a_sentence(wildcards: Wildcards, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        wildcards.resolve(text, 1)


def test_unknown_files_are_refused_before_chance_reaches_them(wildcards: Wildcards) -> None:
    for seed in range(20):
        with pytest.raises(InputError, match="no wildcard __nowhere__"):
            wildcards.resolve("{1000::x|__nowhere__}", seed)


def test_no_name_leads_out_of_the_folder(folder: Path) -> None:
    inner = folder / "animals"
    with pytest.raises(InputError, match="no wildcard __cats/colour__"):
        Wildcards(inner).resolve("__cats/colour__", 1)
    assert not has_wildcards("__../colour__")
    assert not has_wildcards("__/etc/passwd__")


def test_files_that_grow_without_end_are_refused(folder: Path) -> None:
    for level in range(MAX_DEPTH + 5):
        (folder / f"l{level}.txt").write_text(" ".join([f"__l{level + 1}__"] * 9) if level < MAX_DEPTH + 4 else "x")
    with pytest.raises(InputError, match="through more than 20 files"):
        Wildcards(folder).resolve("__l0__", 1)
    with pytest.raises(InputError, match="more than 10,000 characters"):
        Wildcards(folder).resolve("__l10__", 1)
    for level in range(MAX_DEPTH):
        (folder / f"e{level}.txt").write_text(f"__e{level + 1}__" * 9 if level < MAX_DEPTH - 1 else "{}")
    with pytest.raises(InputError, match="more than 10,000 characters or choices"):
        Wildcards(folder).resolve("__e0__", 1)


def test_each_picture_of_a_job_has_its_own_prompt_and_keeps_the_template(wildcards: Wildcards) -> None:
    wanted = GenerationRequest(prompt="a __thing__", negative_prompt="{fog|rain}", seed=40, num_images=4)
    made = resolve_request(wanted, wildcards)
    assert [one.seed for one in made] == [40, 41, 42, 43]
    assert {one.num_images for one in made} == {1}
    for one in made:
        assert one.prompt == wildcards.resolve("a __thing__", one.seed)
        assert one.negative_prompt in ("fog", "rain")
        assert (one.prompt_template, one.negative_prompt_template) == ("a __thing__", "{fog|rain}")
        assert resolve_request(replace(wanted, num_images=1, seed=one.seed), wildcards) == (one,)
        assert task_from_json(task_to_json(one)) == one
    (fixed,) = resolve_request(GenerationRequest(prompt="{a|b|c|d}", seed=40), wildcards, seed=43)
    assert (fixed.seed, fixed.prompt) == (40, wildcards.resolve("{a|b|c|d}", 43))
