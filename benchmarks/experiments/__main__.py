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

from benchmarks.experiments.claims import EXPERIMENTS, Values
from benchmarks.experiments.document import document, section
from benchmarks.experiments.suite import Suite

OUTPUT = Path("build/experiments")


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is missing of the wanted experiments, and write the document once all are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="ID", choices=[row.id for row in EXPERIMENTS], help="may be repeated"
    )
    parser.add_argument("--minutes", type=float, metavar="N", default=1e9, help="begin no run after this time")
    parser.add_argument("--seeds", type=int, metavar="N", help="of each arm, at most")
    parser.add_argument("--output", type=Path, metavar="DIR", default=OUTPUT)
    parser.add_argument(
        "--scale", type=float, metavar="X", default=1.0, help="shorter runs, for a try; writes no document"
    )
    parser.add_argument("--document", type=Path, metavar="FILE", default=Path("docs/experiments.md"))
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    suite, ends = Suite(args.output, args.scale), time.monotonic() + 60 * args.minutes
    sections: list[str] = []
    most = max(row.seeds for row in EXPERIMENTS)
    for seed_count in range(
        1, min(args.seeds or most, most) + 1
    ):  # all arms with one seed first: a suite that is cut has whole tables
        sections = []
        for experiment in EXPERIMENTS:
            if args.only and experiment.id not in args.only:
                continue
            results: dict[str, list[Values]] = {}
            for name, arm in experiment.arms.items():
                for seed in range(min(seed_count, experiment.seeds)):
                    if time.monotonic() > ends:
                        print("The time is over; run the command again to go on.")
                        return 0
                    results.setdefault(name, []).append(suite.result(arm, seed))
            sections.append(section(experiment, results))
    text = document([*sections, "" if args.only else suite.costs()])
    if args.scale == 1.0 and not args.only:
        args.document.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
