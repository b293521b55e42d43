"""Random, damaged and hostile inputs: `python -m benchmarks.fuzz` reads thousands of them and keeps each that is not answered.

An answer is a result or a sentence. A traceback, an input that takes 10 seconds, a process of 2 GB or one that ends are findings.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.attempt import REPORT, Outcome, attempt, put_files
from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.report import table
from benchmarks.fuzz.watch import parts, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="over all kinds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of each kind's first input (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=[kind.id for kind in KINDS], help="one kind; may be repeated"
    )
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder of the findings (default: %(default)s)")
    parser.add_argument("--replay", type=Path, help="folder of one finding, to be read again")
    args = parser.parse_args(arguments)
    if args.replay:
        return replay(args.replay)
    kinds = [kind for kind in KINDS if kind.id in (args.only or [kind.id])]
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for outcome in run(parts(kinds, args.inputs, args.first), args.seed, Path(folder), args.out):
            outcomes.append(outcome)
            if outcome.end == "finding":
                place = args.out / f"{outcome.kind}-{outcome.number}"
                print(f"{place}: {outcome.what.strip().splitlines()[-1][:300]}", file=sys.stderr, flush=True)
    print(table(kinds, outcomes))
    print(f"\n{len(outcomes):,} inputs, seed {args.seed}, in {time.monotonic() - began:.0f} s.")
    return 1 if any(outcome.end == "finding" for outcome in outcomes) else 0


def replay(place: Path) -> int:
    """Read the files of one finding again and print how that ends; 1 where it is one still."""
    kind = next(kind for kind in KINDS if kind.id == place.name.rpartition("-")[0])
    files = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    files.pop(REPORT, None)
    with tempfile.TemporaryDirectory() as folder, kind.open(Path(folder) / "own") as read:
        put_files(Path(folder) / "input", files)
        outcome = attempt(kind, 0, read, Path(folder) / "input")
    print(f"{outcome.end} after {outcome.seconds:.2f} s, {outcome.megabytes:.0f} MB\n{outcome.what}")
    return 1 if outcome.end == "finding" else 0


if __name__ == "__main__":
    sys.exit(main())
