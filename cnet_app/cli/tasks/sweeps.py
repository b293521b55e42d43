"""Shared parts of `grid` and `batch`: running and resuming a sweep, progress, and what is printed at the end."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnet_app.cli.arguments.request import NOT_WITH_RECIPE
from cnet_app.cli.tasks.engine import add_engine_arguments, make_pictures
from cnet_app.cli.terminal.output import end_progress, show_progress
from cnet_app.engine.protocol import Engine
from cnet_app.jobs.sweeps.manifest import Manifest, read_manifest
from cnet_app.jobs.sweeps.sweeps import Work, failures, run_sweep
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models.errors import InputError


def add_sweep_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Flags that both commands have; `what` is the sweep."""
    parser.add_argument("--name", metavar="TEXT", help=f"title of the {what}, and part of its folder's name")
    parser.add_argument("--output", metavar="DIR", type=Path, help=f"where the {what} goes, in a folder of its own")
    parser.add_argument(
        "--resume",
        metavar="MANIFEST",
        type=Path,
        help=f"the manifest.json of a {what} that was stopped: only the pictures that are missing are made",
    )
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def resumed(args: argparse.Namespace, own: Sequence[str], kind: str) -> Manifest:
    """Return the manifest of --resume; InputError beside flags that it leaves no room for, or for the other kind."""
    names = ("output", "name", "recipe", *own, *NOT_WITH_RECIPE)
    given = next((name for name in names if getattr(args, name) is not None), None)
    if given:
        raise InputError(f"--resume goes on with a {kind} as it was; leave out --{given.replace('_', '-')}.")
    manifest = read_manifest(args.resume)
    if manifest.kind != kind:
        raise InputError(f"{args.resume} is the manifest of a {manifest.kind}; resume it with that command.")
    return manifest


def output_folder(args: argparse.Namespace, kind: str) -> Path:
    """Return --output; InputError where it is not given."""
    if args.output is None:
        raise InputError(f"There is no folder for the {kind}; name one with --output, or go on with one with --resume.")
    return args.output


def finish_sweep(
    manifest: Manifest, work: Work, engine: Callable[[], Engine], settings: Settings, yes: bool
) -> tuple[dict[str, Any], str]:
    """Make the pictures that are missing; return the result as JSON values and as text."""
    started = time.perf_counter()
    total = len(manifest.parts)
    print(f"{total} pictures. After a stop: --resume {manifest.path}", file=sys.stderr)

    def make(request: GenerationRequest) -> Path:
        return Path(make_pictures(engine(), request, settings, yes).paths[0])

    def show(now: Manifest) -> None:
        show_progress(f"{sum(bool(part.picture) for part in now.parts)} of {total} pictures")

    manifest = run_sweep(manifest, work, make, show)
    end_progress()
    pictures = [str(path) for index in range(total) if (path := manifest.picture(index))]
    failed = failures(manifest)
    values = {
        "sweep": manifest.id,
        "kind": manifest.kind,
        "manifest": str(manifest.path),
        "pictures": pictures,
        "failures": failed,
        "notes": list(manifest.notes),
        "seconds": round(time.perf_counter() - started, 3),
    }
    lines = (*pictures, *(f"{one['name']}: {one['error']}" for one in failed), *manifest.notes)
    return values, "\n".join(lines)
