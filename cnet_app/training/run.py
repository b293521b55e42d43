"""The folder of a run: its plan, what happened so far, checkpoints and samples. A page or a program follows it by reading.

plan.json                       the TrainingPlan
log.jsonl                       a Record a line, in the order in which they happened; of a resumed run, later lines win
checkpoints/step-000500/        one folder a checkpoint, written whole or not at all
samples/step-000500-2.png       the picture of the third probe (counted from 0)
probes/2.png                    the map of the third probe
tensorboard/                    curves, samples and jump as TensorBoard's event files
run-id                          a number by which the ControlNet that it wrote is known as its own
stop, pause, give-way           files that somebody else makes: see `Wish`
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from cnet_app.request.training import TrainingPlan, changed, plan_from_text, plan_to_json
from cnet_app.training.storage.places import check_name
from cnet_app.training.trainable import check_settings
from models.catalogue.resolve import resolve
from models.downloads.whole import write_whole
from models.errors import InputError, SaveError
from models.names import did_you_mean

PLAN, LOG, CHECKPOINTS, SAMPLES, PROBES, TENSORBOARD, ID = (
    "plan.json", "log.jsonl", "checkpoints", "samples", "probes", "tensorboard", "run-id",
)  # fmt: skip
RecordKind = Literal["state", "step", "probe", "converged", "checkpoint", "estimate", "note", "exported"]
State = Literal["preparing", "running", "waiting", "paused", "stopped", "done", "failed"]
"""Of a run, as its process writes it. All but the done ones go on from their last checkpoint."""
Standing = State | Literal["new", "interrupted"]
"""Of a run, as others see it: interrupted is one whose process died before it wrote how it ended."""
BUSY = ("preparing", "running", "waiting")
Wish = Literal["stop", "pause", "give-way"]
"""A file of this name in the run's folder: end after this step with a checkpoint; the same, to go on later; wait between
two steps for as long as the file is renewed, because a picture is to be made."""
GIVE_WAY_SECONDS = 30.0
"""Age from which a `give-way` file no longer counts: who made it has died."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of the log. Values by kind:

    state: state, message, process_id · step: loss, learning_rate, seconds (of the step), memory_mb ·
    probe: scores (a list, by probe; null without), score (their mean), pictures (paths below the run's folder) ·
    converged: score, before · checkpoint: path, best · estimate: memory_mb and seconds, each an object of parts ·
    note: message · exported: path, files, base (its folder, where its decoder was trained)
    """

    kind: RecordKind
    step: int
    """Updates that are done."""
    time: float
    """Seconds since 1970."""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and what its files say."""

    path: Path

    @property
    def name(self) -> str:
        """Return the run's name."""
        return self.path.name

    @property
    def log(self) -> Path:
        """Return the path of the log."""
        return self.path / LOG

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def samples(self) -> Path:
        """Return the folder of the probes' pictures."""
        return self.path / SAMPLES

    def plan(self) -> TrainingPlan:
        """Return the plan; InputError where the folder holds none that can be read."""
        try:
            text = (self.path / PLAN).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path} holds no plan.json that can be read; choose the folder of a training."
            ) from error
        try:
            return plan_from_text(text)
        except InputError as error:
            raise InputError(f"The plan {self.path / PLAN} is damaged: {error}") from error

    @property
    def has_begun(self) -> bool:
        """Whether it has made a step or written a checkpoint, so that something would be lost with it."""
        return any(self.checkpoints.glob("step-*")) or any(
            record.kind in ("step", "checkpoint") for record in self.records()[0]
        )

    def records(self, start: int = 0) -> tuple[list[Record], int]:
        """Return the records from a byte of the log on, and the byte to read on from next time."""
        try:
            with self.log.open("rb") as file:
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return [], start
        whole = data[: data.rfind(b"\n") + 1]
        return list(_records(whole)), start + len(whole)

    def standing(self) -> Standing:
        """Return how the run stands."""
        states = [record for record in self.records()[0] if record.kind == "state"]
        return standing_of(states[-1] if states else None)

    @property
    def is_busy(self) -> bool:
        """Whether its process is at work, or waits."""
        return self.standing() in BUSY

    def write_plan(self, plan: TrainingPlan) -> None:
        """Write the plan, whole; SaveError."""
        self._write(PLAN, json.dumps(plan_to_json(plan), indent=2) + "\n")

    def id(self) -> str:
        """Return what tells this run from all others, also those of its name elsewhere. SaveError."""
        with suppress(FileNotFoundError):
            return (self.path / ID).read_text(encoding="utf-8").strip()
        self._write(ID, secrets.token_hex(16) + "\n")
        return self.id()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Write the plan with changes that a resumed run may make.

        InputError for any other, for those that have no meaning for the base, and for fewer steps than are saved.
        """
        plan = changed(self.plan(), changes)
        if family := resolve(plan.base, "base").family:
            check_settings(family, plan)
        made = max((record.step for record in self.records()[0] if record.kind == "checkpoint"), default=0)
        if plan.steps < made:
            raise InputError(
                f"steps is {plan.steps}, but {self.name} has a checkpoint of step {made} already; give at least {made}, or use "
                "`train export`."
            )
        self.write_plan(plan)

    def _write(self, name: str, text: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / name, text.encode())
        except OSError as error:
            raise SaveError(f"{self.path} cannot be written ({error.strerror}); choose another folder.") from error

    def wish(self, wish: Wish) -> Path:
        """Return the path of the file that stands for a wish."""
        return self.path / wish


def create_run(runs: Path, plan: TrainingPlan) -> RunFolder:
    """Make the folder of a new run below `runs`, with its plan. InputError where the name is taken, here or among the models; SaveError.

    A run that has made no step gives its name to the new one: a mistyped plan is to be corrected by the same command.
    """
    run = RunFolder(runs / plan.name)
    is_known = (run.path / PLAN).exists()
    if is_known and (run.has_begun or run.is_busy):
        raise InputError(
            f"There is a training {plan.name!r} in {runs} already; resume or delete it, or give the new one another name."
        )
    check_name(plan)
    if is_known:
        _forget(run)
    run.write_plan(plan)
    return run


def resume_with(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Write changes that a resumed run may make into its plan. InputError while it runs, and for any other change; SaveError."""
    if run.is_busy:
        raise InputError(f"The training {run.name} runs; pause it first, then resume it with changes.")
    run.change(changes)


