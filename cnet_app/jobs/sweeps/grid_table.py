"""What a grid shows: axes with their labels, and a picture or an error for every combination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

from annotators.sources.images import load_image
from models.errors import InputError

NOT_MADE = "not made"


@dataclass(frozen=True)
class GridCell:
    """One cell: its picture, else why there is none."""

    picture: Path | None
    error: str = ""
    score: str = ""
    """Agreement of the picture with its control images, as text; empty where it was not measured."""

    def load(self) -> Pillow.Image | None:
        """Return the picture; None where there is none, or it cannot be read any more."""
        try:
            return Pillow.fromarray(load_image(self.picture)) if self.picture else None
        except InputError:
            return None


@dataclass(frozen=True)
class GridTable:
    """A grid of one to three axes: columns, rows and sheets."""

    title: str
    made: str
    """Date and time as text."""
    recipe: str
    """Settings that the cells share, as text of several lines."""
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    """Title and labels of columns, then of rows, then of sheets."""
    cells: Mapping[tuple[int, ...], GridCell]

    def axis(self, number: int) -> tuple[str, tuple[str, ...]]:
        """Return title and labels of an axis; of one that the grid does not have, one empty label."""
        return self.axes[number] if number < len(self.axes) else ("", ("",))

    @property
    def has_scores(self) -> bool:
        """Return whether any cell has a score."""
        return any(cell.score for cell in self.cells.values())

    @property
    def legend(self) -> str:
        """The titles of columns and rows, as a sentence; those of sheets stand in their headings."""
        titles = [f"{place}: {title}" for place, (title, _) in zip(("Columns", "Rows"), self.axes, strict=False)]
        return "; ".join(titles)

    def sheets(self) -> Iterator[tuple[str, list[tuple[str, list[GridCell]]]]]:
        """Yield heading and rows of each sheet; a row is its label and its cells."""
        (_, columns), (_, rows), (title, sheets) = (self.axis(number) for number in range(3))
        for z, sheet in enumerate(sheets):
            made = [(row, [self._cell(x, y, z) for x in range(len(columns))]) for y, row in enumerate(rows)]
            yield f"{title} {sheet}".strip(), made

    def _cell(self, *place: int) -> GridCell:
        return self.cells.get(place[: len(self.axes)], GridCell(None, NOT_MADE))
