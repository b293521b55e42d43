"""`upscale PICTURE.png --factor 2 --output DIR`: a picture made larger, with detail that is painted anew."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

from annotators.sources.images import load_image
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, download_missing, make_pictures
from cnet_app.cli.terminal.output import only_result
from cnet_app.engine.create import create_engine
from cnet_app.engine.missing import check_models
from cnet_app.registry.conditions import condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request
from cnet_app.request.upscale import UPSCALE_LIMITS, UpscaleRequest
from models.catalogue.resolve import missing, resolve
from models.errors import InputError
from models.families import TITLES

TILE = "tile"
PROMPTS = ("prompt", "negative_prompt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, how much larger, and what a picture from elsewhere does not say."""
    factor, strength = UPSCALE_LIMITS["factor"], UPSCALE_LIMITS["strength"]
    parser.add_argument(
        "picture", metavar="FILE", type=Path, help="any picture; one made here brings its own prompt and base"
    )
    parser.add_argument(
        "--factor",
        metavar="N",
        type=float,
        default=factor.default,
        help=f"{factor.help} A number{factor.range_text()}.",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what the picture shows")
    able = ", ".join(TITLES[family] for family in condition(TILE).families)
    parser.add_argument("--base", metavar="ID", help=f"base model of a family that reads {TILE} maps: {able}")
    parser.add_argument(
        "--strength",
        metavar="N",
        type=float,
        default=strength.default,
        help=f"{strength.help} Default: {strength.default:g}.",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the picture goes")
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Read the picture and its recipe, then make it larger."""
    with only_result(args.json) as tell:
        started = time.perf_counter()
        picture = load_image(args.picture)
        settings = command_settings(args, base=args.base, output_dir=args.output)
        engine = create_engine(settings, previews=False)
        fields = _fields_of_recipe(args.picture, args.base)
        flags: dict[str, Any] = {"prompt": args.prompt, "base": args.base}
        fields |= {name: value for name, value in flags.items() if value is not None}
        base = fields.setdefault("base", engine.status().base)
        given = {"picture": encode_png(picture), "factor": args.factor, "strength": args.strength}
        check_models(_started(base, given | fields))
        download_missing(lambda: missing(resolve(base, "base")), args.yes)
        request = _started(base, given | fields)
        result = make_pictures(engine, request, settings, args.yes)
        result = dataclasses.replace(result, seconds=round(time.perf_counter() - started, 3))
        tell(result.to_json(), "\n".join((*result.paths, *result.notes)))


def _started(base: str, given: dict[str, Any]) -> UpscaleRequest:
    """The request of what is given, with the steps and guidance of the base where they are not."""
    defaults = resolve(base, "base").defaults
    names = ("num_inference_steps", "guidance_scale")
    return UpscaleRequest(**{name: getattr(defaults, name) for name in names} | given)


def _fields_of_recipe(path: Path, base: str | None) -> dict[str, Any]:
    """Settings a picture that was made here brings with it; for another base its prompts alone."""
    try:
        fields = dict(read_request(path).shared)
    except InputError:
        return {}
    if base in (None, fields["base"]):
        return fields
    return {name: fields[name] for name in PROMPTS}
