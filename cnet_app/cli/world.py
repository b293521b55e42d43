"""`world --seed S --count N --output DIR`: scenes, their maps and captions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from annotators.base import Parameter
from cnet_app.cli.terminal.output import end_progress, only_result, show_progress, write_png
from models.errors import SaveError

SEED = Parameter(default=0, minimum=0, maximum=2**31 - 1, help="seed of the first picture; the next has seed + 1")
COUNT = Parameter(default=8, minimum=1, maximum=100_000, help="number of pictures")
SIZE = Parameter(default=256, minimum=64, maximum=1024, help="side of a picture in px")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command."""
    for flag, limit in (("--seed", SEED), ("--count", COUNT), ("--size", SIZE)):
        parser.add_argument(
            flag, metavar="N", type=int, default=limit.default, help=f"{limit.help};{limit.range_text()}"
        )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the pictures go")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Draw and write."""
    seed, count = int(SEED.check("seed", args.seed)), int(COUNT.check("count", args.count))
    size, directory = int(SIZE.check("size", args.size)), args.output
    with only_result(args.json) as tell:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{directory} cannot be made ({error.strerror}); choose another folder.") from error
        rows: list[dict[str, Any]] = []
        for index in range(count):
            rows.append(_write(directory, seed + index, size))
            show_progress(f"{index + 1} of {count}")
        end_progress()
        try:
            (directory / "captions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        except OSError as error:
            raise SaveError(f"{directory} cannot be written ({error.strerror}); choose another folder.") from error
        tell({"samples": rows}, "\n".join(f"{row['image']}  {row['caption']}" for row in rows))


def _write(directory: Path, seed: int, size: int) -> dict[str, Any]:
    """One picture and its maps; what captions.jsonl says of it."""
    from cnet_app.embedded.world import control_images, create_sample

    sample = create_sample(seed, size)
    image = directory / f"{seed:06d}.png"
    write_png(image, sample.image)
    maps = {name: directory / f"{seed:06d}_{name}.png" for name in control_images(sample)}
    for name, pixels in control_images(sample).items():
        write_png(maps[name], pixels)
    paths = {name: str(path) for name, path in maps.items()}
    return {"seed": seed, "caption": sample.caption, "image": str(image), "maps": paths}
