"""Prompts that change from step to step, and prompts of several parts, as AUTOMATIC1111's web UI reads them.

[from:to:when] is the first text up to a step, then the second; [to:when] and [from::when] leave one of them out. `when` with
a point is a fraction of the steps, without one a number of steps. [one|other|…] takes the next text at every step. Both nest,
in round brackets too; `\\:` and `\\|` inside are the characters themselves. What has no such meaning stays as it is, and is
read by prompt_syntax. AND joins parts that pull on the picture each by itself, with a weight behind a colon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from textwrap import shorten

from cnet_app.diffusion.prompt_syntax import MAX_WEIGHT, NUMBER, bounded, matching_brackets, parse_prompt
from models.errors import InputError

WHEN = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*")
AND = re.compile(r"\bAND\b")
MAX_PARTS = 8
SHOWN = 60
"""Letters of a text in a note."""


@dataclass
class _Bracket:
    """A pair of brackets on the way through a prompt: the texts so far, and what divides them."""

    opening: str = ""
    texts: list[list[str]] = field(default_factory=lambda: [[]])
    marks: list[str] = field(default_factory=list[str])

    def divide(self, mark: str) -> None:
        self.marks.append(mark)
        self.texts.append([])

    def at(self, step: int, steps: int) -> str:
        """Return the text of these brackets at a step."""
        texts = ["".join(parts) for parts in self.texts]
        if "|" in self.marks:
            return _plain(_turns(texts, self.marks, step))
        when = WHEN.fullmatch(texts[-1]) if len(texts) in (2, 3) else None
        if when is None:
            closing = {"(": ")", "[": "]"}.get(self.opening, "")
            return f"{self.opening}{':'.join(texts)}{closing}"
        before, after = ("", texts[0]) if len(texts) == 2 else texts[:2]
        return _plain(before if step < _last_step(when[1], steps) else after)


def prompt_at(prompt: str, step: int, steps: int) -> str:
    """Return the text of a prompt at step 0 … steps - 1."""
    closing = matching_brackets(prompt)
    closes = set(closing.values())
    inside = [_Bracket()]
    place = 0
    while place < len(prompt):
        letter = prompt[place]
        if place in closing:
            inside.append(_Bracket(letter))
        elif place in closes:
            text = inside.pop().at(step, steps)
            inside[-1].texts[-1].append(text)
        elif letter in ":|" and inside[-1].opening == "[":
            inside[-1].divide(letter)
        else:
            inside[-1].texts[-1].append(prompt[place : place + 2] if letter == "\\" else letter)
            place += letter == "\\"
        place += 1
    return inside[0].at(step, steps)


def prompts_by_step(prompt: str, steps: int) -> tuple[str, ...]:
    """Return the text of a prompt at each step."""
    if "[" not in prompt:
        return (prompt,) * steps
    return tuple(prompt_at(prompt, step, steps) for step in range(steps))


def split_parts(text: str) -> tuple[tuple[str, float], ...]:
    """Return the parts of a text between ANDs, at least one, each with its weight; InputError for too many."""
    parts = AND.split(text)
    if len(parts) == 1:
        return ((text, 1.0),)
    if len(parts) > MAX_PARTS:
        raise InputError(
            f"The prompt has {len(parts)} parts joined by AND, but at most {MAX_PARTS} work together; leave some out."
        )
    return tuple(_weighed(part) for part in parts)


def without_and(text: str) -> str:
    """Return a text as one part, for whoever reads no more than one."""
    return ", ".join(part.strip() for part in AND.split(text)) if AND.search(text) else text


def syntax_notes(name: str, prompt: str, steps: int, parts: bool = True, weights: bool = True) -> Iterator[str]:
    """A sentence for what a prompt means beyond its words; `parts` and `weights` where AND and weights have a meaning there."""
    texts = prompts_by_step(prompt, steps)
    yield from _change_notes(name, prompt, texts)
    found = dict.fromkeys(texts)
    most = max(len(AND.findall(text)) + 1 for text in found)
    if most > 1 and parts:
        yield f"{name} has {most} parts joined by AND: each is read by itself, and makes a step slower."
    elif most > 1:
        yield f"AND joins parts of prompt alone: {name} is read as one text, with commas in the place of AND."
    if weights:
        yield from _weight_notes(name, found)


def _weight_notes(name: str, texts: Iterable[str]) -> Iterator[str]:
    """A sentence for the first weight below 0, and for the first out of bounds."""
    phrases = [phrase for text in texts for section in parse_prompt(text) for phrase in section]
    negative = next((phrase for phrase in phrases if phrase.weight < 0), None)
    bound = next((phrase for phrase in phrases if abs(phrase.weight) == MAX_WEIGHT), None)
    if negative:
        yield (
            f"{name} gives {_quoted(negative.text)} the weight {negative.weight:g}: below 0 a meaning is turned round only "
            "roughly; negative_prompt keeps things out more surely."
        )
    if bound:
        yield f"{name} gives {_quoted(bound.text)} the weight {bound.weight:g}, the most that a weight can be."


def _change_notes(name: str, prompt: str, texts: tuple[str, ...]) -> Iterator[str]:
    changes = [step for step in range(1, len(texts)) if texts[step] != texts[step - 1]]
    if len(changes) == 1:
        last = changes[0]
        yield f"{name} is {_quoted(texts[0])} up to step {last} of {len(texts)}, then {_quoted(texts[-1])}."
    elif changes:
        yield (
            f"{name} changes {len(changes)} times in {len(texts)} steps, at first from {_quoted(texts[0])} to "
            f"{_quoted(texts[changes[0]])}."
        )
    elif texts[0] != prompt:
        yield f"No change that {name} names falls between its {len(texts)} steps: it is {_quoted(texts[0])} throughout."


def _turns(texts: list[str], marks: list[str], step: int) -> str:
    """Return the text whose turn it is; a colon between turns is a letter."""
    turns = [texts[0]]
    for mark, text in zip(marks, texts[1:], strict=True):
        if mark == "|":
            turns.append(text)
        else:
            turns[-1] += f":{text}"
    return turns[step % len(turns)]


def _last_step(when: str, steps: int) -> int:
    """Return how many steps come before a change."""
    number = float(when) * (steps if "." in when else 1)
    return int(min(max(number, 0), steps))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: found[1] if found[1] in ":|" else found[0], text, flags=re.DOTALL)


def _weighed(part: str) -> tuple[str, float]:
    found = NUMBER.search(part)
    return (part[: found.start()].strip(), bounded(float(found[1]))) if found else (part.strip(), 1.0)


def _quoted(text: str) -> str:
    return f'"{shorten(text.strip(), SHOWN, placeholder=" …")}"'
