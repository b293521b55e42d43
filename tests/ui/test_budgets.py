"""In public mode one visitor, or one network address, never takes what the others need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from cnet_app.jobs.library.search import Query
from cnet_app.settings import Settings
from cnet_app.ui.calling import WORKING, build_route
from cnet_app.ui.calls.context import Context
from cnet_app.ui.studio import answer
from tests.jobs.fake_engine import request
from tests.ui.conftest import FRAME, Caller, create_caller

LARGE = {"width": 2048, "height": 2048, "fit": "crop"}


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Caller]:
    yield from create_caller(
        tmp_path, host="0.0.0.0", max_waiting_per_address=4, max_waiting_per_user=3, max_requests=3
    )


def call(context: Context, session: str, address: str, name: str, **values: Any) -> Any:
    context.budgets.meet(session, address)
    return asyncio.run(answer(context, {"name": name, "values": values, "session": session}, address))


def post(context: Context, name: str, session: object, address: str = "10.0.0.1") -> httpx.Response:
    async def send() -> httpx.Response:
        app = Starlette(routes=[Route("/studio/call", route, methods=["POST"])])
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.post("/studio/call", json={"name": name, "values": {}, "session": session})

    route = build_route(context)
    return asyncio.run(send())


@pytest.mark.slow
def test_a_job_that_is_too_large_is_refused_with_its_budget(public: Caller) -> None:
    layers = [{"condition": "canny", "source": "drawing", "drawing": public.put(white())} for _ in range(8)]
    settings = {"num_inference_steps": 150}
    sent = public("generate", draft={"frame": LARGE, "count": 8, "layers": layers, "settings": settings})
    assert "4.19 megapixels × 150 steps × 8 pictures × (1 + 8 control layers) = 45,298 megapixel steps" in sent["error"]
    assert "at most 2,000" in sent["error"]
    assert "jobs" in public("generate", draft={"frame": FRAME, "layers": layers[:1]})


def white() -> Any:
    import numpy as np

    return np.full((64, 64, 3), 255, np.uint8)


def test_a_job_of_any_size_is_made_on_the_own_machine(caller: Caller) -> None:
    settings = {"num_inference_steps": 150}
    assert "jobs" in caller("generate", draft={"frame": LARGE, "count": 8, "settings": settings})


def test_one_address_with_many_identities_leaves_room_for_others(public: Caller) -> None:
    public.engine.gate.clear()
    draft = {"frame": FRAME}
    answers = [call(public.context, f"{number:032x}", "10.0.0.1", "generate", draft=draft) for number in range(8)]
    refused = [one["error"] for one in answers if "error" in one]
    assert len(refused) >= 2 and "of your network address wait already" in refused[0]
    assert "jobs" in call(public.context, "f" * 32, "10.0.0.2", "generate", draft=draft)
    public.engine.gate.set()


def test_grids_of_one_address_are_few(public: Caller) -> None:
    public.engine.gate.clear()
    values = {"draft": {"frame": FRAME, "layers": []}, "axes": [{"name": "guidance_scale", "values": [3, 5]}]}
    answers = [call(public.context, f"{number:032x}", "10.0.0.1", "grid", **values) for number in range(4)]
    assert [("sweep" in one) for one in answers] == [True, True, False, False]
    assert "network address" in answers[-1]["error"]
    assert "sweep" in call(public.context, "f" * 32, "10.0.0.2", "grid", **values)
    public.context.sweeps.close()
    public.engine.gate.set()


def test_pictures_of_one_visitor_are_bounded_and_favourites_stay(public: Caller) -> None:
    runner = public.context.runner
    ids: list[str] = []
    for number in range(4):
        *_, state = runner.watch(runner.submit(request("made", seed=number), "someone"))
        ids += state.picture_ids.values()
    *_, other = runner.watch(runner.submit(request("made"), "other"))
    runner.library.set_favourite(ids[:1], True)
    size = sum(Path(picture.path).stat().st_size for picture in map(runner.library.get, ids))
    assert runner.library.trim("someone", size) == 0
    assert runner.library.trim("someone", int(size * 0.6)) == 2
    kept = [picture.id for picture in runner.library.search(Query(session="someone")).pictures]
    assert set(kept) == {ids[0], ids[3]}
    assert runner.library.get(next(iter(other.picture_ids.values())))
    assert len(list(public.context.settings.output_dir.glob("*.png"))) == 3


def test_a_page_that_calls_too_often_is_told_to_wait(public: Caller) -> None:
    route = build_route(public.context)

    async def send() -> list[httpx.Response]:
        app = Starlette(routes=[Route("/studio/call", route, methods=["POST"])])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
            body = {"name": "unfinished", "values": {}, "session": "a" * 32}
            first = [await client.post("/studio/call", json=body) for _ in range(40)]
            return [*first, await client.post("/studio/call", json=body | {"session": "b" * 32})]

    *answers, other = asyncio.run(send())
    assert answers[0].status_code == 200 and answers[-1].status_code == 429
    assert "wait a few seconds" in answers[-1].json()["error"]
    assert other.status_code == 200


def test_an_address_works_on_few_things_at_once(public: Caller) -> None:
    budgets = public.context.budgets
    assert all(budgets.begin("10.0.0.1", WORKING) for _ in range(WORKING))
    refused = post(public.context, "unfinished", "a" * 32)
    assert refused.status_code == 429 and "worked on" in refused.json()["error"]
    assert post(public.context, "unfinished", "a" * 32, "10.0.0.2").status_code == 200
    budgets.end("10.0.0.1")
    assert post(public.context, "unfinished", "a" * 32).status_code == 200


@pytest.mark.parametrize("session", [None, "", "me", "A" * 32, "a" * 31, "a" * 33, 7, ["a" * 32], "a" * 32 + "\n"])
def test_an_identity_that_no_browser_made_is_refused(public: Caller, session: object) -> None:
    answer = post(public.context, "library", session)
    assert answer.status_code == 400 and "identity" in answer.json()["error"]


def test_local_mode_asks_for_no_identity(caller: Caller) -> None:
    assert post(caller.context, "library", "me").status_code == 200


def test_programs_have_the_same_budgets(tmp_path: Path) -> None:
    from cnet_app.api.endpoints import Endpoints

    for caller in create_caller(tmp_path, host="0.0.0.0", max_job_size=1):
        context = caller.context
        endpoints = Endpoints(context.settings, context.runner, context.maps, lambda pixels: {})
        large = endpoints.generate("a test", [], {"width": 512, "height": 512, "num_inference_steps": 20})
        assert "at most 1;" in large["error"]
        assert isinstance(context.settings, Settings) and replace(context.settings, public=False).is_local
        with pytest.raises(Exception, match="megapixel steps"):
            context.runner.submit(request("large", width=512, height=512, num_inference_steps=20), "someone")


def test_pictures_of_all_visitors_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.jobs.library.trimming.MEGABYTE", 1000)
    monkeypatch.setattr("cnet_app.jobs.library.trimming.LOOK_AFTER", 0.0)
    for caller in create_caller(tmp_path, host="0.0.0.0", max_all_pictures_mb=5):
        runner = caller.context.runner
        for number in range(8):
            list(runner.watch(runner.submit(request(f"made {number}", seed=number), f"visitor {number}")))
        files = list(caller.context.settings.output_dir.glob("*.png"))
        assert 0 < sum(path.stat().st_size for path in files) <= 5000
        assert next(picture.prompt for picture in runner.library.search(Query()).pictures) == "made 7"
        assert not runner.history(session="visitor 0"), "the job goes with its picture"


def test_an_address_with_many_identities_waits_its_turn(public: Caller) -> None:
    runner = public.context.runner
    runner.address_of = public.context.budgets.address
    public.engine.gate.clear()
    draft = {"frame": FRAME}
    for number in range(4):
        call(public.context, f"{number:032x}", "10.0.0.1", "generate", draft=draft)
    public.engine.entered.wait(10)
    alone = [call(public.context, "f" * 32, "10.0.0.2", "generate", draft=draft)["jobs"][0] for _ in range(2)]
    waiting = [state.id for state in runner.active() if state.status == "queued"]
    assert [waiting.index(id) for id in alone] == [1, 3]
    public.engine.gate.set()
