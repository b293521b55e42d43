"""The paper's claims in miniature: `python -m benchmarks.experiments` trains on the embedded base and writes a document.

Every run is one training by cnet_app.training, of one arm with one seed; its figures are kept in OUTPUT/results.jsonl, so that
the suite can be cut into pieces (`--only ID`, `--minutes N`) and goes on where it was. Runs that several experiments share are
made once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.experiments.claims import EXPERIMENTS
from benchmarks.experiments.curves import curves
from benchmarks.experiments.document import document, drawing_name, section
from benchmarks.experiments.suite import Suite

OUTPUT, RESULTS = Path("build/experiments"), Path("docs/experiments.jsonl")


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing of the wanted experiments, and write the document once all are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="ID", choices=[row.id for row in EXPERIMENTS], help="may be repeated"
    )
    parser.add_argument("--minutes", type=float, metavar="N", default=1e9, help="begin no run after this time")
    most = max(row.seeds for row in EXPERIMENTS)
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=most, help="of each arm, at most (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", default=OUTPUT)
    parser.add_argument(
        "--scale", type=float, metavar="X", default=1.0, help="shorter runs, for a try; writes no document"
    )
    parser.add_argument("--document", type=Path, metavar="FILE", default=Path("docs/experiments.md"))
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    is_try = args.scale != 1
    suite = Suite(args.output, args.output / RESULTS.name if is_try else RESULTS, args.scale)
    wanted = [row for row in EXPERIMENTS if not args.only or row.id in args.only]
    ends = time.monotonic() + 60 * args.minutes
    for seed in range(args.seeds):  # all arms with one seed first: a suite that is cut has whole tables
        for experiment in (row for row in wanted if seed < row.seeds):
            for arm in experiment.arms.values():
                if time.monotonic() > ends:
                    print("The time is over; run the command again to go on.")
                    return 0
                suite.result(arm, seed)
        text = document([*(section(row, suite.results(row)) for row in wanted), "" if args.only else suite.costs()])
        if is_try or args.only:
            print(text)
        else:
            args.document.write_text(text, encoding="utf-8")
            for row in wanted:
                drawing = args.document.parent / "images" / drawing_name(row)
                drawing.write_text(curves(row, suite.results(row)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
