"""`python -m benchmarks.reference_strength`: which forms of strength work for a reference latent. Writes docs/reference-strength.md.

A training that was stopped goes on, weights are cached in --output, and figures that are known are not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.reference_strength.document import DRAWING, curves, document
from benchmarks.reference_strength.network import Plan, train
from benchmarks.reference_strength.study import Sampling, Study
from benchmarks.reference_strength.verdicts import judge

OUTPUT, DOCUMENT = Path("build/reference_strength"), Path("docs/reference-strength.md")
TINY = Plan(heads=1, double=1, single=1, batch=2, steps=4)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and sample what is missing, and write the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference_strength", description=__doc__)
    parser.add_argument("--seeds", type=int, metavar="N", default=3, help="trainings (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", default=OUTPUT, help="of the weights (default: %(default)s)"
    )
    parser.add_argument("--document", type=Path, metavar="FILE", default=DOCUMENT)
    parser.add_argument(
        "--tiny", action="store_true", help="a few steps of a smaller network, for a try; writes into --output"
    )
    args = parser.parse_args(argv)
    plan, sampling = (TINY, Sampling(maps=3, steps=4)) if args.tiny else (Plan(), Sampling())
    page: Path = args.output / args.document.name if args.tiny else args.document
    plans = [replace(plan, seed=seed) for seed in range(args.seeds)]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    study = Study(page.with_suffix(".jsonl"), sampling)
    for row in plans:
        study.measure(train(row, args.output), row)
    findings = judge(study.all(plans))
    page.write_text(document(findings, plans, sampling), encoding="utf-8")
    (images / DRAWING).write_text(curves(findings), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
