"""Wildcards in prompts: {red|2::green|blue} and __name__, resolved before a request is queued. Loads no torch.

A choice takes one of the texts between its braces, with the weight before `::` or 1; __name__ takes a line of the file
`wildcards/name.txt` in the folder of models, where lines that begin with # are comments. Both nest. `\\{`, `\\}`, `\\__` and,
in a choice, `\\|` are the characters themselves. Wildcards come first: the text that results is read by cnet_app.diffusion.prompt_syntax,
so brackets, their weights, BREAK and every other escape pass through as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from annotators.base import shown
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.limits import MAX_PROMPT
from models.catalogue.places import own_folder
from models.environment import is_public
from models.errors import InputError
from models.names import did_you_mean

FOLDER = "wildcards"
"""In the folder of models."""
ENDING = ".txt"
MAX_DEPTH = 20
"""Levels of braces in a text, and of files that name files."""
MAX_OPTIONS = 1_000
"""Texts in one pair of braces."""
MAX_LINES = 100_000
MAX_BYTES = 10_000_000
"""Of one file."""
MAX_WEIGHT = 1_000_000.0
TEMPLATES: Mapping[str, str] = {
    "prompt": "prompt_template",
    "negative_prompt": "negative_prompt_template",
}
"""Field of a request to the field that keeps its text before wildcards were resolved."""

NAME = r"(?<![^\W_])__(?P<name>[^\W_](?:[^\W_]|[-/]|_(?!_))*)__"
TOKEN = re.compile(rf"(?P<escape>\\(?:[{{}}|]|__))|(?P<pair>\\.)|{NAME}|(?P<brace>[{{}}|])", re.DOTALL)
WEIGHT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)::")


@dataclass(frozen=True)
class File:
    """A wildcard that stands for a line of a file."""

    name: str


@dataclass(frozen=True)
class Choice:
    """Texts of which one is taken, each with its weight."""

    weights: tuple[float, ...]
    options: tuple[Template, ...]


Template = tuple[str | File | Choice, ...]
"""A text taken apart."""


def wildcards_folder() -> Path:
    """Return the user's folder of wildcard files; it need not exist."""
    return own_folder() / FOLDER


def has_wildcards(text: str) -> bool:
    """Return whether a text has a choice, a file's name or an escape of them; any other text stays as it is."""
    return any(found.lastgroup != "pair" and found[0][-1] != "|" for found in TOKEN.finditer(text))


