"""`python -m annotators canny in.jpg out.png --set low_threshold=80`; `--list` prints the annotators."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from annotators.base import create, parameters
from annotators.registry import ANNOTATORS, annotator, licence_text, parse_values
from annotators.runtime import Runtime
from models.console import replace_unprintable
from models.downloads.whole import write_whole
from models.errors import InputError, WeightsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code: 0, 2 for a user's mistake, 3 where weights are missing."""
    replace_unprintable()
    parser = argparse.ArgumentParser(prog="python -m annotators", description="Turn a picture into a control map.")
    parser.add_argument("annotator", nargs="?", help="an id that --list prints")
    parser.add_argument("source", nargs="?", type=Path, help="picture file")
    parser.add_argument("output", nargs="?", type=Path, help="file for the map, a PNG")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be repeated")
    parser.add_argument(
        "--device", default="auto", help="where a network runs: auto (the fastest), cpu, cuda, cuda:1 or mps"
    )
    parser.add_argument("--list", action="store_true", help="print the annotators and their parameters")
    options = parser.parse_args(arguments)
    if options.list:
        print(describe())
        return 0
    if not (options.annotator and options.source and options.output):
        parser.error("give an annotator, a picture and a file for the map, or --list")
    try:
        _annotate(options.annotator, options.source, options.output, options.set, options.device)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


def describe() -> str:
    """Return a line for each annotator, with its weights' licence, followed by a line for each parameter."""
    rows: list[str] = []
    for found in ANNOTATORS:
        notes = " ".join(filter(None, (found.note, licence_text(found))))
        rows.append(f"{found.id:22} {found.title}. {notes}".rstrip())
        for name, parameter in parameters(found).items():
            rows.append(f"    {name}={parameter.default}{parameter.range_text()}: {parameter.help}")
    return "\n".join(rows)


def _annotate(id: str, source: Path, output: Path, values: Sequence[str], device: str) -> None:
    from PIL import Image

    from annotators.sources.images import load_image

    annotate, runtime = create(annotator(id), parse_values(values)), Runtime()
    if annotate.needs_network:
        from models.machine.devices import parse_device

        runtime = Runtime(str(parse_device(device)))
    control_image = annotate(load_image(source), runtime)
    buffer = io.BytesIO()
    Image.fromarray(control_image).save(buffer, "PNG")
    try:
        _write_whole(output.resolve(), buffer.getvalue())
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another file.") from error


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a device or a pipe is written to. Raises OSError."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    write_whole(path, data)


if __name__ == "__main__":
    sys.exit(main())
