"""`train controlnet …`, `train resume|export|pause|stop|delete NAME`, `train list`, and `train embedded`."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotators.base import Parameter
from cnet_app.cli.terminal.output import end_progress, show_progress
from cnet_app.embedded.train import command as embedded
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.training import CHANGEABLE, SWITCHES, TRAINING_LIMITS, TrainingPlan
from cnet_app.settings import settings_for_command
from cnet_app.training.checks import check_plan
from cnet_app.training.monitoring.curves import Story, estimate_words
from cnet_app.training.run import Record, RunFolder, Wish, all_runs, create_run, delete_run, find_run, resume_with
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
OVERFITS = (
    "Agreement with the probes has fallen clearly below its best while the loss goes on falling: the network learns these pairs "
    "by heart. `train export NAME --checkpoint best` takes the best one; more pairs, or --flip and --crop, help."
)
NEEDED = ("name", "condition", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a command for each thing to do with a training."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("controlnet", help="train a ControlNet on pairs of pictures and maps")
    _add_plan(new)
    new.set_defaults(act=_new)
    for name, help, act in (
        ("resume", "go on from the newest checkpoint", _resume),
        ("export", "write a checkpoint as a ControlNet, also while the training goes on", _export),
        ("pause", "end after the step that runs, to be resumed", _wish("pause")),
        ("stop", "end after the step that runs", _wish("stop")),
        ("delete", "remove the training with its checkpoints; an exported ControlNet stays", _delete),
    ):
        sub = actions.add_parser(name, help=help)
        sub.add_argument("name", metavar="NAME", help="name of the training")
        sub.set_defaults(act=act)
        if name == "resume":
            for field in CHANGEABLE:
                _add_change(sub, field)
        if name == "export":
            help = "newest, best (of the agreement with the probes), or the step of a checkpoint (default: %(default)s)"
            sub.add_argument("--checkpoint", default="newest", metavar="WHICH", help=help)
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


def _add_change(parser: argparse.ArgumentParser, name: str) -> None:
    """Declare a setting that a resumed run may change; left out, it stays."""
    if name in SWITCHES:
        parser.add_argument(_flag(name), action=argparse.BooleanOptionalAction, help=SWITCH_TEXTS[name])
    elif name in TEXTS:
        parser.add_argument(_flag(name), metavar="VALUE", help=f"where the {TEXTS[name].partition(';')[0]} lies now")
    else:
        limit = TRAINING_LIMITS[name]
        parser.add_argument(_flag(name), help=f"{limit.help} (default: as the run has it)", **_kind(limit))


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
    check_plan(plan)
    folder = runs_folder(args)
    return _run(RunFolder(folder / plan.name), args, lambda: create_run(folder, plan))


def _resume(args: argparse.Namespace) -> int:
    run = find_run(runs_folder(args), args.name)
    changes = {name: value for name in CHANGEABLE if (value := getattr(args, name)) is not None}

    def prepare() -> None:
        if changes:
            resume_with(run, changes)

    return _run(run, args, prepare)


def _export(args: argparse.Namespace) -> None:
    run = find_run(runs_folder(args), args.name)
    from cnet_app.training.start import export_checkpoint
    from models.machine.devices import parse_device

    step, folder = export_checkpoint(run, parse_device(args.device), args.checkpoint)
    print(f"Wrote step {step} of {run.name} to {folder}")


def _run(run: RunFolder, args: argparse.Namespace, prepare: Callable[[], object]) -> int:
    """Train; of several processes, the main one prepares the run and prints."""
    from cnet_app.training.processes import by_main, join_processes
    from cnet_app.training.start import run_training
    from models.machine.devices import parse_device

    device = parse_device(args.device)
    processes = join_processes(device)
    by_main(processes, prepare)
    try:
        state = run_training(run, device, _show(run))
    except KeyboardInterrupt:  # during preparation or export, or at the second Ctrl-C
        end_progress()
        print(f"Stopped. {_how_to_resume(run, args)}", file=sys.stderr)
        return 1
    finally:
        end_progress()
    if processes.is_main_process:
        print(f"{run.name}: {state}." + ("" if state == "done" else f" {_how_to_resume(run, args)}"))
    return 0


def _how_to_resume(run: RunFolder, args: argparse.Namespace) -> str:
    place = ["--output-dir", str(args.output_dir)] if args.output_dir else []
    return f"Go on with: {shlex.join(['python', '-m', 'cnet_app', 'train', 'resume', run.name, *place])}"


def _show(run: RunFolder) -> Callable[[Record], None]:
    """Return what prints a record, and once that the run overfits."""
    steps, story = run.plan().steps, Story()
    story.add(run.records()[0])
    has_warned = False

    def show(record: Record) -> None:
        nonlocal has_warned
        story.add([record])
        values = record.values
        match record.kind:
            case "step":
                show_progress(
                    f"step {record.step} of {steps}, loss {values['loss']:.4f}, {values['seconds']:.2f} s a step"
                )
            case "probe" if values["score"] is not None:
                _line(f"step {record.step}: agreement with the probes {values['score']:.3f}")
                if story.overfits and not has_warned:
                    has_warned = True
                    _line(OVERFITS)
            case "converged":
                _line(f"Sudden convergence at step {values['at']}: {values['before']:.3f} → {values['score']:.3f}")
            case "estimate":
                _line(estimate_words(values))
            case "exported":
                _line(f"Wrote {values['path']}" + (f" and its base {values['base']}" if "base" in values else ""))
            case "note" | "state" if values.get("message") and values.get("state") != "failed":  # raised as well
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


def _delete(args: argparse.Namespace) -> None:
    run = find_run(runs_folder(args), args.name)
    delete_run(run)
    print(f"{args.name} is deleted: {run.path}")


def _list(args: argparse.Namespace) -> None:
    runs = all_runs(runs_folder(args))
    for run in runs:
        last = next((record.step for record in reversed(run.records()[0]) if record.kind == "step"), 0)
        try:
            print(f"{run.name}: {run.standing()}, step {last} of {run.plan().steps}")
        except InputError as error:
            print(f"{run.name}: damaged, step {last}. {error}")
    if not runs:
        print("There are no trainings yet.")
