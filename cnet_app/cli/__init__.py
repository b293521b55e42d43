"""The command line: one table of commands. A command's module is loaded when it is named, so that --help is quick.

Exit codes: 0, 2 for a user's mistake, 3 where weights are missing, 1 for the rest; errors are one sentence on stderr.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cnet_app.settings import Parser
from models.console import replace_unprintable
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS, exit_code


@dataclass(frozen=True)
class Command:
    """Its module has `add_arguments(parser)` and `run(args) -> int | None`."""

    name: str
    help: str
    module: str


COMMANDS = (
    Command("annotate", "Turn a picture into a control image.", "cnet_app.cli.annotate"),
    Command("generate", "Make pictures that follow control images, or remake one.", "cnet_app.cli.generate"),
    Command("grid", "Make a grid of pictures over one to three settings.", "cnet_app.cli.grid"),
    Command("batch", "Run a folder of pictures through one recipe.", "cnet_app.cli.batch"),
    Command("upscale", "Make a picture larger, with new detail.", "cnet_app.cli.upscale"),
    Command("score", "Measure how closely pictures follow their control images.", "cnet_app.cli.score"),
    Command("models", "List, show, download, add and verify weights.", "cnet_app.cli.models"),
    Command("mcp", "Serve tools to an assistant on this machine (Model Context Protocol).", "cnet_app.cli.mcp"),
    Command("world", "Draw procedural scenes with their exact maps.", "cnet_app.cli.world"),
    Command(
        "evaluate",
        "Measure pictures of any method, run published protocols, or measure the embedded model and the annotators.",
        "cnet_app.cli.evaluate",
    ),
    Command("data", "Build pairs of pictures and maps for a training, or check them.", "cnet_app.cli.data"),
    Command("study", "Let people judge pictures: average ranking, or which model made it.", "cnet_app.cli.study"),
    Command("train", "Train a ControlNet on your pairs, or the embedded model.", "cnet_app.cli.train"),
)


def build_parser(wanted: Collection[str]) -> Parser:
    """All commands by name; only the wanted ones know their arguments."""
    parser = Parser(prog="python -m cnet_app", description="A photo or a scribble becomes a map, and the map steers.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        if command.name in wanted:
            module = importlib.import_module(command.module)
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    replace_unprintable()
    words = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(words[:1]).parse_args(words)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # libraries' hints to developers; python -W shows them
            with disk_explained():
                return args.run(args) or 0
    except USER_ERRORS as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does; flushing at exit would fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
