"""Visitors of the running app, who ask over plain HTTP for what a browser asks for."""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from PIL import Image

SIDE, STEPS = 128, 4
PATIENCE = 600.0
ENDPOINT = "conditions"
"""Called by programs."""
SCRIPTS = re.compile(r'(?:src|href)="(\./(?:assets|static|studio)/[^"]+)"')


class RefusedVisitError(Exception):
    """The app answered a visitor with something other than what was asked for."""


def photo(number: int) -> bytes:
    """Return a photo as PNG: SIDE px, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def address(number: int) -> str:
    """Return an IPv4 address of a visitor's own."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class Visitor:
    """A browser with an identity and an address of its own."""

    client: httpx.AsyncClient
    number: int
    session: str = field(default_factory=lambda: secrets.token_hex(16))
    _endpoint: int = -1

    async def open(self) -> None:
        """Load the page, and ask for what its scripts ask for at the start."""
        page = await self._get("")
        config = _json(await self._get("config"))
        self._endpoint = next(one["id"] for one in config["dependencies"] if one["api_name"] == ENDPOINT)
        for path in ("theme.css", "gradio_api/startup-events", "gradio_api/info"):
            await self._get(path)
        for part in dict.fromkeys(SCRIPTS.findall(page.text)[:2]):
            await self._get(part.removeprefix("./"))
        await self._heartbeat()
        for name in ("tables", "choices", "unfinished", "shelves"):
            await self.call(name)

    async def draft(self, photo_number: int | None = None) -> dict[str, Any]:
        """Upload a photo and return a draft with one layer over it."""
        content = photo(self.number if photo_number is None else photo_number)
        sent = await self.client.post(
            "gradio_api/upload", files={"files": ("photo.png", content, "image/png")}, headers=self._headers
        )
        put = await self.call("put", path=_json(sent)[0])
        frame = {"width": SIDE, "height": SIDE, "fit": "crop"}
        held = {name: put[name] for name in ("sha256", "width", "height")}
        layer = {"condition": "canny", "source": "photo"}
        await self.call("map", layer=layer, photo=held, frame=frame)
        settings = {"num_inference_steps": STEPS}
        return {"prompt": "a red ball", "photo": held, "frame": frame, "layers": [layer], "settings": settings}

    async def generate(self, draft: dict[str, Any]) -> str:
        """Queue the job of a draft and return its id."""
        return (await self.call("generate", draft=draft))["jobs"][0]

    async def finish(self, *jobs: str) -> dict[str, dict[str, Any]]:
        """Wait as a page does until jobs are over, and return them as the page shows them, with `seen`, when that was."""
        token, ends, over = "", time.monotonic() + PATIENCE, dict[str, dict[str, Any]]()
        while len(over) < len(jobs):
            if time.monotonic() > ends:
                raise RefusedVisitError(f"visitor {self.number} waited {PATIENCE:g} s for {len(jobs) - len(over)} jobs")
            news = await self.call("watch", token=token, follow=list(jobs))
            token = news["token"]
            for job in news["jobs"]:
                if job["id"] in jobs and job["status"] not in ("queued", "running"):
                    over.setdefault(job["id"], job | {"seen": time.monotonic()})
        return over

    async def look(self, job: dict[str, Any]) -> None:
        """Fetch the picture of a job, the newest ones of the library, and their thumbnails."""
        if job["status"] != "done":
            raise RefusedVisitError(f"a job of visitor {self.number} is {job['status']}: {job['error']}")
        await self._get(f"gradio_api/file={job['pictures'][0]}")
        shown = await self.call("library", limit=5)
        small = await self.call("thumbnails", ids=[picture["id"] for picture in shown["pictures"]])
        for path in list(small["paths"].values())[:2]:
            await self._get(f"gradio_api/file={path}")

    async def program(self) -> None:
        """Call an endpoint through Gradio's queue, as its client does, and read the answer to its end."""
        session = self.session[:11]
        body = {"data": [], "fn_index": self._endpoint, "session_hash": session}
        _json(await self.client.post("gradio_api/queue/join", json=body, headers=self._headers))
        answer = await self._get(f"gradio_api/queue/data?session_hash={session}")
        if "process_completed" not in answer.text:
            raise RefusedVisitError(f"/{ENDPOINT} was answered: {answer.text[:200]}")

    async def call(self, name: str, **values: Any) -> dict[str, Any]:
        """Return the answer of a call of the page. Raises RefusedVisitError."""
        body = {"name": name, "values": values, "session": self.session}
        return _json(await self.client.post("studio/call", json=body, headers=self._headers))

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-Forwarded-For": address(self.number)}

    async def _get(self, path: str) -> httpx.Response:
        answer = await self.client.get(path, headers=self._headers)
        if answer.status_code != 200:
            raise RefusedVisitError(f"GET {path[:80]} was answered {answer.status_code}: {answer.text[:200]}")
        return answer

    async def _heartbeat(self) -> None:
        """Open the stream by which Gradio knows that a page is open, and close it, as leaving the page does."""
        async with self.client.stream(
            "GET", f"gradio_api/heartbeat/{self.session[:11]}", headers=self._headers
        ) as answer:
            async for _ in answer.aiter_bytes():
                break


def _json(answer: httpx.Response) -> Any:
    values = answer.json()
    if answer.status_code != 200 or (isinstance(values, dict) and values.get("error")):
        raise RefusedVisitError(f"{answer.request.url.path} was answered {answer.status_code}: {str(values)[:200]}")
    return values


async def visit(client: httpx.AsyncClient, number: int) -> None:
    """Play one visitor from the first request to the last: one job, and one call of a program."""
    visitor = Visitor(client, number)
    await visitor.open()
    job = await visitor.generate(await visitor.draft())
    await visitor.look((await visitor.finish(job))[job])
    await visitor.program()


async def at_once(client: httpx.AsyncClient, users: int, jobs: int) -> list[list[dict[str, Any]]]:
    """Let so many users queue so many jobs each at once; return the jobs by user, each with `asked` and `seen`."""

    async def use(number: int) -> list[dict[str, Any]]:
        visitor = Visitor(client, number)
        draft = await visitor.draft()
        await ready.wait()  # all have their drafts
        asked = time.monotonic()
        ids = [await visitor.generate(draft) for _ in range(jobs)]
        over = await visitor.finish(*ids)
        return [over[id] | {"asked": asked} for id in ids]

    ready = asyncio.Barrier(users)
    return list(await asyncio.gather(*(use(number) for number in range(1, users + 1))))
