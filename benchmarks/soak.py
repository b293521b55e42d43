"""Memory, disk and waits under many visitors: `python -m benchmarks.soak` starts the app and plays browsers over HTTP.

Three series, each over a new app: many visitors with one job each, one visitor with many jobs, and many users at once.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.app.served import APP, FAKE_APP, PATIENCE, App, running_app
from benchmarks.app.visitors import Visitor, at_once, visit

ENGINES = {"fake": FAKE_APP, "embedded": APP}
OPTIONS = (
    "--public", "--proxies", "1", "--max-requests", "10000", "--max-waiting", "1000", "--max-waiting-per-address", "1000",
)  # fmt: skip
"""Strangers behind a proxy, who come from addresses of their own, faster than people do."""
SETTLED = 200
"""Visitors or jobs after which memory must be flat; of fewer in all a tenth."""
MOST_GROWTH = 0.05
MOST_WAIT = 2.0
"""Of the fair share: a user's k-th job is due when all users had k of theirs."""
MOST_ANSWER = 1.0
"""Seconds in which the page must answer under load."""
SAMPLES = 40
"""Of memory in one series."""
TOGETHER = 4
"""Visitors who are there at the same time."""


@dataclass(frozen=True)
class Sample:
    """Memory and disk at one moment."""

    count: int
    """Visitors or jobs until then."""
    page_mb: float
    engine_mb: float
    disk_mb: dict[str, float]
    """By folder: pictures, thumbnails, history, photos, maps, uploads."""


