"""The syntax of prompts: (more weight), (this weight:1.3), [less weight], \\( a bracket \\), and BREAK for a new chunk.

Brackets multiply: by 1.1, by the number given, which may be below 0, or by 1 / 1.1. One without its other half is text like
any other. Prompts that change from step to step are resolved first, by prompt_schedule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

MORE_WEIGHT = 1.1
OTHER_HALF = {")": "(", "]": "["}
NUMBER = re.compile(r":\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*$")
MAX_WEIGHT = 100.0
"""Of a phrase, with all brackets around it, in either direction."""
BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Phrase:
    """Words with one weight."""

    text: str
    weight: float = 1.0


Section = tuple[Phrase, ...]


def parse_prompt(prompt: str) -> tuple[Section, ...]:
    """Return the sections between BREAKs, at least one, without brackets and escapes."""
    sections: list[list[Phrase]] = [[]]
    for weight, letters in groupby(_weighed_letters(prompt), key=itemgetter(1)):
        first, *others = BREAK.split("".join(letter for letter, _ in letters))
        sections[-1].append(Phrase(first, weight))
        sections += [[Phrase(words, weight)] for words in others]
    return tuple(tuple(phrase for phrase in section if phrase.text.strip()) for section in sections)


def plain_words(prompt: str) -> str:
    """Return a prompt without brackets, weights, escapes and BREAKs, for an encoder that reads sentences."""
    return BREAK.sub(" ", "".join(letter for letter, _ in _weighed_letters(prompt)))


def has_weights(prompt: str) -> bool:
    """Return whether any words have another weight than 1."""
    return any(weight != 1 for _, weight in _weighed_letters(prompt))


def bounded(weight: float) -> float:
    """Return a weight within MAX_WEIGHT."""
    return min(max(weight, -MAX_WEIGHT), MAX_WEIGHT)


def _weighed_letters(prompt: str) -> Iterator[tuple[str, float]]:
    """Yield every letter that is no bracket, with the product of the weights around it."""
    closing = matching_brackets(prompt)
    closes = set(closing.values())
    numbers: dict[int, int] = {}
    weights, place = [1.0], 0
    while place < len(prompt):
        letter = prompt[place]
        if place in closing:
            number = NUMBER.search(prompt, place + 1, closing[place]) if letter == "(" else None
            if number:
                numbers[number.start()] = closing[place]
            factor = float(number[1]) if number else MORE_WEIGHT if letter == "(" else 1 / MORE_WEIGHT
            weights.append(bounded(weights[-1] * factor))
        elif place in closes:
            weights.pop()
        elif place in numbers:
            place = numbers[place] - 1
        else:
            if letter == "\\" and prompt[place + 1 : place + 2] in ("(", ")", "[", "]", "\\"):
                place += 1
            yield prompt[place], weights[-1]
        place += 1


def matching_brackets(prompt: str) -> dict[int, int]:
    """Return the places of opening brackets with those of their closing ones; a bracket without its other half is left out."""
    pairs: dict[int, int] = {}
    open_places: list[int] = []
    waiting: Counter[str] = Counter()
    escaped = False
    for place, letter in enumerate(prompt):
        if escaped or letter == "\\":
            escaped = not escaped
        elif letter in "([":
            open_places.append(place)
            waiting[letter] += 1
        elif letter in OTHER_HALF and waiting[OTHER_HALF[letter]]:
            while prompt[open_places[-1]] != OTHER_HALF[letter]:
                waiting[prompt[open_places.pop()]] -= 1
            waiting[OTHER_HALF[letter]] -= 1
            pairs[open_places.pop()] = place
    return pairs
