"""`train embedded`: make the embedded model, whole or by stages, resuming from the files in the working folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnet_app.embedded.options import check_folder, check_names, check_positive
from cnet_app.embedded.train.model_plan import SHIPPED, STAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--stage", action="append", metavar="NAME", help=f"only this stage; may be repeated: {', '.join(STAGES)}"
    )
    parser.add_argument("--start", type=Path, metavar="DIR", help="go on from these files, such as models/embedded")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop every stage after this time")
    parser.add_argument(
        "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("build/embedded"),
        metavar="DIR",
        help="pictures and checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("models/embedded"),
        metavar="DIR",
        help="where the files go (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Check the arguments, train, and print the folders written."""
    stages = check_names("--stage", args.stage or SHIPPED, STAGES)
    minutes = check_positive("--minutes", args.minutes)
    work, output = check_folder("--work", args.work), check_folder("--output", args.output)
    from models.machine.devices import parse_device

    device = parse_device(args.device)
    from cnet_app.embedded.train.embedded import train_embedded

    written = train_embedded(work, output, device, stages=stages, start=args.start, minutes=minutes)
    for folder in written:
        print(f"wrote {folder}")
    if not written:
        print("Nothing was written: no stage that ships files is trained yet.")
    return 0
