"""`score PICTURE.png … --overlay DIR`: how closely pictures that were made here follow their control images."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annotators.base import Image
from cnet_app.api.score import score_picture
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, create_maps
from cnet_app.cli.terminal.output import make_folder, only_result, write_png
from cnet_app.maps.annotate import Maps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, and where drawings of their agreement go."""
    parser.add_argument("pictures", metavar="PICTURE", type=Path, nargs="+", help="pictures that were made here")
    parser.add_argument(
        "--overlay",
        metavar="DIR",
        type=Path,
        help="also draw, for each control image, what agrees, what is missing and what is extra",
    )
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Measure every picture, and print the best first."""
    with only_result(args.json) as tell:
        maps = create_maps(command_settings(args), args.yes)
        scored = [_score(path, maps, args.overlay) for path in args.pictures]
        scored.sort(key=lambda one: -1.0 if one["agreement"] is None else one["agreement"], reverse=True)
        tell({"pictures": scored}, "\n".join(line for one in scored for line in _lines(one)))


def _score(path: Path, maps: Maps, folder: Path | None) -> dict[str, Any]:
    """Return the answer of `score_picture` with the picture's path."""
    return {"path": str(path)} | score_picture(path, maps, _save_into(folder, path) if folder else None)


def _save_into(folder: Path, picture: Path) -> Callable[[Image], str]:
    """Return what writes a picture's overlays, numbered from 1, and returns their paths."""
    make_folder(folder)
    numbers = iter(range(1, 1000))

    def save(pixels: Image) -> str:
        path = folder / f"{picture.stem}-overlay-{next(numbers)}.png"
        write_png(path, pixels)
        return str(path)

    return save


def _lines(one: dict[str, Any]) -> list[str]:
    """Return the picture with its mean agreement, and a line for each control image."""
    mean = "no score" if one["agreement"] is None else f"{100 * one['agreement']:.0f} %"
    return [f"{one['path']}: {mean}", *(_line(scored) for scored in one["scores"])]


def _line(scored: dict[str, Any]) -> str:
    if scored["value"] is None:
        return f"  {scored['condition']}: {scored['reason']}"
    number = " ".join(filter(None, (f"{scored['value']:g}", scored["unit"])))
    drawn = f" -> {scored['overlay']}" if "overlay" in scored else ""
    return f"  {scored['condition']}: {scored['words']} ({scored['measure']} {number}){drawn}"
