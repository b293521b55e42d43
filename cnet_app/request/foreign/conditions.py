"""The condition of a ControlNet by the names of its file and its annotator in other programs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from cnet_app.registry.conditions import CONDITIONS

SHORTEST_PART = 5
"""Letters from which a name is also looked for inside words."""


def condition_of(*names: str) -> str | None:
    """Return the id of the condition that the first telling name names; None where none tells."""
    for name in names:
        short = name[-200:].lower()
        words, plain = _words(short), _plain(short)
        known = list(_known())
        found = next((id for one, id in known if one in words), None)
        found = found or next((id for one, id in known if len(one) >= SHORTEST_PART and one in plain), None)
        if found:
            return found
    return None


def _known() -> Iterator[tuple[str, str]]:
    """Yield every name and its condition, the longest first."""
    pairs = [(_plain(name), row.id) for row in CONDITIONS for name in (row.id, *row.names)]
    yield from sorted(pairs, key=lambda pair: -len(pair[0]))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


def _words(name: str) -> set[str]:
    """The words of a name, and each two that follow one another as one."""
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word]
    return {*words, *(first + second for first, second in itertools.pairwise(words))}
