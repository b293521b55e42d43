"""`evaluate embedded` and `evaluate annotators`: their reports, as tables or as JSON."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument("what", choices=("embedded", "annotators"), help="what to measure")
    parser.add_argument("--count", metavar="N", type=int, default=128, help="held-out scenes (default: %(default)s)")
    parser.add_argument(
        "--steps",
        metavar="N",
        type=int,
        default=20,
        help="denoising steps of the embedded model (default: %(default)s)",
    )
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--condition", action="append", default=[], help="of the embedded model only this condition; may be repeated"
    )
    parser.add_argument("--sheets", type=Path, metavar="DIR", help="write contact sheets there instead of measuring")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.sheets:
        from cnet_app.embedded.evaluate.sheets import write_sheets

        print("\n".join(str(path) for path in write_sheets(args.sheets)))
        return 0
    if args.what == "annotators":
        from cnet_app.embedded.evaluate.annotators import annotators_table, evaluate_annotators

        rows = evaluate_annotators(args.count)
        print(json.dumps(rows, indent=2) if args.json else annotators_table(rows))
        return 0
    from cnet_app.embedded.evaluate.embedded import evaluate

    report = evaluate(args.count, steps=args.steps, conditions=args.condition, workers=args.workers)
    print(json.dumps(report, indent=2) if args.json else report_table(report))
    return 0


def report_table(report: dict[str, Any]) -> str:
    """The report as Markdown, as it stands in the model card."""
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
        f"The judge on true pictures: colour {judged['colour']:.2f}, sky {judged['sky']:.2f}, "
        f"style {judged['style']:.2f}.",
        f"Canny edge F1 by control strength: {strength}.",
        f"Pose and depth together, on the scenes with people: {pair}.",
        f"Real photos never trained on, poster prompt, edge F1: {photo}.",
    ]
    return "\n".join(lines)
