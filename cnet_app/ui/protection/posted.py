"""JSON that is posted, read before anything else reads it: bounded in depth, and without numbers that are none."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio.to_thread
from starlette.types import Message, Receive

from cnet_app.ui.protection.answers import RefusedError

MAX_DEPTH = 100
"""Of the JSON that is posted."""
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
LARGE = 1_000_000
"""Bytes above which the event loop does not wait."""


async def checked_json(receive: Receive) -> Receive:
    """Return a `receive` of a whole body that is JSON of bounded depth. Raises RefusedError."""
    body = await _whole(receive)
    if len(body) > LARGE:
        await anyio.to_thread.run_sync(check_json, body)
    else:
        check_json(body)
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def check_json(body: bytes) -> None:
    """Raise RefusedError for what is not JSON, is nested deeper than MAX_DEPTH, or holds NaN and the like; nothing at all may pass."""
    if not body:
        return
    if depth_of(body) > MAX_DEPTH:
        raise RefusedError(400, f"The request is nested more than {MAX_DEPTH} deep; reload the page.")
    try:
        json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "The request is not JSON; reload the page.") from error


def depth_of(body: bytes) -> int:
    """Return how deep lists and objects of JSON are nested, without parsing it; above MAX_DEPTH it does not look further."""
    depth = deepest = 0
    for bracket in re.finditer(rb"[\[\]{}]", STRING.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")
