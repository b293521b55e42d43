"""Notes on the data of a training, made before they are encoded."""

from __future__ import annotations

from collections.abc import Iterator

from cnet_app.training.data.pairs import DataSet
from cnet_app.training.data.readers import not_read

SHOWN = 3
"""Problems that are named; `data check` names all."""


def notes_on_data(data: DataSet) -> Iterator[str]:
    """Yield a sentence about each kind of thing in a data set that is not used."""
    if problems := data.problems:
        first = " ".join(problem.message for problem in problems[:SHOWN])
        more = f" And {len(problems) - SHOWN} more." if len(problems) > SHOWN else ""
        count = "One part" if len(problems) == 1 else f"{len(problems)} parts"
        yield f"{count} of {data.folder} cannot be used; data check has the whole list. {first}{more}"
    if text := not_read(data.skipped):
        yield f"{data.folder}: {text}"
