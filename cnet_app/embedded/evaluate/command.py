"""`evaluate embedded` and `evaluate annotators`: their reports, as tables or as JSON."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from cnet_app.embedded.evaluate.conditions import measured_rows
from cnet_app.embedded.options import check_names, check_whole, refuse_unused
from models.errors import SaveError

WHAT = {
    "embedded": "measure the embedded model on held-out scenes",
    "annotators": "measure the annotators on scenes of known depth and pose",
}
COUNT, STEPS, WORKERS = 128, 20, 2
MOST_SCENES, MOST_STEPS, MOST_WORKERS = 100_000, 1_000, 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of both. A default of None shows that a flag was not given."""
    parser.add_argument("--count", metavar="N", type=int, help=f"held-out scenes (default: {COUNT})")
    parser.add_argument(
        "--steps", metavar="N", type=int, help=f"denoising steps of the embedded model (default: {STEPS})"
    )
    parser.add_argument("--workers", metavar="N", type=int, help=f"processes (default: {WORKERS})")
    parser.add_argument(
        "--condition",
        action="append",
        metavar="ID",
        help="of the embedded model only this condition; may be repeated",
    )
    parser.add_argument("--sheets", type=Path, metavar="DIR", help="write contact sheets there instead of measuring")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(args: argparse.Namespace) -> int:
    """Check the arguments, measure and print; `args.what` is one of WHAT."""
    count = check_whole("--count", COUNT if args.count is None else args.count, MOST_SCENES)
    steps = check_whole("--steps", STEPS if args.steps is None else args.steps, MOST_STEPS)
    workers = check_whole("--workers", WORKERS if args.workers is None else args.workers, MOST_WORKERS)
    if args.sheets:
        return _sheets(args)
    if args.what == "annotators":
        refuse_unused(_given(args, "steps", "workers", "condition"), "on 'evaluate annotators'")
        from cnet_app.embedded.evaluate.annotators import annotators_table, evaluate_annotators

        rows = evaluate_annotators(count)
        print(json.dumps(rows, indent=2) if args.json else annotators_table(rows))
        return 0
    conditions = check_names("--condition", args.condition or (), [row.id for row in measured_rows()])
    from cnet_app.embedded.evaluate.embedded import evaluate

    report = evaluate(count, steps=steps, conditions=conditions, workers=workers)
    print(json.dumps(report, indent=2) if args.json else report_table(report))
    return 0


def _given(args: argparse.Namespace, *names: str) -> list[str]:
    return [f"--{name}" for name in names if getattr(args, name) is not None]


def _sheets(args: argparse.Namespace) -> int:
    unused = _given(args, "count", "steps", "workers", "condition") + ["--json"] * args.json
    refuse_unused(unused, "with --sheets")
    refuse_unused(["--sheets"] * (args.what == "annotators"), "on 'evaluate annotators'")
    from cnet_app.embedded.evaluate.sheets import write_sheets

    try:
        args.sheets.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"--sheets is {args.sheets}, which cannot be made ({error.strerror}).") from error
    print("\n".join(str(path) for path in write_sheets(args.sheets)))
    return 0


def report_table(report: dict[str, Any]) -> str:
    """Return the report as Markdown, as the model card shows it."""
    autoencoder, photos = report["autoencoder"], report["photos"]
    lines = [
        f"{report['scenes']} held-out scenes, {report['size']} px, {report['steps']} steps, "
        f"{report['seconds_a_picture']:.2f} s a picture.",
        "",
        f"Autoencoder: PSNR {autoencoder['psnr']:.1f} dB, edge F1 {autoencoder['edge_f1']:.3f}, "
        f"named colour right {autoencoder['colour']:.2f}.",
        "",
        "| condition | scenes | measure | judge | limit | free | ours | gap closed | empty prompt | colour | sky | style |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["conditions"].items():
        numbers = " | ".join(f"{row[key]:.3f}" for key in ("judge", "limit", "free", "ours", "gap", "empty_prompt"))
        words = " | ".join(f"{row['words'].get(key, math.nan):.2f}" for key in ("colour", "sky", "style"))
        lines.append(f"| {name} | {row['scenes']} | {row['measure']} | {numbers} | {words} |")
    judged = report["judge_words"]
    strength = ", ".join(f"{value:.3f} at {key}" for key, value in report.get("strength", {}).items())
    alone = report.get("pose_or_depth", {})
    pair = ", ".join(
        f"{key} {value:.3f} ({alone[key]:.3f} alone)" for key, value in report.get("pose_and_depth", {}).items()
    )
    photo = "; ".join(f"{key} {value['ours']:.3f} (free {value['free']:.3f})" for key, value in photos.items())
    lines += [
        "",
        f"The judge on true pictures: colour {judged['colour']:.2f}, sky {judged.get('sky', math.nan):.2f}, "
        f"style {judged['style']:.2f}.",
        *([f"Canny edge F1 by control strength: {strength}."] if strength else []),
        *([f"Pose and depth together, on the scenes with people: {pair}."] if pair else []),
        f"Real photos never trained on, poster prompt, edge F1: {photo}.",
    ]
    return "\n".join(lines)
