"""`data build --from-base N`: pictures of the base model itself by the captions, for a data set without photos."""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np

from annotators.base import Parameter
from cnet_app.cli.tasks.engine import command_settings, download_missing, make_pictures
from cnet_app.cli.terminal.output import end_progress, make_folder, show_progress
from cnet_app.engine.create import create_engine
from cnet_app.engine.protocol import Engine
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request
from cnet_app.settings import Settings
from cnet_app.training.data.captions import Captions
from models.catalogue.resolve import missing, resolve
from models.errors import InputError, SaveError

FOLDER = "base_pictures"
"""Below the folder of the pairs."""
COUNT = Parameter(default=64, minimum=1, maximum=100_000, help="number of pictures")
EMBEDDED = "embedded"
POSTERS = 0.4
"""Share of the demo model's own captions that are of posters."""


def make_base_pictures(args: argparse.Namespace, captions: Captions | None) -> Path:
    """Make the pictures that are not there yet, one a seed from 0 on, and return their folder. Raises InputError."""
    count = int(COUNT.check("from_base", args.from_base))
    folder = args.output / FOLDER
    make_folder(folder)
    settings = command_settings(args, base=args.base, output_dir=folder)
    with closing(create_engine(settings, previews=False)) as engine:
        base = args.base or engine.status().base
        texts = (captions.all if captions else ()) or ((args.caption,) if args.caption else ())
        if not texts and base != EMBEDDED:
            raise InputError(
                f"--from-base makes pictures of {base} by captions, but there are none; give --captions or --caption."
            )
        download_missing(lambda: missing(resolve(base, "base")), args.yes)
        values = dataclasses.asdict(resolve(base, "base").defaults)
        side = values.pop("size")
        plain = GenerationRequest(**values, base=base, width=side, height=side)
        for seed in range(count):
            prompt = texts[seed % len(texts)] if texts else demo_caption(seed)
            _make(engine, dataclasses.replace(plain, prompt=prompt, seed=seed), folder, settings, args.yes)
            show_progress(f"{seed + 1} of {count} pictures of {base}")
    end_progress()
    return folder


def _make(engine: Engine, request: GenerationRequest, folder: Path, settings: Settings, yes: bool) -> None:
    """Write picture and caption; the picture is written last, and kept where it is there."""
    picture, text = folder / f"{request.seed:05d}.png", folder / f"{request.seed:05d}.txt"
    if picture.exists():
        kept = read_request(picture)
        if (kept.prompt, kept.base) != (request.prompt, request.base):
            raise InputError(
                f"{picture} was made of {kept.prompt!r} by {kept.base}, not of {request.prompt!r} by {request.base}; "
                "give another --output."
            )
        return
    made = make_pictures(engine, request, settings, yes)
    try:
        text.write_text(request.prompt, encoding="utf-8")
        Path(made.paths[0]).replace(picture)
    except OSError as error:
        raise SaveError(
            f"{picture} could not be written ({error.strerror}); make room, and run the command again."
        ) from error


def demo_caption(seed: int) -> str:
    """Return a caption in the words that the embedded model was trained with; the same for the same seed."""
    from cnet_app.embedded.world import words
    from cnet_app.embedded.world.posters import PALETTES, POSTER_STYLES

    rng = np.random.default_rng(seed)
    if rng.random() < POSTERS:
        return f"{rng.choice(list(POSTER_STYLES.values()))} in {rng.choice(list(PALETTES))} colours"
    things = [(str(rng.choice(list(words.COLOURS))), str(rng.choice(words.SHAPES))) for _ in range(rng.integers(1, 3))]
    return words.scene_caption(str(rng.choice(words.STYLES)), things, str(rng.choice(words.SKIES)))
