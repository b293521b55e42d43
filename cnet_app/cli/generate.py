"""`generate --control CONDITION=FILE … --prompt TEXT --output DIR`, or `generate --recipe PICTURE.png --output DIR`."""

from __future__ import annotations

import argparse
import dataclasses
import time
from functools import cache
from pathlib import Path

from cnet_app.cli.arguments.request import add_request_arguments, request_of_flags, request_of_recipe
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, make_pictures
from cnet_app.cli.terminal.output import only_result
from cnet_app.engine.create import create_engine
from cnet_app.engine.protocol import Engine
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.prompts.wildcards import Wildcards, resolve_request
from cnet_app.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command."""
    add_request_arguments(parser)
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the pictures go")
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with pictures by hash and size")
    parser.add_argument("--json-maps", action="store_true", help="the same with pictures as base64")


def run(args: argparse.Namespace) -> None:
    """Read everything first, so that a mistake is reported before anything large is loaded; then make the pictures."""
    with only_result(args.json or args.json_maps) as tell:
        started = time.perf_counter()
        settings = command_settings(args, base=args.base, output_dir=args.output)
        engine = cache(lambda: create_engine(settings, previews=False))
        if args.recipe:
            asked = request_of_recipe(args)
            requests = (asked.request,)
        else:
            asked = request_of_flags(args, engine, settings)
            requests = resolve_request(asked.request, Wildcards())
        result = _make(engine(), requests, settings, args.yes)
        seconds = round(time.perf_counter() - started, 3)
        result = dataclasses.replace(result, seconds=seconds, notes=(*asked.notes, *result.notes))
        tell(result.to_json(maps=args.json_maps), "\n".join((*result.paths, *result.notes)))


def _make(engine: Engine, requests: tuple[GenerationRequest, ...], settings: Settings, yes: bool) -> GenerationResult:
    """Make the pictures of one request, or of several that wildcards made of one; their prompts are notes then."""
    results = [make_pictures(engine, request, settings, yes) for request in requests]
    prompts = [f"Seed {one.seed}: {one.prompt}" for one in requests if one.prompt_template]
    return dataclasses.replace(
        results[0],
        request=dataclasses.replace(results[0].request, num_images=sum(len(one.paths) for one in results)),
        paths=tuple(path for one in results for path in one.paths),
        seeds=tuple(seed for one in results for seed in one.seeds),
        notes=(*prompts, *dict.fromkeys(note for one in results for note in one.notes)),
    )
