"""`grid --x "guidance_scale: 1, 3, 5" --y "unit1.scale: 0.4-1:0.3" --control … --output DIR`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cnet_app.cli.arguments.request import NUMBERS, add_request_arguments, request_of_flags, request_of_recipe
from cnet_app.cli.arguments.texts import UNIT_WORDS
from cnet_app.cli.tasks.engine import command_settings, create_maps, download_missing, own_maps
from cnet_app.cli.tasks.sweeps import add_sweep_arguments, finish_sweep, output_folder, resumed
from cnet_app.cli.terminal.output import only_result
from cnet_app.engine.create import create_engine
from cnet_app.engine.missing import rows_to_download
from cnet_app.engine.protocol import Engine
from cnet_app.jobs.scoring import agreement_of
from cnet_app.jobs.sweeps.grids import GridWork, create_grid, grid_results
from cnet_app.jobs.sweeps.manifest import Manifest
from cnet_app.jobs.sweeps.sources import remake_from
from cnet_app.maps.again import annotate_again
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.sweeps.grids import AXIS, Cell, grid_requests, parse_axis
from cnet_app.settings import Settings
from models.catalogue.row import Weights
from models.errors import InputError

AXES = ("x", "y", "z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The axes, and the flags of a request."""
    example = "steps: 10, 20, 40 or unit1.scale: 0.2-1:0.4 or prompt: red=blue, green"
    places = {"x": "columns", "y": "rows", "z": "sheets"}
    for name in AXES:
        help = f"what varies over the {places[name]}: a field and its values, such as {example}; see docs/sweeps.md"
        parser.add_argument(f"--{name}", metavar="NAME: VALUES", help=help if name == "x" else help.partition(",")[0])
    add_request_arguments(parser)
    add_sweep_arguments(parser, "grid")


def run(args: argparse.Namespace) -> None:
    """Check every cell first, then make the pictures, `grid.png` and `grid.html`."""
    with only_result(args.json) as tell:
        manifest = resumed(args, AXES, "grid") if args.resume else None
        folder = manifest.folder.parent.parent if manifest else output_folder(args, "grid")
        settings = command_settings(args, base=args.base, output_dir=folder)
        engine = cache(lambda: create_engine(settings, previews=False))
        manifest = manifest or _begin(args, engine, settings)
        work = GridWork(manifest, annotate_again(own_maps(settings, engine)))
        values, text = finish_sweep(manifest, work, engine, settings, args.yes)
        values |= {"agreement": [agreement_of(Path(path)) for path in values["pictures"]]}
        results = grid_results(manifest)
        tell(values | results, "\n".join((*filter(None, results.values()), text)))


def _begin(args: argparse.Namespace, engine: Callable[[], Engine], settings: Settings) -> Manifest:
    if args.x is None:
        raise InputError("The grid has no axis; give one with --x, such as --x 'steps: 10, 20, 40'.")
    asked = request_of_recipe(args) if args.recipe else request_of_flags(args, engine, settings)
    texts = [text for name in AXES if (text := getattr(args, name))]
    axes = [parse_axis(long_name(text), asked.request) for text in texts]
    maps = create_maps(settings, args.yes, engine)
    wildcards = None if args.recipe else Wildcards()
    cells = grid_requests(asked.request, axes, remake_from(maps, asked.sources), wildcards)
    _download(cells, args.yes)
    return create_grid(settings.output_dir, args.name or "", asked.request, axes, cells)


def long_name(text: str) -> str:
    """Return the text of an axis with the flags' short names, `steps` and `unit1.scale`, as fields of the request."""
    found = AXIS.fullmatch(text)
    if not found:
        return text
    unit, _, word = found[1].rpartition(".")
    name = f"{unit}.{UNIT_WORDS.get(word, word)}" if re.fullmatch(r"unit\d+", unit) else found[1]
    return f"{NUMBERS.get(name, name)}{text[found.end(1) :]}"


def _download(cells: list[Cell], yes: bool) -> None:
    """Ask once for everything that a cell needs."""

    def needed() -> tuple[Weights, ...]:
        return tuple({row.id: row for cell in cells for row in rows_to_download(cell.request)}.values())

    download_missing(needed, yes)
