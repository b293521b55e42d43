"""`annotate CONDITION PHOTO --output MAP.png`, and `annotate all PHOTO --output FOLDER`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from annotators.maps.recognise import REPAIRS
from annotators.people.poses import Pose
from annotators.registry import parse_values
from annotators.sources.images import load_image
from cnet_app.cli.arguments.texts import parse_size
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, create_maps
from cnet_app.cli.terminal.output import make_folder, only_result, write_json, write_png
from cnet_app.maps.availability import default_annotator
from cnet_app.maps.own import is_data, load_source, source_role
from cnet_app.registry.conditions import CONDITIONS
from models.errors import InputError

ALL = "all"
"""In place of a condition."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command."""
    ids = ", ".join(row.id for row in CONDITIONS)
    parser.add_argument("condition", metavar="CONDITION", help=f"{ALL}, or one of: {ids}")
    parser.add_argument("photo", metavar="PHOTO", type=Path, help="the source image, or people as OpenPose's JSON")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, required=True, help="where the map goes, a PNG; with all a folder"
    )
    parser.add_argument(
        "--annotator",
        metavar="ID",
        help="what makes the map, or none for a map of your own; the best whose weights are here",
    )
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a parameter of the annotator; may be repeated"
    )
    parser.add_argument(
        "--repair", "--mend", metavar="NAME", action="append", default=[], choices=list(REPAIRS),
        help=f"with --annotator none, put a map of your own right: {', '.join(REPAIRS)}; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        help="also write what was found, as JSON: people's joints, classes and where",
    )
    parser.add_argument(
        "--every",
        action="store_true",
        help="with all: every annotator, not only the best of each condition that can run",
    )
    add_engine_arguments(parser)
    parser.add_argument("--size", metavar="WxH", help="size of the map in px; the photo's own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Make the map, or all maps, and write them."""
    if args.condition == ALL:
        _run_all(args)
    else:
        _run_one(args)


def _run_all(args: argparse.Namespace) -> None:
    """A file for every map, and why the others were not made."""
    given = [f"--{name}" for name in ("annotator", "set", "repair", "data") if getattr(args, name)]
    if given:
        raise InputError(f"{given[0]} is for one condition; name it instead of {ALL}, or leave {given[0]} out.")
    source = load_image(args.photo)
    width, height = parse_size(args.size) if args.size else source.shape[1::-1]
    make_folder(args.output)
    maps: dict[str, str] = {}
    left_out: dict[str, str] = {}
    with only_result(args.json) as tell:
        for condition, annotator, made in create_maps(command_settings(args), args.yes).annotate_all(
            source, width, height, every=args.every
        ):
            name = f"{condition}-{annotator}"
            if isinstance(made, str):
                left_out[name] = made
                continue
            path = args.output / f"{name}.png"
            write_png(path, made.pixels)
            maps[name] = str(path)
        lines = [*maps.values(), *(f"{name}: {why}" for name, why in left_out.items())]
        tell({"maps": maps, "left_out": left_out}, "\n".join(lines))


def _run_one(args: argparse.Namespace) -> None:
    started = time.perf_counter()
    values = parse_values(args.set)
    brought = is_data(args.photo)
    chosen = args.annotator or ("none" if brought else default_annotator(args.condition))
    annotator = None if chosen == "none" else chosen
    size = parse_size(args.size) if args.size else None
    source, notes = load_source(args.photo, source_role(args.condition, annotator), size)
    height, width = (source.height, source.width) if isinstance(source, Pose) else source.shape[:2]
    width, height = size or (width, height)
    with only_result(args.json) as tell:
        made = create_maps(command_settings(args), args.yes).annotate(
            args.condition, annotator, source, values, width, height, repairs=args.repair
        )
        if args.data:
            if not made.data:
                raise InputError(f"--data is given, but {chosen} finds neither people nor classes; leave it out.")
            write_json(args.data, made.data.to_json())
        write_png(args.output, made.pixels)
        warnings = (*notes, *made.warnings)
        result = {
            "path": str(args.output),
            "condition": args.condition,
            "annotator": made.annotator,
            "parameters": dict(made.parameters),
            "width": width,
            "height": height,
            "seconds": round(time.perf_counter() - started, 3),
            "warnings": list(warnings),
        }
        tell(result, "\n".join((str(args.output), *warnings)))
