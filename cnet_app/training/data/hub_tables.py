"""Data sets as the hub's library writes them: a folder of `save_to_disk`, or parquet files. Loads no torch.

They are read by pyarrow, which the package datasets brings: Arrow files memory-mapped, parquet files a row group at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cnet_app.training.data.pairs import Pair, Problem, Source
from models.errors import InputError

LIBRARY = "pyarrow"
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
"""Files of `save_to_disk`: of one split, and of several."""
SPLIT = "train"
"""Taken where there are several; else the first."""
PARTS = 4
"""Row groups and files that are held at once."""


@dataclass(frozen=True)
class Cell(Source):
    """A picture in a table's file; `offset` is its row in the group."""

    group: int = 0
    column: str = ""

    def read(self) -> bytes:
        """Return the picture's file; InputError where the table is gone or the cell is empty."""
        try:
            value: Any = read_part(self.path, self.group)[self.column][self.offset].as_py()
            if isinstance(value, bytes):
                return value
            held: Mapping[str, Any] = value
            return held["bytes"] if held["bytes"] is not None else Path(held["path"]).read_bytes()
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{self.title} cannot be read ({error}); get the data set again.") from error


def is_table(folder: Path) -> bool:
    """Return whether a folder has tables of the hub's library."""
    return any((folder / name).is_file() for name in (SAVED, SAVED_SPLITS)) or bool(_parquet(folder))


def read_table(
    folder: Path, images: Sequence[str], controls: Sequence[str], texts: Sequence[str]
) -> tuple[list[Pair], list[Problem]]:
    """Return the pairs of a table, whose columns have one of these names. Raises InputError."""
    if find_spec(LIBRARY) is None:
        raise InputError(
            f"{folder} is a table of the hub's library, which needs the package datasets; run `pip install datasets`."
        )
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for path in _files(folder):
        where = path.relative_to(folder).as_posix()
        try:
            pairs += _pairs_of(path, where, (images, controls, texts))
        except (OSError, ValueError, LookupError) as error:
            problems.append(Problem("unreadable", where, f"{where} cannot be read ({error}); get the file again."))
    problems += [
        Problem(
            "missing", pair.where, f"{pair.where} names no map; its column is one of: {', '.join(controls)}.", pair.name
        )
        for pair in pairs
        if pair.control is None
    ]
    return pairs, problems


def _pairs_of(path: Path, where: str, names: Sequence[Sequence[str]]) -> Iterator[Pair]:
    """Raises ValueError where no column has pictures."""
    for group in range(_groups(path)):
        part = read_part(path, group)
        image, control, text = (next((name for name in some if name in part.column_names), None) for some in names)
        if image is None:
            raise ValueError(f"its columns are {', '.join(part.column_names)}, and none of {', '.join(names[0])}")
        texts: Sequence[Any] = part[text].to_pylist() if text else [""] * len(part)
        for row, caption in enumerate(texts):
            at = f"{group}.{row}"
            halves = [Cell(path, row, None, f"{one}[{at}]", group, one) if one else None for one in (image, control)]
            words = caption.strip() if isinstance(caption, str) else ""
            assert halves[0] is not None
            yield Pair(f"{path.stem}/{at}", halves[0], halves[1], words, f"{where}, row {at}")


def _groups(path: Path) -> int:
    parquet: Any = import_module("pyarrow.parquet")
    return parquet.ParquetFile(path).num_row_groups if path.suffix == ".parquet" else 1


@lru_cache(maxsize=PARTS)
def read_part(path: Path, group: int) -> Any:
    """Return a row group of a parquet file, or an Arrow file, as pyarrow's table. Raises OSError and ValueError."""
    pyarrow: Any = import_module("pyarrow")
    if path.suffix == ".parquet":
        parquet: Any = import_module("pyarrow.parquet")
        return parquet.ParquetFile(path).read_row_group(group)
    return pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all()


def _files(folder: Path) -> list[Path]:
    if found := _parquet(folder):
        return found
    if (folder / SAVED_SPLITS).is_file():
        splits: list[str] = json.loads((folder / SAVED_SPLITS).read_text(encoding="utf-8"))["splits"]
        folder = folder / (SPLIT if SPLIT in splits else splits[0])
    return sorted(folder.glob("*.arrow"))


def _parquet(folder: Path) -> list[Path]:
    return sorted((*folder.glob("*.parquet"), *folder.glob(f"data/{SPLIT}*.parquet")))
