"""Serves the endpoints for programs (cnet_app.api.endpoints) to `gradio_client`, plain HTTP and curl."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cnet_app.api.endpoints import NAMES, Endpoints, Object, as_file
from cnet_app.request.pictures import encode_png
from cnet_app.ui.calls.context import Context, Visitor, identity
from cnet_app.ui.gradio_seams import cache_upload
from cnet_app.ui.protection.addresses import address_of


def build_endpoints(context: Context) -> None:
    """Add the endpoints to the open gr.Blocks, before any listener could take one of their names.

    Calls of several programs run at the same time. Gradio derives the types of a call from the signatures.
    """
    settings = context.settings
    endpoints = Endpoints(
        settings, context.runner, context.maps, lambda pixels: as_file(cache_upload(encode_png(pixels), "map.png"))
    )

    def generate(
        prompt: str, controls: list[dict[str, Any]] | None = None, options: dict[str, Any] | None = None,
        request: gr.Request | None = None,
    ) -> Object:  # fmt: skip
        session = identity(request and request.session_hash)
        visitor = Visitor(
            session, address_of(request.request.scope, settings.proxies) if request and request.request else ""
        )
        context.budgets.meet(session, visitor.address)
        return endpoints.generate(prompt, controls, options, session, lambda: context.admit(visitor))

    generate.__doc__ = Endpoints.generate.__doc__
    for name in NAMES:
        function = generate if name == "generate" else getattr(endpoints, name)
        gr.api(function, api_name=name, concurrency_limit=None)
