"""`python -m benchmarks.doctor`: how long the dataset doctor takes for 10,000 pairs, whom it accuses, and what it finds."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.data.drawn_pairs import write_pairs
from benchmarks.data.seeded_faults import ALL, VALIDATION, seed_faults
from cnet_app.training.data.doctor import CHUNK, WORKERS, check_data
from cnet_app.training.data.pairs import DataSet, Problem
from cnet_app.training.data.readers import read_data

PAIRS = 10_000
FEW = 4 * CHUNK
"""Pairs of a check that shows what starting costs."""
MOST_SECONDS = 60
"""On two cores, so twice as many of one core's time."""


@dataclass(frozen=True)
class Figures:
    """Figures of one condition's data."""

    condition: str
    seconds: float
    """Wall time for 10,000 clean pairs."""
    cpu_seconds: float
    """The same of all processes' own time."""
    accused: tuple[str, ...]
    """Messages about clean pairs."""
    seeded: int
    found: int
    wrong: int
    """Pairs that were accused of what was not seeded."""


def measure(folder: Path, condition: str, count: int, side: int, workers: int = WORKERS) -> Figures:
    """Write a clean data set, check it, spoil some of its pairs, and check it again."""
    write_pairs(folder, condition, count, side)
    clean = read_data(folder)
    few = replace(clean, pairs=clean.pairs[:FEW])
    _, *start = _timed(few, condition, side, workers)
    accused, *whole = _timed(clean, condition, side, workers)
    seconds, own = (
        one + (PAIRS - FEW) * max(0.0, two - one) / (count - FEW) for one, two in zip(start, whole, strict=True)
    )
    expected = seed_faults(folder, condition)
    validation = read_data(folder.with_name(f"{folder.name}-{VALIDATION}"))
    problems = check_data(read_data(folder), condition, validation=validation, size=side, workers=workers)
    named = {(problem.kind, problem.pair) for problem in problems}
    messages = tuple(problem.message for problem in accused)
    return Figures(condition, seconds, own, messages, len(expected), len(expected & named), len(named - expected))


def _timed(data: DataSet, condition: str, side: int, workers: int) -> tuple[tuple[Problem, ...], float, float]:
    """Return the problems, wall time and CPU time of a check."""
    wall, own = time.perf_counter(), _cpu_seconds()
    problems = check_data(data, condition, size=side, workers=workers)
    return problems, time.perf_counter() - wall, _cpu_seconds() - own


def _cpu_seconds() -> float:
    """Return the time of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a pair is accused, a fault missed, or the time too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doctor", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="of each condition (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="side of picture and map in px (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, help="some of the conditions")
    args = parser.parse_args(arguments)
    rows: list[Figures] = []
    print(f"{args.pairs} pairs of each condition, {args.size} px PNG; load of the machine {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for condition in args.only:
            row = measure(Path(folder) / condition, condition, args.pairs, args.size)
            rows.append(row)
            print(
                f"{condition}: {row.seconds:.0f} s and {row.cpu_seconds:.0f} CPU s for {PAIRS:,} pairs; "
                f"{len(row.accused)} clean pairs accused; {row.found} of {row.seeded} faults found, {row.wrong} wrongly",
                *row.accused,
                sep="\n  ",
                flush=True,
            )
    cpu = sum(row.cpu_seconds for row in rows) / len(rows)
    print(f"Mean: {cpu:.0f} CPU s for {PAIRS:,} pairs; at most {WORKERS * MOST_SECONDS} is the aim.")
    right = all(not row.accused and row.found == row.seeded and not row.wrong for row in rows)
    return 0 if right and cpu <= WORKERS * MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