class Wildcards:
    """The files of a folder, each read once. Every method raises InputError for a text that cannot be resolved."""

    def __init__(self, folder: Path | None = None, follows_links: bool | None = None) -> None:
        """Without a `folder` it is `wildcards_folder()`; `follows_links` also reads files that links in it lead to, as
        is usual where visitors are no strangers.
        """
        self._follows_links = not is_public() if follows_links is None else follows_links
        self._folder = folder or wildcards_folder()
        self._files: dict[str, Choice] = {}
        self._counts: dict[str, int] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the files, as they are written between underscores."""
        found = (path.relative_to(self._folder) for path in self._folder.rglob(f"*{ENDING}"))
        return tuple(sorted(path.as_posix().removesuffix(ENDING) for path in found))

    def resolve(self, text: str, seed: int, field: str = "prompt") -> str:
        """Return the text with its wildcards resolved; the same for the same text, files, seed and field."""
        if not has_wildcards(text):
            return text
        self.count(text, field)
        random = Random(f"{field} {seed}")  # a text as seed is hashed: neighbouring seeds have nothing in common
        parts: list[str] = []
        length = 0
        for part in self._parts(parse_template(text, field), random):
            parts.append(part)
            length += len(part)
            if max(length, len(parts)) > MAX_PROMPT:
                raise InputError(
                    f"The wildcards of {field} make more than {MAX_PROMPT:,} characters or choices; shorten them."
                )
        return "".join(parts)

    def count(self, text: str, field: str = "prompt") -> int:
        """Return the number of combinations that a text stands for, equal ones counted each; 1 without wildcards."""
        return math.prod(self.factors(text, field))

    def factors(self, text: str, field: str = "prompt") -> tuple[int, ...]:
        """Return the number of texts that each wildcard of a text, those inside others not counted, stands for."""
        parts = parse_template(text, field) if has_wildcards(text) else ()
        return tuple(self._count_part(part, ()) for part in parts if not isinstance(part, str))

    def _parts(self, template: Template, random: Random) -> Iterator[str]:
        for part in template:
            if isinstance(part, str):
                yield part
            else:
                choice = part if isinstance(part, Choice) else self._file(part.name)
                yield ""  # one that adds no text is counted too
                yield from self._parts(choice.options[_pick(choice.weights, random)], random)

    def _count(self, template: Template, above: tuple[str, ...]) -> int:
        return math.prod(self._count_part(part, above) for part in template)

    def _count_part(self, part: str | File | Choice, above: tuple[str, ...]) -> int:
        """`above` are the files that are being counted, the outermost first."""
        if isinstance(part, str):
            return 1
        if isinstance(part, Choice):
            return sum(self._count(option, above) for option in part.options)
        name = part.name
        if name in above:
            raise InputError(f"The wildcards {_shown((*above[above.index(name) :], name))} go in a circle; break it.")
        if len(above) >= MAX_DEPTH:
            raise InputError(f"The wildcard {_shown(above[:1])} leads through more than {MAX_DEPTH} files; use fewer.")
        if name not in self._counts:
            self._counts[name] = self._count_part(self._file(name), (*above, name))
        return self._counts[name]

    def _file(self, name: str) -> Choice:
        if name not in self._files:
            self._files[name] = self._read(name)
        return self._files[name]

    def _read(self, name: str) -> Choice:
        path = self._folder / f"{name}{ENDING}"
        try:
            if not self._follows_links and not path.resolve().is_relative_to(self._folder.resolve()):
                raise FileNotFoundError(path)
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError):
            hint = did_you_mean(name, self.names())
            raise InputError(
                f"There is no wildcard __{name}__{hint}; put {name}{ENDING} into {self._folder}, one text a line."
            ) from None
        if len(data) > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES / 1e6:g} MB; make several files of it.")
        try:
            lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not text in UTF-8; save it as UTF-8.") from error
        numbered = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
        if not 0 < len(numbered) <= MAX_LINES:
            raise InputError(
                f"{path} has {len(numbered):,} texts, but it must have 1 to {MAX_LINES:,}, one a line, none beginning with #."
            )
        return _choice([(line, f"Line {number} of {path.name}") for number, line in numbered])


def resolve_request(
    request: GenerationRequest,
    wildcards: Wildcards,
    seed: int | None = None,
    fields: Collection[str] = tuple(TEMPLATES),
) -> tuple[GenerationRequest, ...]:
    """Return the requests to queue for one that a user wrote: itself where its prompts have no wildcards.

    Else one a picture, for each has its own prompts: picture i resolves them by seed + i and keeps the texts as
    `prompt_template` and `negative_prompt_template`. Prompts of a recipe are resolved already and never come here. `seed`
    takes the place of the request's for the wildcards alone, and `fields` are the prompts that may have any. Raises InputError.
    """
    texts = {name: text for name in fields if has_wildcards(text := str(getattr(request, name)))}
    if not texts:
        return (request,)
    first = request.seed if seed is None else seed
    made: list[GenerationRequest] = []
    for index in range(request.num_images):
        resolved = {name: wildcards.resolve(text, first + index, name) for name, text in texts.items()}
        templates = {TEMPLATES[name]: text for name, text in texts.items()}
        made.append(replace(request.only_picture(index), **resolved, **templates))
    return tuple(made)


def parse_template(text: str, name: str = "prompt") -> Template:
    """Return a text taken apart; InputError, which calls the text `name`, where its braces do not match."""
    return _Parser(text, name).parse()


class _Parser:
    """One pass over a text."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        self._place = 0
        """Of the first character that is not read yet."""

    def parse(self, opened: int | None = None, depth: int = 0) -> Template:
        """Read to the end, or, where a brace was opened at that place, to its next | or }."""
        parts: list[str | File | Choice] = []
        while found := TOKEN.search(self._text, self._place):
            parts.append(self._text[self._place : found.start()])
            if found["brace"] in ("|", "}") and opened is not None:
                self._place = found.start()
                return _joined(parts)
            self._place = found.end()
            if found["brace"] == "{":
                parts.append(self._choice(found.start(), depth + 1))
            elif found["brace"] == "}":
                raise self._unbalanced(found.start(), "closes what no { opens")
            elif found["name"]:
                parts.append(File(found["name"]))
            elif found["escape"] and (opened is not None or found[0] != r"\|"):
                parts.append(found[0][1:])
            else:
                parts.append(found[0])
        if opened is not None:
            raise self._unbalanced(opened, "is closed by no }")
        return _joined([*parts, self._text[self._place :]])

    def _choice(self, opened: int, depth: int) -> Choice:
        if depth > MAX_DEPTH:
            raise InputError(f"The braces of {self._name} are nested more than {MAX_DEPTH} levels deep; use fewer.")
        weights: list[float] = []
        options: list[Template] = []
        while not options or self._text[self._place - 1] == "|":
            weight = WEIGHT.match(self._text, self._place)
            self._place = weight.end() if weight else self._place
            weights.append(_weight(weight[1] if weight else "1", self._name))
            options.append(self.parse(opened, depth))
            self._place += 1
            if len(options) > MAX_OPTIONS:
                raise InputError(
                    f"A pair of braces in {self._name} has more than {MAX_OPTIONS:,} texts; put them into a wildcard file."
                )
        return Choice(tuple(weights), tuple(options))

    def _unbalanced(self, place: int, fault: str) -> InputError:
        near = self._text[max(place - 10, 0) : place + 20]
        return InputError(
            f"The brace at character {place + 1} of {self._name} {fault}, near {shown(near)}; "
            "complete the pair, or write \\{ and \\} for braces that are meant."
        )


def _choice(lines: list[tuple[str, str]]) -> Choice:
    """The choice of a file's lines, each with what a message calls it."""
    weights: list[float] = []
    options: list[Template] = []
    for line, name in lines:
        weight = WEIGHT.match(line)
        weights.append(_weight(weight[1] if weight else "1", name))
        options.append(parse_template(line[weight.end() :] if weight else line, name))
    return Choice(tuple(weights), tuple(options))


def _weight(text: str, name: str) -> float:
    weight = float(text)
    if not 0 < weight <= MAX_WEIGHT:
        raise InputError(f"{name} has the weight {text}, but it must be above 0 and at most {MAX_WEIGHT:,.0f}.")
    return weight


def _pick(weights: tuple[float, ...], random: Random) -> int:
    """The index of a weight; `Random.random` is the one method whose numbers are the same in every Python."""
    rest = random.random() * math.fsum(weights)
    for index, weight in enumerate(weights):
        rest -= weight
        if rest < 0:
            return index
    return len(weights) - 1


def _joined(parts: list[str | File | Choice]) -> Template:
    """Texts that follow each other as one; empty ones left out."""
    joined: list[str | File | Choice] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


def _shown(names: tuple[str, ...]) -> str:
    return " → ".join(f"__{name}__" for name in names)
