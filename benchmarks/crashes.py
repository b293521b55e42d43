"""Losses under kills: `python -m benchmarks.crashes` kills the engine, then the app, at random moments of small jobs."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cnet_app.engine.process import ProcessEngine
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request
from cnet_app.settings import Settings
from models.errors import InputError

ROOT = Path(__file__).parent.parent
SIDE, STEPS = 64, 2
PAUSE = (0.2, 4.0)
"""Seconds between two kills, at random: within loading, denoising, saving, or a restart."""
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
    orphans: int
    """Engines that outlived their app by more than CHILD_ENDS seconds."""
    zombies: int
    leftovers: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not (self.lost or self.orphans or self.zombies or self.leftovers) and self.jobs.get("done", 0) > 0


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
    lost, leftovers = _lost(worker.shown), _leftovers(folder)
    return Result("Engine killed", killed, worker.ends, len(worker.shown), lost, orphans, zombies, leftovers)


def kill_apps(folder: Path, jobs: int, kills: int, random_source: random.Random) -> Result:
    """The app dies again and again, and is started again in the same folder."""
    shown: list[str] = []
    orphans = 0
    for _ in range(kills):
        worker = Worker(folder, jobs)
        time.sleep(random_source.uniform(4.0, 14.0))
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
    return Result("App killed", kills, last.ends, len(shown), _lost(shown), orphans, 0, _leftovers(folder))


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


def _leftovers(folder: Path) -> tuple[str, ...]:
    """Files that are neither pictures nor the history."""
    history = {f"{HISTORY}{ending}" for ending in ("", "-wal", "-shm")}
    files = (path for path in folder.rglob("*") if path.is_file())
    return tuple(path.name for path in files if path.suffix != ".png" and path.name not in history)


def table(results: Sequence[Result]) -> str:
    """As Markdown."""
    head = "| What is killed | Kills | Jobs | Pictures shown | Lost | Orphans | Zombies | Leftover files |\n|---|---|---|---|---|---|---|---|"
    rows = [
        f"| {r.title} | {r.kills} | {', '.join(f'{count} {end}' for end, count in r.jobs.items())} | {r.shown} | {r.lost} "
        f"| {r.orphans} | {r.zombies} | {', '.join(r.leftovers) or 'none'} |"
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
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: %(default)s)")
    args = parser.parse_args(arguments)
    if args.work:
        work(args.work, args.jobs)
        return 0
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            kill_engines(Path(folder) / "engine", args.jobs, args.engine_kills, moments),
            kill_apps(Path(folder) / "app", args.jobs, args.app_kills, moments),
        ]
    print(table(results))
    return 0 if all(result.holds for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
