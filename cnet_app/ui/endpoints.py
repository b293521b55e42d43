"""Serves the endpoints for programs (cnet_app.api.endpoints) to `gradio_client`, plain HTTP and curl."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cnet_app.api.endpoints import NAMES, Endpoints, Object, as_file
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps
from cnet_app.request.pictures import encode_png
from cnet_app.settings import Settings
from cnet_app.ui.gradio_seams import cache_upload


def build_endpoints(settings: Settings, runner: Runner, maps: Maps) -> None:
    """Add the endpoints to the open gr.Blocks, before any listener could take one of their names.

    Calls of several programs run at the same time. Gradio derives the types of a call from the signatures.
    """
    endpoints = Endpoints(settings, runner, maps, lambda pixels: as_file(cache_upload(encode_png(pixels), "map.png")))

    def generate(
        prompt: str, controls: list[dict[str, Any]] | None = None, options: dict[str, Any] | None = None,
        request: gr.Request | None = None,
    ) -> Object:  # fmt: skip
        return endpoints.generate(prompt, controls, options, (request and request.session_hash) or "")

    generate.__doc__ = Endpoints.generate.__doc__
    for name in NAMES:
        function = generate if name == "generate" else getattr(endpoints, name)
        gr.api(function, api_name=name, concurrency_limit=None)
