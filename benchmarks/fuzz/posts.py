"""Whatever is posted to the page's calls, through the guard, and given to the endpoints for programs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Route

from annotators.runtime import Runtime
from benchmarks.fuzz.attempt import Read
from benchmarks.fuzz.changes import Files, Json, any_json, any_text, changed_json, json_bytes
from benchmarks.fuzz.shaped import Known, value_of
from cnet_app.api.endpoints import Endpoints
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.calling import build_route
from cnet_app.ui.calls.context import Context
from cnet_app.ui.calls.shapes import SHAPES
from cnet_app.ui.protection.guard import Guard
from cnet_app.ui.studio import CALLS, ROUTE
from tests.jobs.fake_engine import FakeEngine, request

SESSION = "0123456789abcdef" * 2
WAITING = ("watch",)
"""Calls that wait for news; they are posted with a token of which there is some."""
CALL, BODY = "call.json", "body"
NOTHING = (sys.executable, "-S", "-c", "")
"""In place of the command that trains: a program that ends at once."""
PHOTO = "$photo"
"""Stand in an input for what the app gave a name of its own: the path of an upload, ids, and a picture's hash."""
PLACES = ("$photo", "$job", "$picture", "$sweep")
HASH = "f" * 63 + "0"


class RefusedError(Exception):
    """The app's own refusal: its sentence."""


class FaultError(Exception):
    """An answer that no call may give."""


def make_post(random: Random) -> Files:
    """Return the head and the body of a call: mostly of its shape with some parts changed."""
    name = random.choice([name for name in CALLS if name not in WAITING])
    known = Known(
        (HASH,),
        {
            "path": (PHOTO,),
            "files": (PHOTO,),
            "id": ("$picture",),
            "ids": ("$picture",),
            "job": ("$job",),
            "sweep": ("$sweep",),
        },
    )
    values = value_of(random, SHAPES[name], "", known)
    if random.random() < 0.5:
        values = changed_json(random, values)
    if random.random() < 0.05:
        values = any_json(random)
    post: Json = {"name": name, "values": values, "session": SESSION}
    if random.random() < 0.1:
        post = changed_json(random, post)
    head = {"public": random.random() < 0.3, "headers": {}}
    if random.random() < 0.1:
        names = ("host", "origin", "content-type", "content-length", "x-forwarded-for", "cookie", "sec-fetch-site")
        text = (
            any_text(random)
            .encode("ascii", "ignore")
            .decode()
            .replace("\n", "")
            .replace("\r", "")
            .replace("\0", "")[:500]
        )
        head["headers"] = {random.choice(names): random.choice((text.strip(), "http://evil.example", "-1", "[::1"))}
    return {CALL: json.dumps(head).encode(), BODY: json_bytes(random, post, 0.05)}


def make_endpoint_call(random: Random) -> Files:
    """Return the name of an endpoint and its arguments: those of JSON of any shape, all others of their types."""
    photo = {"path": PHOTO}
    control: Json = {
        "condition": "canny",
        "image": photo,
        "annotator": "canny",
        "conditioning_scale": 0.5,
        "parameters": {"low_threshold": 9},
    }
    options: Json = {
        "num_inference_steps": 2, "width": 64, "height": 64, "seed": 1, "loras": [{"name": "a", "scale": 1.0}], "initial_image": photo,
        "ip_adapter": {"name": "a", "image": photo, "scale": 0.5}, "inpaint_mask": photo, "base": "embedded", "negative_prompt": "no",
    }  # fmt: skip
    some = {name: options[name] for name in options if random.random() < 0.5}
    text = random.choice(("canny", "depth", "", any_text(random)))
    calls: Mapping[str, Json] = {
        "conditions": {},
        "models": {"kind": random.choice(("controlnet", text))},
        "annotate": {
            "condition": text, "image": _maybe(random, photo), "annotator": random.choice(("", "none", text)),
            "parameters": _maybe(random, {"low_threshold": 9}), "width": random.choice((0, 64, -1, 2**40)), "height": random.choice((0, 64, 9_999)),
        },
        "generate": {"prompt": random.choice(("a", any_text(random))), "controls": _maybe(random, [control]), "options": _maybe(random, some)},
        "jobs": {"job": random.choice(("$job", text)), "wait": random.choice((0.0, -1.0, float("nan")))},
        "cancel": {"job": random.choice(("$job", text))},
        "score": {"picture": _maybe(random, {"path": random.choice(("$made", PHOTO))}), "overlay": random.random() < 0.5},
        "library": {"limit": random.choice((1, 0, -5, 2**40))},
    }  # fmt: skip
    name = random.choice([*calls, "generate", "annotate", "generate"])
    return {CALL: json.dumps({"name": name, "values": calls[name]}).encode()}


def _maybe(random: Random, value: Json) -> Json:
    """Return a value as it is, or changed."""
    return changed_json(random, value) if random.random() < 0.7 else value


