"""Trainings of the app: started as processes that outlive it, followed by reading, and brought to wait for pictures.

Loads no torch.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnet_app.jobs.trainings.commands import PROGRAM, end_command, last_line, start_command
from cnet_app.jobs.trainings.data_work import DataWork
from cnet_app.request.training import TrainingPlan
from cnet_app.settings import Settings
from cnet_app.training.monitoring.curves import Story
from cnet_app.training.run import (
    BUSY,
    GIVE_WAY_SECONDS,
    Record,
    RunFolder,
    Standing,
    Wish,
    all_runs,
    create_run,
    delete_run,
    find_run,
)
from models.errors import InputError

ERRORS = "errors.txt"
"""In a run's folder: what its process wrote on standard error."""
ENDS: tuple[Wish, ...] = ("stop", "pause")
"""Wishes that end a run."""
LOOK = 0.2
"""Seconds between two looks at whether a picture is wanted."""
RENEW = GIVE_WAY_SECONDS / 6
"""Seconds after which a `give-way` file is renewed."""


@dataclass(frozen=True)
class Child:
    """A process of a training, started here."""

    process: subprocess.Popen[bytes]
    log_size: int
    """Bytes of the log when it was started."""


@dataclass
class Followed:
    """A run, and what its log said up to a byte."""

    run: RunFolder
    story: Story
    byte: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A run as it stands."""

    name: str
    plan: TrainingPlan
    standing: Standing
    message: str
    """What it does, or why it ended."""
    story: Story
    wish: Wish | None = None
    """What was asked for and is not done yet."""

    @property
    def is_busy(self) -> bool:
        """Whether its process is at work, or waits."""
        return self.standing in BUSY


class Trainings:
    """The trainings in the app's folder. Thread-safe; `close` asks what was started here to pause."""

    def __init__(
        self, settings: Settings, wants_pictures: Callable[[], bool], program: Sequence[str] = PROGRAM
    ) -> None:
        """`program` is what takes the arguments of the command line; a test puts a lighter one there."""
        self.folder, self.data = settings.trainings_dir, DataWork(settings, program)
        self._settings, self._wants_pictures, self._program = settings, wants_pictures, program
        self._lock = threading.RLock()
        self._children: dict[str, Child] = {}
        self._followed: dict[str, Followed] = {}
        self._closing = threading.Event()
        self._yielding = threading.Thread(target=self._give_way, name="give-way", daemon=True)

    def begin(self) -> None:
        """Let trainings wait while pictures are made, from now on; also those that were started elsewhere."""
        with self._lock:
            if not self._yielding.is_alive() and not self._closing.is_set():
                self._yielding.start()

    def close(self) -> None:
        """Ask the trainings that were started here to pause, and leave them to it; end work on data."""
        self.data.close()
        with self._lock:
            for name, child in self._children.items():
                if child.process.poll() is None:
                    self._ask(RunFolder(self.folder / name), child, "pause")
        self._closing.set()
        if self._yielding.is_alive():
            self._yielding.join()

    def start(self, plan: TrainingPlan) -> None:
        """Begin a training. Raises InputError where its name is taken or another one runs, and SaveError.

        A relative folder of the plan is one below the app's working directory.
        """
        plan = with_absolute_folders(plan)
        with self._lock:
            self._check_free(plan.name)
            run = create_run(self.folder, plan)
            self._followed.pop(plan.name, None)  # of a run without steps that had the name
            self._launch(run)

    def resume(self, name: str, changes: Mapping[str, Any] | None = None) -> None:
        """Go on with a run from its newest checkpoint, with changes of its plan. Raises as `start` does."""
        with self._lock:
            run = find_run(self.folder, name)
            self._check_free(name)
            if changes:
                folders = {name: _absolute(str(changes[name])) for name in ("data", "validation") if changes.get(name)}
                run.change({**changes, **folders})
            self._launch(run)

    def pause(self, name: str) -> None:
        """End a run after the step it is at, to be resumed. Raises InputError where it does not run."""
        self._wish(name, "pause")

    def stop(self, name: str) -> None:
        """End a run after the step it is at. Raises InputError where it does not run."""
        self._wish(name, "stop")

    def delete(self, name: str) -> None:
        """Remove a run with its checkpoints and samples; an exported ControlNet stays. Raises InputError while it runs."""
        with self._lock:
            run = find_run(self.folder, name)
            if self.state(name).is_busy:
                raise InputError(f"The training {name} runs; stop it first, then delete it.")
            delete_run(run)
            self._followed.pop(name, None)
            self._children.pop(name, None)

    def export(self, name: str, best: bool = False) -> int:
        """Write the newest checkpoint, or the best, as a ControlNet of the run's name, and return its step; also while it runs.

        Raises InputError where there is none yet, or it cannot be written.
        """
        run = find_run(self.folder, name)
        story = self.state(name).story
        if story.checkpoint is None:
            every = min(run.plan().checkpoint_every, run.plan().steps)
            raise InputError(f"{name} has no checkpoint yet; the first is written after step {every}.")
        if best and story.best_checkpoint is None:
            raise InputError(f"No checkpoint of {name} has a score yet; use the newest.")
        step = story.best_checkpoint if best and story.best_checkpoint is not None else story.checkpoint
        if story.exported and story.exported.step == step and Path(story.exported.values["path"]).is_dir():
            return step
        errors = run.path / f"export-{ERRORS}"
        device = "cpu" if self.busy() else self._settings.device
        words = ("--checkpoint", str(step)) if best else ()
        process = self._command("export", name, errors, device, *words)
        if process.wait():
            raise InputError(last_line(errors) or f"{name} could not be exported; see {errors}.")
        return step

    def busy(self) -> str | None:
        """Return the name of the training that runs; None where none does."""
        return next((state.name for state in self.states() if state.is_busy), None)

    def states(self) -> list[TrainingState]:
        """Return all runs, the last changed first; a folder whose plan cannot be read is left out."""
        found: list[TrainingState] = []
        for run in all_runs(self.folder):
            with suppress(InputError):
                found.append(self._state(run))
        return found

    def state(self, name: str) -> TrainingState:
        """Return a run as it stands. Raises InputError where there is none."""
        return self._state(find_run(self.folder, name))

    def follow(self, name: str, byte: int = 0) -> tuple[list[Record], int]:
        """Return the records of a run from a byte of its log on, and the byte to read on from. Raises InputError."""
        return find_run(self.folder, name).records(byte)

    def _state(self, run: RunFolder) -> TrainingState:
        with self._lock:
            plan, story = run.plan(), self._story(run)
            standing, message = self._standing(run, story)
            wish: Wish | None = next((one for one in ENDS if standing in BUSY and run.wish(one).exists()), None)
            return TrainingState(name=run.name, plan=plan, standing=standing, message=message, story=story, wish=wish)

    def _story(self, run: RunFolder) -> Story:
        """Read what is new in the log. A run that was deleted and begun again is read from its start."""
        known = self._followed.get(run.name)
        size = _size(run.log)
        if known is None or size < known.byte:
            known = self._followed[run.name] = Followed(run, Story())
        records, known.byte = run.records(known.byte)
        known.story.add(records)
        return known.story.snapshot()

    def _standing(self, run: RunFolder, story: Story) -> tuple[Standing, str]:
        """Return how a run stands, and its message: a process that wrote no record yet is being started."""
        child, standing = self._children.get(run.name), story.standing
        lives = child is not None and child.process.poll() is None
        if child is not None and lives and not self._has_written(run, child):
            return "preparing", "The training is being started."
        message = str(story.last.values.get("message", "")) if story.last else ""
        has_died = standing in ("new", "interrupted") or (child is not None and not self._has_written(run, child))
        if has_died:
            message = last_line(run.path / ERRORS)  # nothing after a kill
        return standing, message

    def _has_written(self, run: RunFolder, child: Child) -> bool:
        return _size(run.log) > child.log_size

    def _check_free(self, name: str) -> None:
        if self._closing.is_set():
            raise InputError("The app is closing; start it again, then the training.")
        if busy := self.busy():
            which = "It" if busy == name else f"The training {busy}"
            raise InputError(
                f"{which} runs already, and one training runs at a time; wait for its end, pause it or stop it."
            )

    def _launch(self, run: RunFolder) -> None:
        for wish in ENDS:
            run.wish(wish).unlink(missing_ok=True)
        size = _size(run.log)
        process = self._command("resume", run.name, run.path / ERRORS, self._settings.device)
        self._children[run.name] = Child(process, size)
        self.begin()

    def _command(self, action: str, name: str, errors: Path, device: str, *more: str) -> subprocess.Popen[bytes]:
        output = str(self._settings.output_dir.resolve())
        words = ("train", action, name, "--output-dir", output, "--device", device, *more)
        return start_command(self._settings, words, errors, program=self._program)

    def _wish(self, name: str, wish: Wish) -> None:
        with self._lock:
            run = find_run(self.folder, name)
            if not self.state(name).is_busy:
                raise InputError(f"The training {name} does not run.")
            self._ask(run, self._children.get(name), wish)

    def _ask(self, run: RunFolder, child: Child | None, wish: Wish) -> None:
        """A process that wrote nothing yet has nothing to lose, and would forget the wish: it is ended."""
        if child is not None and not self._has_written(run, child):
            end_command(child.process)
        else:
            _touch(run.wish(wish))

    def _give_way(self) -> None:
        """Renew the `give-way` file of runs at work while a picture is made or waits, and remove it then."""
        waited = RENEW
        asked: set[Path] = set()
        while not self._closing.wait(LOOK):
            waited += LOOK
            if not self._wants_pictures():
                asked, waited = _remove(asked), RENEW
            elif waited >= RENEW:
                asked |= {
                    RunFolder(self.folder / state.name).wish("give-way") for state in self.states() if state.is_busy
                }
                waited = 0.0
                for path in asked:
                    _touch(path)
        _remove(asked)


def _touch(path: Path) -> None:
    with suppress(OSError):  # its folder was removed
        path.touch()


def _remove(paths: set[Path]) -> set[Path]:
    for path in paths:
        path.unlink(missing_ok=True)
    return set()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def with_absolute_folders(plan: TrainingPlan) -> TrainingPlan:
    """Return a plan whose folders of data are absolute: relative ones are below the app's working directory."""
    validation = _absolute(plan.validation) if plan.validation else None
    return replace(plan, data=_absolute(plan.data), validation=validation)


def _absolute(folder: str) -> str:
    return str(Path(folder).expanduser().resolve())
