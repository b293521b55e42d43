"""The route of the page's calls: whoever calls is known by the browser's identity, and kept within budgets in public mode."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from cnet_app.ui.calls.context import Context, Object
from cnet_app.ui.gradio_seams import json_response
from cnet_app.ui.protection.addresses import address_of
from cnet_app.ui.protection.answers import RefusedError
from cnet_app.ui.protection.rates import Rates
from cnet_app.ui.studio import CALLS, answer

SESSION = re.compile(r"[0-9a-f]{32}")
"""An identity that a browser made."""
WORKING = 8
"""Calls of one address that work at the same time in public mode."""
WATCHING = 32
"""Pages of one address that wait for news at the same time."""
BURST = 10.0
"""Seconds whose calls may come at once."""


def build_route(context: Context) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a POST of {name, values, session}."""
    settings = context.settings
    rates = Rates(settings.max_requests, settings.max_requests * BURST)

    async def call(request: Request) -> Response:
        try:
            return json_response(await _answered(request))
        except RefusedError as refusal:
            return refusal.response()

    async def _answered(request: Request) -> Object:
        data = await anyio.to_thread.run_sync(json.loads, await request.body() or b"null")
        if not isinstance(data, dict):
            raise RefusedError(400, "A call is an object with name and values; reload the page.")
        address = address_of(request.scope, settings.proxies)
        if settings.is_local:
            return await answer(context, data, address)
        session = data.get("session")
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise RefusedError(400, "The page did not give its identity; reload it.")
        if wait := rates.take(session):
            raise RefusedError(429, "Too many calls come from this page; wait a few seconds, then try again.", wait)
        is_watching = iscoroutinefunction(CALLS.get(str(data.get("name"))))
        name = f"{address} watching" if is_watching else address
        if not context.budgets.begin(name, WATCHING if is_watching else WORKING):
            raise RefusedError(
                429, "Too much is worked on for your network address; wait a few seconds, then try again.", 1
            )
        try:
            context.budgets.meet(session, address)
            return await answer(context, data, address)
        finally:
            context.budgets.end(name)

    return call
