"""The recipe of another program, as far as it can be read, before its names are matched with models of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cnet_app.registry.conditions import condition
from cnet_app.registry.samplers import find_sampler

MOST_NOTED = 40
"""Entries of a list of what was left out."""
LONGEST_NOTE = 200
"""Characters of an entry."""


@dataclass(frozen=True)
class NamedModel:
    """A model as another program names it: by a file's name, perhaps with a folder, by a hash of the file, or by both."""

    name: str = ""
    hash: str = ""
    """The beginning of a sha256 in hexadecimal digits, of the file or of its tensors; empty where there is none."""

    def __bool__(self) -> bool:
        return bool(self.name or self.hash)

    def __str__(self) -> str:
        return f"{self.name} (hash {self.hash})" if self.name and self.hash else self.name or f"hash {self.hash}"


@dataclass(frozen=True)
class ForeignLora:
    """A LoRA in use."""

    model: NamedModel
    scale: float = 1.0


@dataclass(frozen=True)
class ForeignControl:
    """A use of a ControlNet. Its control image is not in the file."""

    condition: str | None
    """A row of the registry, as far as the names tell."""
    model: NamedModel
    module: str = ""
    """The annotator's name there."""
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __str__(self) -> str:
        names = [condition(self.condition).title if self.condition else "", str(self.model), self.module]
        named = ", ".join(name for name in names if name) or "without a name"
        return (
            f"ControlNet {named}: control strength {self.weight:g}, from {self.start:.0%} to {self.end:.0%} of the steps "
            "(its control image is not in the file)"
        )


@dataclass(frozen=True, kw_only=True)
class ForeignRecipe:
    """What a program wrote into a picture; None where it is not there or cannot be read."""

    program: str
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    """A row of cnet_app.registry.samplers."""
    width: int | None = None
    height: int | None = None
    base: NamedModel = NamedModel()
    vae: NamedModel = NamedModel()
    loras: tuple[ForeignLora, ...] = ()
    controls: tuple[ForeignControl, ...] = ()
    left_out: tuple[str, ...] = ()
    """What could not be taken, by name and value."""


def find_scheduler(name: str, schedule: str, left_out: list[str]) -> str | None:
    """Return the id of a sampler, with its schedule where there is such a row; what is not taken joins `left_out`."""
    if not name:
        return None
    row = find_sampler(name, schedule)
    if row is None and schedule:
        row = find_sampler(name)
        left_out.append(f"noise schedule: {schedule}" if row else f"sampler: {name}, {schedule}")
    elif row is None:
        left_out.append(f"sampler: {name}")
    return row.id if row else None


def note(name: str, value: object) -> str:
    """Return an entry of what was left out; of a list or an object its name alone."""
    return f"{name}: {value}" if isinstance(value, str | int | float) else name


def one_line(text: str) -> str:
    """Return a foreign text for a message: shortened, and without characters that a terminal would obey or refuse."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_NOTE])
    line = " ".join(plain.split())
    return line if len(line) <= LONGEST_NOTE else f"{line[:LONGEST_NOTE]}…"


def shortened(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the notes without repetitions, on one line each, and not too many."""
    short = list(dict.fromkeys(map(one_line, notes)))
    more = len(short) - MOST_NOTED
    return (*short[:MOST_NOTED], f"{more} more") if more > 0 else tuple(short)
