"""`upscale PICTURE.png --factor 2 --output DIR`: a picture made larger, with detail that is painted anew."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

from annotators.images import load_image
from cnet_app.cli.generate import make_pictures
from cnet_app.cli.output import download_progress, end_progress, only_result
from cnet_app.engine.engine import create_engine
from cnet_app.engine.loaded import LoadedModels
from cnet_app.maps.upscale import FACTOR, STRENGTH, upscale_request
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.recipe import read_request
from cnet_app.settings import SPEEDS, Settings
from models.errors import InputError

FROM_RECIPE = ("prompt", "negative_prompt", "base", "vae", "loras", "seed")
"""What a picture that was made here says of itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, how much larger, and what a picture from elsewhere does not say."""
    strength = REQUEST_LIMITS["strength"]
    parser.add_argument(
        "picture", metavar="FILE", type=Path, help="any picture; one made here brings its own prompt and base"
    )
    parser.add_argument(
        "--factor",
        metavar="N",
        type=float,
        default=FACTOR.default,
        help=f"{FACTOR.help} A number{FACTOR.range_text()}.",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what the picture shows")
    parser.add_argument("--base", metavar="ID", help="base model, SD 1.5 or SDXL: others have no tile ControlNet")
    parser.add_argument(
        "--strength", metavar="N", type=float, default=STRENGTH, help=f"{strength.help} Default: {STRENGTH:g}."
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the picture goes")
    parser.add_argument("--device", metavar="NAME", default="auto", help="cpu or cuda; auto takes the fastest")
    parser.add_argument("--speed", metavar="NAME", default="near", choices=SPEEDS, help=f"one of: {', '.join(SPEEDS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Read the picture and what it says of itself, then make it larger."""
    with only_result(args.json) as tell:
        started = time.perf_counter()
        engine = create_engine(
            Settings(base=args.base or "", device=args.device, speed=args.speed, output_dir=args.output)
        )
        models = LoadedModels(engine)
        given: dict[str, Any] = {"prompt": args.prompt, "base": args.base}
        known = _said(args.picture) | {name: value for name, value in given.items() if value is not None}
        known.setdefault("base", engine.choose_base()[0])
        request = upscale_request(load_image(args.picture), args.factor, strength=args.strength, **known)
        defaults = models.base(request.base, download_progress).defaults
        request = dataclasses.replace(
            request, num_inference_steps=defaults.num_inference_steps, guidance_scale=defaults.guidance_scale
        )
        result = make_pictures(engine, models, request, args.output)
        end_progress()
        result = dataclasses.replace(result, seconds=round(time.perf_counter() - started, 3))
        tell(result.to_json(), "\n".join((*result.paths, *result.notes)))


def _said(path: Path) -> dict[str, Any]:
    """Nothing where the picture is from elsewhere."""
    try:
        request = read_request(path)
    except InputError:
        return {}
    return {name: getattr(request, name) for name in FROM_RECIPE}
