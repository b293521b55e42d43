"""Visitors who come and go leave nothing in the memory of the server."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotators.runtime import Runtime
from benchmarks.app.visitors import visit
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.scoring import Scorer
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app
from tests.jobs.fake_engine import FakeEngine

BATCH = 12
FEW = 5
SETTLES = 120.0
"""Seconds in which what is still at work ends, also on a busy machine."""
Census = tuple[Counter[str], dict[int, int]]
CONTAINERS = (dict, list, set, deque, OrderedDict)
TIMERS = "asyncio.events.TimerHandle"
"""Cancelled ones stay until they are due or 100 of them; asyncio bounds them."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scorer, str]]:
    """The scorer of a public app behind a proxy, whose bounds are reached after FEW visitors, and the app's address."""
    monkeypatch.setattr("cnet_app.maps.annotate.CACHE_MAPS", FEW)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache" / "uploads"))
    monkeypatch.setattr("cnet_app.ui.gradio_seams.IDLE", 0.5)
    monkeypatch.setattr(
        "gradio.utils.get_heartbeat_rate", lambda: 0.5
    )  # Gradio sleeps on for so long after a page closed
    monkeypatch.setattr("cnet_app.ui.housekeeping.EVERY", 0.5)
    monkeypatch.setattr("cnet_app.jobs.remembered.REMEMBERED", FEW)
    monkeypatch.setattr("cnet_app.ui.protection.rates.MAX_NAMES", FEW)
    monkeypatch.setattr("cnet_app.ui.protection.budgets.MAX_SESSIONS", FEW)
    settings = Settings(
        output_dir=tmp_path / "pictures", cache_dir=str(tmp_path / "cache"), public=True, proxies=1,
        max_requests=10_000, max_history=FEW,
    )  # fmt: skip
    maps = Maps(run_here(Runtime()))
    scorer = Scorer(annotate_again(maps))
    runner = Runner(settings, FakeEngine(prompts=deque(maxlen=FEW)), scorer)
    sweeps = Sweeps(settings.output_dir, runner, open_work(maps))
    app = build_app(settings, runner, maps, sweeps)
    yield scorer, app.launch(server_name="127.0.0.1", quiet=True)
    app.blocks.close(verbose=False)
    sweeps.close()
    runner.close()


def play(scorer: Scorer, url: str, first: int) -> None:
    """Let BATCH visitors come and go, and wait until they are forgotten."""

    async def batch() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for number in range(first, first + BATCH):
                await visit(client, number)

    asyncio.run(batch())
    while scorer._waiting:
        time.sleep(0.05)
    time.sleep(2.5)  # Gradio looks every second


def census() -> Census:
    """Count the objects by type, and the items of every container; keep none of them alive.

    What is bounded by functools.lru_cache does not count.
    """
    for one in gc.get_objects():
        if type(one).__name__ == "_lru_cache_wrapper" and one.cache_parameters()["maxsize"] is not None:
            one.cache_clear()
    gc.collect()
    types = Counter(map(type_of, gc.get_objects()))
    del types[TIMERS]
    return types, {id(one): len(one) for one in containers()}


def type_of(one: Any) -> str:
    return f"{type(one).__module__}.{type(one).__qualname__}"


def containers() -> list[Any]:
    return [one for one in gc.get_objects() if type(one) in CONTAINERS and len(one) >= FEW and not is_of_timers(one)]


def is_of_timers(one: Any) -> bool:
    return isinstance(one, list) and isinstance(one[0], asyncio.TimerHandle)


def shown(one: Any) -> str:
    return f"{type(one).__name__} of {len(one)}, such as {str(list(one)[-1])[:200]}"


@pytest.mark.slow
def test_visitors_leave_nothing_in_memory(served: tuple[Scorer, str]) -> None:
    gc.unfreeze()
    play(*served, 0)
    census()  # the first one changes what it counts: it empties caches
    before = census()
    play(*served, 1000)
    ends = time.monotonic() + SETTLES
    while (grown := growth(before)) and time.monotonic() < ends:
        time.sleep(0.5)
    gc.freeze()
    assert not grown


def growth(before: Census) -> list[str]:
    """Return what there is more of by BATCH or more: objects of a type, items of a container."""
    known, sizes = before
    types, _ = census()
    names = {name: count - known[name] for name, count in types.items() if count - known[name] >= BATCH}
    newest = {name: [one for one in gc.get_objects() if type_of(one) == name][-3:] for name in names}
    grown = [f"{count} of {name}, such as {str(newest[name])[:300]}" for name, count in names.items()]
    return grown + [shown(one) for one in containers() if len(one) - sizes.get(id(one), len(one)) >= BATCH]
