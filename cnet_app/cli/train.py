"""`train controlnet …`, `train resume|pause|stop NAME`, `train list`, and `train embedded`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotators.base import Parameter
from cnet_app.cli.output import end_progress, show_progress
from cnet_app.embedded.train import command as embedded
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.training import SWITCHES, TRAINING_LIMITS, TrainingPlan
from cnet_app.settings import settings_for_command
from cnet_app.training.run import Record, RunFolder, Wish, all_runs, create_run, find_run
from models.errors import InputError

TEXTS: Mapping[str, str] = {
    "name": "name of the training and of the ControlNet that it makes",
    "condition": "what the maps show; an id, see `annotate --list`",
    "data": "folder of pairs; see docs/training.md for its forms",
    "base": "base model: catalogue id, hub id, file or folder",
    "vae": "another autoencoder for the base",
    "validation": "folder of pairs for the probes; left out, some of the data are held out",
    "start": "ControlNet to go on from; left out, a copy of the base's encoder",
    "caption": "prompt of pairs without one",
}
SWITCH_TEXTS: Mapping[str, str] = {
    "only_mid_control": "join the network to the base's middle block alone",
    "gradient_checkpointing": "less memory, longer steps",
    "flip": "mirror half of the pairs",
    "crop": "crop at random instead of at the centre",
    "buckets": "keep each picture's aspect; --no-buckets makes all square",
}
NEEDED = ("name", "condition", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a command for each thing to do with a training."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("controlnet", help="train a ControlNet on pairs of pictures and maps")
    _add_plan(new)
    new.set_defaults(act=_new)
    for name, help, act in (
        ("resume", "go on from the newest checkpoint", _resume),
        ("export", "write the newest checkpoint as a ControlNet, also while the training goes on", _export),
        ("pause", "end after the step that runs, to be resumed", _wish("pause")),
        ("stop", "end after the step that runs", _wish("stop")),
    ):
        sub = actions.add_parser(name, help=help)
        sub.add_argument("name", metavar="NAME", help="name of the training")
        sub.set_defaults(act=act)
        if name == "resume":
            sub.add_argument("--steps", type=int, metavar="N", help="train to this step instead of the plan's")
        if name in ("resume", "export"):
            _add_device(sub)
        _add_output(sub)
    listed = actions.add_parser("list", help="list the trainings and how they stand")
    _add_output(listed)
    listed.set_defaults(act=_list)
    own = actions.add_parser("embedded", help="train the embedded model")
    embedded.add_arguments(own)
    own.set_defaults(act=embedded.run)


def run(args: argparse.Namespace) -> int | None:
    """Do what was named."""
    return args.act(args)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingPlan)}
    for name, help in TEXTS.items():
        choices: dict[str, Any] = (
            {"choices": [row.id for row in CONDITIONS], "metavar": "ID"}
            if name == "condition"
            else {"metavar": "VALUE"}
        )
        parser.add_argument(
            _flag(name),
            required=name in NEEDED,
            default=None if name in NEEDED else defaults[name],
            help=help,
            **choices,
        )
    for name, limit in TRAINING_LIMITS.items():
        parser.add_argument(
            _flag(name), default=limit.default, help=f"{limit.help} (default: %(default)s)", **_kind(limit)
        )
    for name in SWITCHES:
        parser.add_argument(
            _flag(name), action=argparse.BooleanOptionalAction, default=defaults[name], help=SWITCH_TEXTS[name]
        )
    _add_device(parser)
    _add_output(parser)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind(limit: Parameter) -> dict[str, Any]:
    if limit.choices:
        return {"choices": limit.choices}
    return {"type": type(limit.default), "metavar": "N"}


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="folder of pictures; trainings are in trainings/ below it"
    )


def runs_folder(args: argparse.Namespace) -> Path:
    """Return the folder of all runs."""
    return settings_for_command(output_dir=args.output_dir).trainings_dir


def _new(args: argparse.Namespace) -> int:
    fields = {field.name for field in dataclasses.fields(TrainingPlan)}
    plan = TrainingPlan(**{name: value for name, value in vars(args).items() if name in fields})
    return _run(create_run(runs_folder(args), plan), args.device)


def _resume(args: argparse.Namespace) -> int:
    run = find_run(runs_folder(args), args.name)
    if args.steps is not None:
        run.write_plan(dataclasses.replace(run.plan(), steps=args.steps))
    return _run(run, args.device)


def _export(args: argparse.Namespace) -> None:
    run = find_run(runs_folder(args), args.name)
    from cnet_app.training.start import export_newest
    from models.machine.devices import parse_device

    step, folder = export_newest(run, parse_device(args.device))
    print(f"Wrote step {step} of {run.name} to {folder}")


def _run(run: RunFolder, device: str) -> int:
    from cnet_app.training.start import run_training
    from models.machine.devices import parse_device

    try:
        state = run_training(run, parse_device(device), _show(run.plan().steps))
    finally:
        end_progress()
    print(f"{run.name}: {state}.")
    return 0


def _show(steps: int) -> Callable[[Record], None]:
    """Return what prints a record."""

    def show(record: Record) -> None:
        values = record.values
        match record.kind:
            case "step":
                show_progress(
                    f"step {record.step} of {steps}, loss {values['loss']:.4f}, {values['seconds']:.2f} s a step"
                )
            case "probe" if values["score"] is not None:
                _line(f"step {record.step}: agreement with the probes {values['score']:.3f}")
            case "converged":
                _line(f"Sudden convergence at step {values['at']}: {values['before']:.3f} → {values['score']:.3f}")
            case "estimate":
                total, seconds = values["memory_mb"]["total"], values["seconds"]["total"]
                _line(f"About {total:,} MB of memory and {seconds / 60:.0f} minutes.")
            case "exported":
                _line(f"Wrote {values['path']}" + (f" and its base {values['base']}" if "base" in values else ""))
            case "note" | "state" if values.get("message"):
                _line(values["message"])
            case _:
                pass

    return show


def _line(text: str) -> None:
    end_progress()
    print(text, flush=True)


def _wish(wish: Wish) -> Callable[[argparse.Namespace], None]:
    def act(args: argparse.Namespace) -> None:
        run = find_run(runs_folder(args), args.name)
        if not run.is_busy:
            raise InputError(f"The training {args.name} does not run; see `train list`.")
        run.wish(wish).touch()
        print(f"{args.name} ends after the step that runs, with a checkpoint.")

    return act


def _list(args: argparse.Namespace) -> None:
    runs = all_runs(runs_folder(args))
    for run in runs:
        last = max((record.step for record in run.records()[0]), default=0)
        print(f"{run.name}: {run.standing()}, step {last} of {run.plan().steps}")
    if not runs:
        print("There are no trainings yet.")