def delete_run(run: RunFolder) -> None:
    """Remove a run with its checkpoints and samples; an exported ControlNet stays. InputError while it runs; SaveError."""
    if run.is_busy:
        raise InputError(f"The training {run.name} runs; stop it first, then delete it.")
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise SaveError(f"{run.path} cannot be removed ({error.strerror}); close what uses it.") from error


def _forget(run: RunFolder) -> None:
    """Remove what a run without steps has left of its plan; encoded pairs stay."""
    run.log.unlink(missing_ok=True)
    for name in (SAMPLES, PROBES, TENSORBOARD):
        shutil.rmtree(run.path / name, ignore_errors=True)


def all_runs(folder: Path) -> list[RunFolder]:
    """Return the runs below the folder of all runs, the last changed first."""
    found = [path.parent for path in folder.glob(f"*/{PLAN}")]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def find_run(folder: Path, name: str) -> RunFolder:
    """Return a run by its name; InputError where there is none."""
    names = [run.name for run in all_runs(folder)]
    if name not in names:
        known = f"choose one of: {', '.join(names)}" if names else "none has been begun yet"
        raise InputError(f"There is no training {name!r}{did_you_mean(name, names)}; {known}.")
    return RunFolder(folder / name)


def standing_of(last: Record | None) -> Standing:
    """Return how a run stands whose last record of its state is `last`."""
    if last is None:
        return "new"
    state: State = last.values["state"]
    if state in BUSY and not _lives(int(last.values.get("process_id", 0)), last.time):
        return "interrupted"
    return state


def _lives(process_id: int, since: float) -> bool:
    """Return whether the process that wrote at a time is still there, and no later one of the same number."""
    try:
        process = psutil.Process(process_id) if process_id > 0 else None
        return (
            process is not None
            and process.create_time() <= since + 1
            and process.status() != psutil.STATUS_ZOMBIE  # it has ended, and its parent has not looked yet
        )
    except psutil.Error:
        return False


def _records(data: bytes) -> Iterator[Record]:
    """Yield the records of whole lines; a line that a kill has torn is left out."""
    for line in data.splitlines():
        try:
            values = json.loads(line)
            kind, step, time = values.pop("kind"), int(values.pop("step")), float(values.pop("time"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if kind in get_args(RecordKind):
            yield Record(kind=kind, step=step, time=time, values=values)


def line(record: Record) -> str:
    """Return a record as a line of the log."""
    head = {"kind": record.kind, "step": record.step, "time": round(record.time, 3)}
    return json.dumps(head | dict(record.values)) + "\n"
