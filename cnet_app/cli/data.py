"""`data build --images DIR --condition canny --output DIR` and `data check DIR --condition canny`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from annotators.registry import parse_values
from annotators.runtime import Runtime
from cnet_app.cli.tasks.base_pictures import make_base_pictures
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, download_missing
from cnet_app.cli.terminal.output import end_progress, only_result, show_progress, write_png
from cnet_app.maps.availability import default_annotator, missing_weights
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.training import TRAINING_LIMITS
from cnet_app.settings import Settings
from cnet_app.training.data.build import BuildPlan, Built, build_data, check_apart
from cnet_app.training.data.captions import Captions, read_captions, some_of
from cnet_app.training.data.contact_sheet import contact_sheet
from cnet_app.training.data.doctor import TITLES, check_data
from cnet_app.training.data.pairs import Pair, Problem
from cnet_app.training.data.readers import not_read, read_data
from models.errors import InputError

SHOWN = 20
"""Problems of a kind that are printed; all are in the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a command for each thing to do with data."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    build = actions.add_parser("build", help="make pairs of pictures and maps from pictures")
    build.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of pictures, or any data set; its maps are not used"
    )
    build.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder of the pairs")
    build.add_argument("--annotator", metavar="ID", help="what makes the maps; the best that can run here")
    build.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a parameter of the annotator; may be repeated"
    )
    build.add_argument(
        "--captions",
        type=Path,
        metavar="PATH",
        help="folder of .txt files, or a .csv or .jsonl file with a name and a text a line",
    )
    build.add_argument("--caption", metavar="TEXT", default="", help="prompt of pictures without one")
    build.add_argument(
        "--size",
        type=int,
        metavar="N",
        default=512,
        help="pictures are brought to an area of N x N px (default: %(default)s)",
    )
    build.add_argument("--square", action="store_true", help="cut all pictures square")
    build.add_argument(
        "--from-base",
        type=int,
        metavar="N",
        help="make N pictures with the base model, by the captions; needs no pictures",
    )
    build.add_argument("--base", metavar="NAME", help="base model for --from-base")
    build.set_defaults(act=_build)
    check = actions.add_parser("check", help="find what is wrong with a data set")
    check.add_argument("data", type=Path, metavar="DIR", help="folder of pairs")
    check.add_argument("--validation", type=Path, metavar="DIR", help="folder of pairs that must not be in the first")
    check.add_argument(
        "--size", type=int, metavar="N", default=512, help="side in px that is trained at (default: %(default)s)"
    )
    check.add_argument("--caption", metavar="TEXT", default="", help="prompt of pairs without one")
    check.add_argument("--sheet", type=Path, metavar="FILE", help="PNG with the worst pairs")
    check.set_defaults(act=_check)
    for sub in (build, check):
        sub.add_argument(
            "--condition",
            metavar="ID",
            required=True,
            choices=[row.id for row in CONDITIONS],
            help="what the maps show",
        )
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.add_argument(
            "--progress-lines", action="store_true", help="print progress as lines of JSON on standard error"
        )
    add_engine_arguments(build)


def run(args: argparse.Namespace) -> int | None:
    """Do what was named."""
    return args.act(args)


def _build(args: argparse.Namespace) -> None:
    chosen = args.annotator or default_annotator(args.condition)
    plan = BuildPlan(
        condition=args.condition,
        annotator=chosen,
        parameters=parse_values(args.set),
        size=args.size,
        keeps_aspect=not args.square,
        caption=args.caption,
    )
    plan.create()
    captions = read_captions(args.captions) if args.captions else None
    download_missing(lambda: missing_weights(chosen), args.yes)
    settings = command_settings(args)
    with only_result(args.json) as tell:
        pairs, notes = _pictures(args, captions)
        left_out: list[str] = []

        def report(built: Built) -> None:
            _show(args, built.done, built.total, "pictures")
            if built.left_out:
                left_out.append(built.left_out)

        count = build_data(pairs, plan, args.output, _runtime(plan, settings), report)
        end_progress()
        lines = [f"{count} pairs are in {args.output}.", *(f"Left out: {message}" for message in left_out)]
        lines += [f"Note: {message}" for message in notes]
        tell({"pairs": count, "output": str(args.output), "left_out": left_out, "notes": notes}, "\n".join(lines))


def _runtime(plan: BuildPlan, settings: Settings) -> Runtime:
    if not plan.create().needs_network:
        return Runtime()
    from models.machine.devices import parse_device

    return Runtime(str(parse_device(settings.device)))


def _show(args: argparse.Namespace, done: int, total: int, what: str) -> None:
    """Show progress to a reader, or to a program."""
    if args.progress_lines:
        print(json.dumps({"done": done, "total": total}), file=sys.stderr, flush=True)
    else:
        show_progress(f"{done} of {total} {what}")


def _pictures(args: argparse.Namespace, captions: Captions | None) -> tuple[list[Pair], list[str]]:
    """Return the pictures with their captions, and notes; those of the base model are made first."""
    if (args.images is None) == (args.from_base is None):
        raise InputError(
            "A data set is built from pictures or by the base model; give one of --images and --from-base."
        )
    if args.from_base is not None:
        return list(read_data(make_base_pictures(args, captions)).pairs), []
    check_apart(args.images, args.output)
    data = read_data(args.images)
    pairs, notes = list(data.pairs), [text for text in (not_read(data.skipped),) if text]
    if captions is not None:
        pairs, more = captions.given_to(pairs)
        notes += more
    bare = [pair.name for pair in pairs if not pair.caption]
    if bare:
        then = "they take --caption" if args.caption else "give captions with --captions, or one for all with --caption"
        notes.append(f"{len(bare)} of {len(pairs)} pictures have no caption of their own ({some_of(bare)}); {then}.")
    return pairs, notes


def _check(args: argparse.Namespace) -> int:
    TRAINING_LIMITS["size"].check("size", args.size)
    data = read_data(args.data)
    validation = read_data(args.validation) if args.validation else None
    with only_result(args.json) as tell:
        problems = check_data(
            data,
            args.condition,
            validation=validation,
            size=args.size,
            caption=args.caption,
            report=lambda done, total: _show(args, done, total, "pairs"),
        )
        end_progress()
        sheet = contact_sheet(data, problems, condition(args.condition).kind) if args.sheet else None
        if sheet is not None:
            write_png(args.sheet, sheet)
        pairs = sum(pair.control is not None for pair in data.pairs)
        notes = [text for text in (not_read(data.skipped),) if text]
        values = {
            "pairs": pairs,
            "problems": [vars(problem) for problem in problems],
            "sheet": str(args.sheet) if sheet is not None else None,
            "notes": notes,
        }
        tell(values, "\n".join((_text(pairs, problems), *(f"Note: {text}" for text in notes))))
    return 1 if problems else 0


def _text(pairs: int, problems: tuple[Problem, ...]) -> str:
    """Return the problems by kind, the first SHOWN of each."""
    if not problems:
        return f"{pairs} pairs, nothing found."
    lines = [f"{pairs} pairs, {len(problems)} problems:"]
    for kind, count in Counter(problem.kind for problem in problems).items():
        lines.append(f"{TITLES.get(kind, kind)}: {count}")
        shown = [problem.message for problem in problems if problem.kind == kind][:SHOWN]
        lines += [f"  {message}" for message in shown]
        if count > len(shown):
            lines.append(f"  … and {count - len(shown)} more")
    return "\n".join(lines)