@dataclass(frozen=True)
class Soak:
    """Samples of one series."""

    title: str
    engine: str
    samples: tuple[Sample, ...]
    seconds: float
    load: float

    def growth(self, part: str) -> float:
        """Return by which share the memory of a part (`page_mb` or `engine_mb`) grew between SETTLED and the end."""
        settled, end = self.edges(part)
        return end / settled - 1 if settled else 0.0

    def edges(self, part: str) -> tuple[float, float]:
        """Return the MB of a part once it has settled and at the end, each the median of neighbouring samples."""
        last = self.samples[-1].count
        begin = min(SETTLED, last // 10)
        settled = [sample for sample in self.samples if sample.count >= begin][:3]
        return (
            statistics.median(getattr(sample, part) for sample in settled),
            statistics.median(getattr(sample, part) for sample in self.samples[-3:]),
        )

    @property
    def faults(self) -> list[str]:
        """Return the bars that fail, as sentences."""
        return [
            f"{self.title}: the memory of the {part} grew by {self.growth(f'{part}_mb'):.1%}, and {MOST_GROWTH:.0%} is allowed."
            for part in ("page", "engine")
            if self.growth(f"{part}_mb") > MOST_GROWTH
        ]


@dataclass(frozen=True)
class Load:
    """What many users at once waited for."""

    users: int
    jobs: int
    """Of each user."""
    done: int
    seconds: float
    """From the first order to the last picture."""
    early_thirds: int
    """Users whose last job came before another user's first."""
    longest_wait: float
    """Of any job, as a multiple of its fair share."""
    answers: tuple[float, ...] = field(repr=False)
    """Seconds of the page's answers meanwhile."""
    load: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Return the bars that fail, as sentences."""
        bars = (
            (self.done == self.users * self.jobs, f"{self.done} of {self.users * self.jobs} jobs are done."),
            (self.early_thirds == 0, f"{self.early_thirds} users had their last job before another one's first."),
            (self.longest_wait <= MOST_WAIT, f"A job waited {self.longest_wait:.2f} times its fair share."),
            (max(self.answers) < MOST_ANSWER, f"The page answered after {max(self.answers):.2f} s."),
        )
        return [f"{self.users} users at once: {sentence}" for holds, sentence in bars if not holds]


@asynccontextmanager
async def browsing(app: App) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the app."""
    limits = httpx.Limits(max_connections=400, keepalive_expiry=1.0)  # sooner than the server closes idle connections
    async with httpx.AsyncClient(base_url=app.url, timeout=PATIENCE, limits=limits) as client:
        yield client


async def soak(
    title: str,
    engine: str,
    count: int,
    hours: float,
    act: Callable[[httpx.AsyncClient, int], Awaitable[None]],
    together: int,
) -> Soak:
    """Act `count` times, or for some hours, `together` at a time, and take samples meanwhile."""
    begun, samples = time.monotonic(), list[Sample]()
    step = max(count // SAMPLES, together)
    with running_app(ENGINES[engine], OPTIONS) as app:
        async with browsing(app) as client:
            number = 0
            while number < count or time.monotonic() - begun < hours * 3600:
                ends = number + step
                while number < ends:
                    several = range(number + 1, min(number + together, ends) + 1)
                    await asyncio.gather(*(act(client, one) for one in several))
                    number += len(several)
                samples.append(sample(app, number))
                print(_shown(samples[-1]), file=sys.stderr, flush=True)
    return Soak(title, engine, tuple(samples), time.monotonic() - begun, os.getloadavg()[1])


def sample(app: App, count: int) -> Sample:
    """Measure the app as it stands."""
    page, engine = app.megabytes()
    outputs, cache = app.folder / "outputs", app.folder / "cache"
    pictures = _megabytes(outputs, "*.png")
    disk = {
        "pictures": pictures,
        "thumbnails": _megabytes(outputs / ".thumbnails"),
        "history": _megabytes(outputs, "history.sqlite3*"),
        "photos": _megabytes(cache / "pictures"),
        "maps": _megabytes(cache / "maps"),
        "uploads": _megabytes(cache / "uploads"),
    }
    return Sample(count, page, engine, disk)


def _megabytes(folder: Path, pattern: str = "**/*") -> float:
    size = 0
    for path in folder.glob(pattern):
        with suppress(OSError):
            size += path.stat().st_size if path.is_file() else 0
    return size / 1e6


async def visitors(engine: str, count: int, hours: float) -> Soak:
    """Many visitors with one job each."""
    return await soak("Visitors, one job each", engine, count, hours, visit, TOGETHER)


async def jobs(engine: str, count: int, hours: float) -> Soak:
    """One visitor with many jobs; the photo changes every ten of them."""
    known: list[Visitor] = []
    drafts: dict[int, dict[str, Any]] = {}

    async def generate(client: httpx.AsyncClient, number: int) -> None:
        if not known:
            known.append(Visitor(client, 1))
            await known[0].open()
        group = number // 10
        if group not in drafts:
            drafts.clear()
            drafts[group] = await known[0].draft(group)
        job = await known[0].generate(drafts[group])
        await known[0].look((await known[0].finish(job))[job])

    return await soak("Jobs of one visitor", engine, count, hours, generate, 1)


async def crowd(engine: str, users: int, count: int) -> Load:
    """Many users with some jobs each, all at once, while the page is asked for again and again."""
    with running_app(ENGINES[engine], OPTIONS) as app:
        async with browsing(app) as client:
            await visit(client, 0)  # the model is loaded
            answers = list[float]()
            asking = asyncio.create_task(_ask(app, answers))
            made = await at_once(client, users, count)
            asking.cancel()
    return measure(made, answers, os.getloadavg()[0])


async def _ask(app: App, answers: list[float]) -> None:
    async with browsing(app) as client:  # of its own: it does not wait for the users' connections
        while True:
            begun = time.monotonic()
            (await client.get("", headers={"X-Forwarded-For": "10.255.0.1"})).raise_for_status()
            answers.append(time.monotonic() - begun)
            await asyncio.sleep(0.2)


def measure(made: Sequence[Sequence[dict[str, Any]]], answers: Sequence[float], load: float) -> Load:
    """Return the figures of the jobs of each user, each with `status`, `asked` and `seen`."""
    begun = min(job["asked"] for own in made for job in own)
    ends = [sorted(job["seen"] - begun for job in own) for own in made]
    count = len(made[0])
    seconds = max(own[-1] for own in ends)
    latest_first = max(own[0] for own in ends)
    waits = [end / ((place + 1) * seconds / count) for own in ends for place, end in enumerate(own)]
    return Load(
        users=len(made),
        jobs=count,
        done=sum(job["status"] == "done" for own in made for job in own),
        seconds=seconds,
        early_thirds=sum(own[-1] < latest_first for own in ends) if count > 1 else 0,
        longest_wait=max(waits),
        answers=tuple(answers),
        load=load,
    )


def render(soaks: Sequence[Soak], loads: Sequence[Load]) -> str:
    """Return the figures as Markdown."""
    parts: list[str] = []
    if soaks:
        head = "| Series | Engine | Count | Page (MB) | Engine (MB) | On disk at the end (MB) | Minutes | Load |\n|---|---|---|---|---|---|---|---|"
        parts += ["\n".join([head, *map(_soak_row, soaks)])]
    if loads:
        head = "| At once | Done | Seconds | Last before another's first | Longest wait / fair share | Page answers: median, slowest (s) | Load |\n|---|---|---|---|---|---|---|"
        parts += ["\n".join([head, *map(_load_row, loads)])]
    return "\n\n".join(parts)


def _soak_row(one: Soak) -> str:
    def memory(part: str) -> str:
        settled, end = one.edges(part)
        return f"{settled:.0f} → {end:.0f} ({one.growth(part):+.1%})" if settled else "in the page's process"

    disk = ", ".join(f"{name} {size:.1f}" for name, size in one.samples[-1].disk_mb.items())
    return (
        f"| {one.title} | {one.engine} | {one.samples[-1].count} | {memory('page_mb')} | {memory('engine_mb')} | {disk} "
        f"| {one.seconds / 60:.1f} | {one.load:.1f} |"
    )


def _load_row(one: Load) -> str:
    return (
        f"| {one.users} users × {one.jobs} jobs | {one.done} | {one.seconds:.1f} | {one.early_thirds} | {one.longest_wait:.2f} "
        f"| {statistics.median(one.answers):.2f}, {max(one.answers):.2f} | {one.load:.1f} |"
    )


def _shown(one: Sample) -> str:
    disk = " ".join(f"{name} {size:.1f}" for name, size in one.disk_mb.items())
    return f"{one.count:6} page {one.page_mb:.1f} engine {one.engine_mb:.1f} MB; {disk}"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=("visitors", "jobs", "crowd"), default=("visitors", "jobs", "crowd")
    )
    parser.add_argument("--visitors", type=int, default=2000, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2000, help="of one visitor (default: %(default)s)")
    parser.add_argument("--users", type=int, default=50, help="at once, with three jobs each (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=0.0, help="that each series goes on at least (default: none)")
    parser.add_argument("--engine", choices=ENGINES, default="fake", help="of visitors and jobs (default: %(default)s)")
    parser.add_argument("--crowd-engine", choices=ENGINES, default="embedded", help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file, and as Markdown beside it")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 where a bar fails."""
    args = build_parser().parse_args(arguments)
    soaks, loads = list[Soak](), list[Load]()
    if "visitors" in args.only:
        soaks.append(asyncio.run(visitors(args.engine, args.visitors, args.hours)))
    if "jobs" in args.only:
        soaks.append(asyncio.run(jobs(args.engine, args.jobs, args.hours)))
    if "crowd" in args.only:
        loads.append(asyncio.run(crowd(args.crowd_engine, args.users, 3)))
    text, faults = render(soaks, loads), [fault for one in (*soaks, *loads) for fault in one.faults]
    print(text)
    for fault in faults:
        print(fault, file=sys.stderr)
    if args.output:
        figures = {"soaks": list(map(dataclasses.asdict, soaks)), "loads": list(map(dataclasses.asdict, loads))}
        args.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        args.output.with_suffix(".md").write_text(f"{text}\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
