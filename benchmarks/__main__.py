"""`make bench`: our pipeline against diffusers' own, and the times a user waits for. Writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from benchmarks.app.waits import generation_times, seconds_to_page
from benchmarks.machine import this_machine
from benchmarks.pipeline import report
from benchmarks.pipeline.arms import create_arms
from benchmarks.pipeline.measure import Bench, Result
from benchmarks.pipeline.models import control_effect, full_size, miniature
from models.machine.devices import choose_device

WAITS = "waits"
LEAST_EFFECT = 0.01
"""A map must change a prediction by this share, or comparing pictures compares nothing."""


def names() -> list[str]:
    """Return the ids of the measurements."""
    return [WAITS, *(arm.id for arm in create_arms(64))]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="miniatures, in seconds; prints, and writes nothing")
    parser.add_argument(
        "--repeats", metavar="N", type=_pairs, default=7, help="timed pairs; 0 only counts (default: %(default)s)"
    )
    parser.add_argument(
        "--only", metavar="NAME", nargs="+", choices=names(), default=names(), help=f"some of: {', '.join(names())}"
    )
    return parser


def _pairs(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def run(only: Sequence[str], repeats: int, tiny: bool) -> report.Figures:
    """The figures of the measurements named, told as they come."""
    waits = measure_waits() if WAITS in only and not tiny else None
    if not set(only) - {WAITS}:
        return report.Figures(waits=waits)
    models = miniature() if tiny else full_size()
    effect = control_effect(models)
    assert effect > LEAST_EFFECT, f"The map changes predictions by {effect:.2%} only."
    bench, results = Bench(models), list[Result]()
    for arm in create_arms(models.size, default=choose_device("cpu")[1]):
        if arm.id in only:
            print(f"{arm.id} …", file=sys.stderr, flush=True)
            results.append(bench.measure(arm, repeats))
    return report.Figures(tuple(results), waits)


def measure_waits() -> report.Waits:
    """From the app's start to its page, and from a photo to pictures."""
    seconds = {"page": seconds_to_page()} | generation_times()
    return report.Waits(seconds, os.getloadavg()[0], this_machine())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where a gate does not hold."""
    args = build_parser().parse_args(arguments)
    measured = run(args.only, args.repeats, args.tiny)
    print("\n\n".join(report.sections(measured)))
    if not args.tiny:
        report.save(measured if set(args.only) == set(names()) else report.load().updated(measured))
    failed = [result.title for result in measured.results if not result.holds]
    for title in failed:
        print(f"A gate does not hold: {title}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
