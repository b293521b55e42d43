"""`batch FOLDER --control canny --prompt TEXT --output DIR`, or `batch FOLDER --recipe PICTURE.png --output DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from cnet_app.cli.arguments.request import Asked, add_request_arguments, request_of_flags, request_of_recipe
from cnet_app.cli.arguments.texts import parse_size
from cnet_app.cli.tasks.engine import command_settings, create_maps
from cnet_app.cli.tasks.sweeps import add_sweep_arguments, finish_sweep, output_folder, resumed
from cnet_app.cli.terminal.output import only_result
from cnet_app.engine.create import create_engine
from cnet_app.engine.protocol import Engine
from cnet_app.jobs.sweeps.batches import START, BatchPlan, BatchWork, create_batch, first_readable, list_pictures
from cnet_app.jobs.sweeps.manifest import Manifest
from cnet_app.request.sweeps.tables import read_table
from cnet_app.settings import Settings
from models.errors import InputError

OWN = ("folder", "table", "into")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, its prompts, and the flags of a request."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", help="the pictures; folders in it are left out"
    )
    parser.add_argument(
        "--table",
        metavar="FILE",
        type=Path,
        help="CSV or TSV with the columns file, prompt, negative_prompt, seed, guidance_scale …: its rows are made, in "
        "their order; without it name.txt beside a picture is its prompt, else --prompt",
    )
    parser.add_argument(
        "--into",
        metavar="PLACES",
        help="what the pictures replace, such as unit1,unit2 or start (the picture to start from); left out, the photo "
        "of every control",
    )
    add_request_arguments(parser)
    add_sweep_arguments(parser, "batch")


def run(args: argparse.Namespace) -> None:
    """Check table and recipe first, then make one picture after the other."""
    with only_result(args.json) as tell:
        manifest = resumed(args, OWN, "batch") if args.resume else None
        settings = command_settings(args, base=args.base, output_dir=None if manifest else output_folder(args, "batch"))
        engine = cache(lambda: create_engine(settings, previews=False))
        manifest = manifest or _begin(args, engine, settings)
        work = BatchWork(manifest, create_maps(settings, args.yes, engine), move=True)
        own = replace(settings, output_dir=manifest.folder)
        values, text = finish_sweep(manifest, work, engine, own, args.yes)
        tell(values, text)


def _begin(args: argparse.Namespace, engine: Callable[[], Engine], settings: Settings) -> Manifest:
    if args.folder is None:
        raise InputError("The batch has no pictures; name their folder, or go on with a batch with --resume.")
    pictures, _ = list_pictures(args.folder)
    asked = _asked(args, first_readable(pictures), engine, settings)
    places = tuple(filter(None, (args.into or "").split(",")))
    plan = BatchPlan(
        recipe=asked.request, into=places, size="fixed" if args.size else "follow", wildcards=not args.recipe
    )
    rows = read_table(args.table, asked.request) if args.table else ()
    return create_batch(settings.output_dir, args.name or args.folder.resolve().name, plan, pictures, rows)


def _asked(args: argparse.Namespace, first: Path, engine: Callable[[], Engine], settings: Settings) -> Asked:
    """The request, in which the first picture stands for all."""
    if args.recipe:
        asked = request_of_recipe(args, free=("size",))
        if not args.size:
            return asked
        width, height = parse_size(args.size)
        return replace(asked, request=replace(asked.request, width=width, height=height))
    controls = [with_file(text, first) for text in args.control or ()]
    image = args.image or (str(first) if START in (args.into or "").split(",") else None)
    filled = argparse.Namespace(**vars(args) | {"control": controls or None, "image": image})
    return request_of_flags(filled, engine, settings)


def with_file(text: str, file: Path) -> str:
    """Return `canny,scale=0.7` as --control reads it, with a file; one that names a file already is an InputError."""
    name, comma, rest = text.partition(",")
    if "=" in name:
        raise InputError(
            f"--control is {text!r}, but the pictures of a batch come from its folder; write {name.partition('=')[0]}{comma}{rest}."
        )
    return f"{name}={file}{comma}{rest}"
