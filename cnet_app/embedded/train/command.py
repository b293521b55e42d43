"""`train embedded`: remake the embedded model, whole or by stages, going on from what is there."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument("what", choices=("embedded",), help="the model to train")
    parser.add_argument("--stage", action="append", metavar="NAME", help="only this stage; may be repeated")
    parser.add_argument("--start", type=Path, metavar="DIR", help="go on from these files, such as models/embedded")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop every stage after this time")
    parser.add_argument(
        "--work", type=Path, default=Path("build/embedded"), metavar="DIR", help="pictures and checkpoints"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("models/embedded"), metavar="DIR", help="where the files go"
    )


def run(args: argparse.Namespace) -> int:
    """Train and write the files."""
    from cnet_app.embedded.train.embedded import SHIPPED, STAGES, train_embedded
    from models.errors import InputError

    stages = tuple(args.stage or SHIPPED)
    for name in stages:
        if name not in STAGES:
            raise InputError(f"There is no stage {name!r}; choose from: {', '.join(STAGES)}.")
    train_embedded(args.work, args.output, stages, args.start, args.minutes)
    return 0
