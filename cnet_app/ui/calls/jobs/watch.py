"""One long call that returns when something changed: jobs, engine, library."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cnet_app.ui.calls.access import own_jobs, seen_job
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.jobs.jobs import describe_job
from models.errors import InputError

PATIENCE = 10.0
"""Seconds that a call waits for a change."""
LOOK = 0.05
"""Seconds between two looks."""
NEVER = -1
"""A version that is never current."""


async def watch(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Wait until the visitor's jobs, those of {follow: ids}, or the engine differ from {token}; at most PATIENCE seconds.

    The answer is {token, engine, jobs, others}: `others` is how many jobs of other visitors wait or run. A page that was
    just loaded gives no token, and is answered at once.
    """
    ends = time.monotonic() + PATIENCE
    follow = [str(id) for id in values.get("follow") or ()][:50]
    while True:
        version = context.runner.wait_for_change(NEVER, 0)
        now = _snapshot(context, visitor, follow)
        token = hashlib.sha256(json.dumps(now).encode()).hexdigest()[:16]
        if token != values.get("token") or time.monotonic() >= ends:
            return now | {"token": token}
        while context.runner.wait_for_change(version, 0) == version and time.monotonic() < ends:
            await asyncio.sleep(LOOK)


def _snapshot(context: Context, visitor: Visitor, follow: list[str]) -> Object:
    own = own_jobs(context, visitor)
    jobs = {state.id: state for state in own}
    for id in follow:
        with suppress(InputError):  # forgotten since, or another visitor's
            jobs.setdefault(id, seen_job(context, visitor, id))
    status = context.runner.engine_status()
    engine = {"state": status.state, "message": status.message, "device": status.device, "starts": status.starts}
    others = len(context.runner.unfinished()) - len(own)
    return {"engine": engine, "jobs": [describe_job(context, state) for state in jobs.values()], "others": others}
