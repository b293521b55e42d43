"""Losses under kills: `python -m benchmarks.crashes` kills the engine, then the app, at random moments of small jobs."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from annotators.sources.images import load_image
from cnet_app.engine.process import ProcessEngine
from cnet_app.jobs.library.adopt import SETTLED
from cnet_app.jobs.library.library import Library
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.store import Store
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request
from cnet_app.settings import Settings
from models.errors import InputError

ROOT = Path(__file__).parent.parent
SIDE, STEPS = 64, 2
PAUSE = (0.2, 4.0)
"""Seconds between two kills, at random: within loading, denoising, saving, or a restart."""
START = (1.0, 14.0)
"""The same from the start of an app."""
CHILD_ENDS = 5.0
"""Seconds in which an engine must end after its app was killed."""
PATIENCE = 600.0


@dataclass
class Worker:
    """An app without a page, in a process of its own: it makes jobs and prints what a user would see."""

    folder: Path
    jobs: int
    shown: list[str] = field(default_factory=list[str])
    """Pictures that a user has seen."""
    engine: int = 0
    """Process id of the engine; 0 before the first start."""
    engines: set[int] = field(default_factory=set[int])
    ends: dict[str, int] = field(default_factory=dict[str, int])
    """Number of jobs by how they ended."""

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.crashes", "--work", str(self.folder), "--jobs", str(self.jobs)]
        temporary = self.folder / "temporary"
        temporary.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"TMPDIR": str(temporary), "CNET_OFFLINE": "1"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            kind, _, value = line.strip().partition(" ")
            if kind == "shown":
                self.shown.append(value)
            elif kind == "engine":
                self.engine = int(value)
                self.engines.add(self.engine)
            elif kind == "ends":
                self.ends = json.loads(value)

    def wait(self) -> None:
        """Wait until all jobs are over."""
        self.process.wait(PATIENCE)
        self._reader.join()

    def wait_for_picture(self) -> None:
        """Wait until a user has seen a picture, or all jobs are over."""
        ends = time.monotonic() + PATIENCE
        while not self.shown and self.process.poll() is None and time.monotonic() < ends:
            time.sleep(0.02)

    def kill(self) -> None:
        """End the app as the system does when memory is out."""
        self.process.kill()
        self.wait()


@dataclass(frozen=True)
class Result:
    """Outcome of one series of kills: jobs, pictures, processes and files left behind."""

    title: str
    kills: int
    jobs: dict[str, int]
    """By how they ended; a job that the app took with it is listed by the next start as interrupted."""
    shown: int
    lost: int
    """Pictures that a user had seen and that are no longer there, or cannot be read with their recipe."""
    damaged: tuple[str, ...]
    """Pictures in the folder, shown or not, that are not whole, and the history where SQLite finds a fault in it."""
    missed: int
    """Whole pictures in the folder that the library of the next start does not list."""
    orphans: int
    """Engines that outlived their app by more than CHILD_ENDS seconds."""
    zombies: int
    leftovers: tuple[str, ...]

    @property
    def holds(self) -> bool:
        faults = self.lost or self.damaged or self.missed or self.orphans or self.zombies or self.leftovers
        return not faults and self.jobs.get("done", 0) > 0


def kill_engines(folder: Path, jobs: int, kills: int, random_source: random.Random) -> Result:
    """One app; its engine dies again and again."""
    worker = Worker(folder, jobs)
    killed, zombies = 0, 0
    while worker.process.poll() is None and killed < kills:
        time.sleep(random_source.uniform(*PAUSE))
        if worker.engine and _kill(worker.engine):
            killed += 1
            time.sleep(0.5)
            zombies += sum(_is_zombie(pid) for pid in worker.engines)
    worker.wait()
    orphans = sum(map(psutil.pid_exists, worker.engines))
    return _result("Engine killed", folder, killed, worker.ends, worker.shown, orphans, zombies)


def kill_apps(folder: Path, jobs: int, kills: int, random_source: random.Random) -> Result:
    """The app dies again and again, and is started again in the same folder.

    Every other time it dies after its first picture, else perhaps earlier.
    """
    shown: list[str] = []
    orphans = 0
    for number in range(kills):
        worker = Worker(folder, jobs)
        if number % 2:
            worker.wait_for_picture()
            time.sleep(random_source.uniform(*PAUSE))
        else:
            time.sleep(random_source.uniform(*START))
        worker.kill()
        ends = time.monotonic() + CHILD_ENDS
        while any(map(psutil.pid_exists, worker.engines)) and time.monotonic() < ends:
            time.sleep(0.05)
        orphans += sum(map(psutil.pid_exists, worker.engines))
        shown += worker.shown
    last = Worker(folder, jobs)
    last.wait()
    shown += last.shown
    orphans += sum(map(psutil.pid_exists, last.engines))
    return _result("App killed", folder, kills, last.ends, shown, orphans, 0)


def _result(
    title: str, folder: Path, kills: int, ends: dict[str, int], shown: Sequence[str], orphans: int, zombies: int
) -> Result:
    """Look through the folder after the last start."""
    return Result(
        title=title,
        kills=kills,
        jobs=ends,
        shown=len(shown),
        lost=_lost(shown),
        damaged=_damaged(folder),
        missed=_missed(folder),
        orphans=orphans,
        zombies=zombies,
        leftovers=_leftovers(folder),
    )


def work(folder: Path, jobs: int) -> None:
    """Make jobs for three users and print what they see, until all are over."""
    settings = Settings(output_dir=folder, base="embedded", device="cpu", max_waiting=jobs, max_waiting_per_user=jobs)
    engine = ProcessEngine(settings)
    runner = Runner(settings, engine)
    small: dict[str, Any] = {"width": SIDE, "height": SIDE, "num_inference_steps": STEPS}
    requests = (GenerationRequest(prompt="a red ball", seed=seed, **small) for seed in range(jobs))
    ids = [runner.submit(request, f"user {number % 3}") for number, request in enumerate(requests)]
    shown: set[str] = set()
    pid = 0
    while True:
        status = engine.status()
        if status.state == "down":
            runner.start()  # the button on the page
        if status.process_id != pid:
            pid = status.process_id
            print("engine", pid, flush=True)
        states = [runner.state(id) for id in ids]
        for path in (path for state in states for path in state.paths if path not in shown):
            shown.add(path)
            print("shown", path, flush=True)
        if all(state.is_over for state in states):
            break
        time.sleep(0.02)
    print("ends", json.dumps(Counter(state.status for state in states)), flush=True)
    runner.close()


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _lost(paths: Sequence[str]) -> int:
    lost = 0
    for path in map(Path, paths):
        try:
            read_request(path)
        except (InputError, OSError) as error:
            print(f"lost: {path} ({error})", file=sys.stderr)
            lost += 1
    return lost


def _damaged(folder: Path) -> tuple[str, ...]:
    """Decode every picture, and let SQLite look through the history."""
    found: list[str] = []
    for path in folder.glob("*.png"):
        try:
            load_image(path)
        except InputError:
            found.append(path.name)
    if not _is_whole(folder / HISTORY):
        found.append(HISTORY)
    return tuple(found)


def _is_whole(history: Path) -> bool:
    with closing(sqlite3.connect(history)) as connection:
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def _missed(folder: Path) -> int:
    """Return how many pictures the library does not list once no job can still be writing them."""
    paths = list(folder.glob("*.png"))
    long_ago = time.time() - 2 * SETTLED
    for path in paths:
        os.utime(path, (long_ago, long_ago))
    store = Store(folder / HISTORY)
    listed = Library(store.database, folder).search(limit=1).total
    store.close()
    return len(paths) - listed


def _leftovers(folder: Path) -> tuple[str, ...]:
    """Files that are neither pictures nor the history."""
    history = {f"{HISTORY}{ending}" for ending in ("", "-wal", "-shm")}
    files = (path for path in folder.rglob("*") if path.is_file())
    return tuple(path.name for path in files if path.suffix != ".png" and path.name not in history)


def table(results: Sequence[Result]) -> str:
    """As Markdown."""
    titles = ("What is killed", "Kills", "Jobs", "Pictures shown", "Lost", "Damaged", "Not in the library", "Orphans", "Zombies", "Leftover files")  # fmt: skip
    head = f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|"
    rows = [
        f"| {r.title} | {r.kills} | {', '.join(f'{count} {end}' for end, count in r.jobs.items())} | {r.shown} | {r.lost} "
        f"| {', '.join(r.damaged) or 'none'} | {r.missed} | {r.orphans} | {r.zombies} | {', '.join(r.leftovers) or 'none'} |"
        for r in results
    ]
    return "\n".join([head, *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where something was lost or left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crashes", description=__doc__)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=200, help="jobs of each app (default: %(default)s)")
    parser.add_argument("--engine-kills", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--app-kills", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--kills", type=int, help="kills in all: half of them of the engine, half of the app")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: %(default)s)")
    args = parser.parse_args(arguments)
    if args.work:
        work(args.work, args.jobs)
        return 0
    of_engine, of_app = args.engine_kills, args.app_kills
    if args.kills is not None:
        of_engine, of_app = args.kills // 2, args.kills - args.kills // 2
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            kill_engines(Path(folder) / "engine", args.jobs, of_engine, moments),
            kill_apps(Path(folder) / "app", args.jobs, of_app, moments),
        ]
    print(table(results))
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