@dataclass
class Desk:
    """An app without a page and a model: its engine waits before the first step of whatever is asked for."""

    folder: Path
    settings: Settings

    def __post_init__(self) -> None:
        self.engine = FakeEngine()
        self.runner = Runner(self.settings, self.engine)
        maps = Maps(run_here(Runtime()))
        self.sweeps = Sweeps(self.settings.output_dir, self.runner, open_work(maps))
        self.uploads = self.folder / "uploads"
        self.uploads.mkdir(parents=True)
        self.photo = self.uploads / "photo.png"
        Image.fromarray((np.indices((64, 96)).sum(axis=0) % 255).astype(np.uint8)).convert("RGB").save(self.photo)
        assets = Assets(self.folder / "assets", 50_000_000)
        self.trainings = Trainings(self.settings, self.runner.wants_pictures, NOTHING)
        self.context = Context(
            self.settings, self.runner, maps, assets, self._is_uploaded, self._served, self.sweeps, self.trainings
        )
        app = Starlette(routes=[Route(f"{ROUTE}/call", build_route(self.context), methods=["POST"])])
        transport = httpx.ASGITransport(Guard(self.settings).around(app))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860")
        self.endpoints = Endpoints(self.settings, self.runner, maps, lambda pixels: {"path": "map.png"})
        self.own = {"$photo": str(self.photo), "$sweep": "2026-01-01_000000-a-000000000000"}
        self._make_picture()

    def _make_picture(self) -> None:
        """Make a picture that calls can name, and a job that waits."""
        self.engine.gate.set()
        *_, state = self.runner.watch(self.runner.submit(request("made"), SESSION))
        self.engine.gate.clear()
        self.own |= {
            "$made": state.paths[0],
            "$picture": state.picture_ids[state.paths[0]],
            "$job": self.runner.submit(request("waits"), SESSION),
        }
        assets = self.context.of(_visitor()).assets
        self.own[HASH] = assets.put(self.photo.read_bytes())

    def tidy(self) -> None:
        """Stop what an input has begun, and put back what it has taken away."""
        for sweep in self.sweeps.running(SESSION):
            self.sweeps.cancel(sweep)
        for state in self.runner.active():
            if state.id != self.own["$job"]:
                self.runner.cancel(state.id)
        if not Path(self.own["$made"]).is_file() or self.runner.state(self.own["$job"]).is_over:
            self.runner.cancel_all()
            self.runner.start()
            self._make_picture()

    def close(self) -> None:
        """End its threads."""
        self.trainings.close()
        self.sweeps.close()
        self.runner.close()

    def named(self, text: str) -> str:
        """Return an input with the app's own names in the place of those that stand for them."""
        for name, own in self.own.items():
            text = text.replace(name, json.dumps(own)[1:-1])
        return text

    def _is_uploaded(self, path: object) -> bool:
        return isinstance(path, str) and path == str(self.photo)

    def _served(self, content: bytes, name: str) -> str:
        (self.uploads / "served").write_bytes(content)
        return str(self.uploads / "served")


def _visitor() -> Any:
    from cnet_app.ui.calls.context import Visitor

    return Visitor(SESSION)


@contextmanager
def open_calls(folder: Path) -> Iterator[Read]:
    """Yield what posts a call to an app of one person or to a public one."""
    generous: dict[str, Any] = {"max_requests": 10_000, "max_hourly_mb": 1_000_000, "max_waiting": 60}
    desks = {
        public: Desk(
            folder / f"public {public}",
            Settings(
                output_dir=folder / f"{public}" / "pictures",
                cache_dir=str(folder / f"{public}"),
                public=public,
                **generous,
            ),
        )
        for public in (False, True)
    }

    def post(files: Path) -> None:
        head = json.loads((files / CALL).read_text())
        desk = desks[head["public"]]
        body = desk.named((files / BODY).read_bytes().decode("latin-1")).encode("latin-1")
        try:
            _check_answer(asyncio.run(_posted(desk, body, head["headers"])))
        finally:
            desk.tidy()

    try:
        yield post
    finally:
        for desk in desks.values():
            desk.close()


async def _posted(desk: Desk, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    plain = {"content-type": "application/json"}
    return await desk.client.post(f"{ROUTE}/call", content=body, headers=plain | dict(headers))


def _check_answer(answer: httpx.Response) -> None:
    """Raise RefusedError for a sentence, and FaultError for what no answer may be."""
    if answer.status_code >= 500:
        raise FaultError(f"Status {answer.status_code}: {answer.text[:500]}")
    if answer.status_code >= 400:
        raise RefusedError(answer.text)
    _check_object(answer.json())


def _check_object(answer: Json) -> None:
    if not isinstance(answer, dict):
        raise FaultError(f"The answer is {answer!r}.")
    if not answer.get("error"):  # a job without a fault has an empty one
        return
    if "Something went wrong in the app itself" in answer["error"]:
        raise FaultError(answer["error"])
    raise RefusedError(answer["error"])


@contextmanager
def open_endpoints(folder: Path) -> Iterator[Read]:
    """Yield what calls an endpoint with the arguments of a file."""
    desk = Desk(folder, Settings(output_dir=folder / "pictures", cache_dir=str(folder / "cache"), max_waiting=60))

    def call(files: Path) -> None:
        given = json.loads(desk.named((files / CALL).read_text()))
        try:
            answer = getattr(desk.endpoints, given["name"])(**given["values"])
            json.dumps(answer, allow_nan=False)
            _check_object(answer)
        finally:
            desk.tidy()

    try:
        yield call
    finally:
        desk.close()
