"""The page and the endpoints for programs, and how they are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from cnet_app.jobs.assets import Assets
from cnet_app.jobs.picture_files import TRASH
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.sweeps import Sweeps
from cnet_app.jobs.works import open_work
from cnet_app.maps.annotate import Maps
from cnet_app.settings import Settings
from cnet_app.ui.calls.context import Context
from cnet_app.ui.endpoints import build_endpoints
from cnet_app.ui.gradio_seams import CheckedBlocks, cache_upload, is_uploaded
from cnet_app.ui.importing import without_garbage_collection
from cnet_app.ui.studio import HEAD, ROUTE, WEB, build_studio
from models.errors import InputError

ASSET_BYTES = 2_000_000_000
"""Of photos and drawings that pages refer to."""


def build_app(settings: Settings, runner: Runner, maps: Maps, sweeps: Sweeps) -> gr.Blocks:
    """Build the page and the endpoints. Starts nothing. Close the sweeps before the runner."""
    assets = Assets(Path(settings.cache_dir).expanduser() / "pictures", ASSET_BYTES)
    context = Context(settings, runner, maps, assets, is_uploaded, cache_upload, sweeps)
    with CheckedBlocks(
        title="ControlNet Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
    ) as app:
        build_endpoints(settings, runner, maps)
        build_studio(context)
    return app.queue(max_size=200, default_concurrency_limit=8, api_open=False)


def serve(settings: Settings, runner: Runner, maps: Maps) -> None:
    """Serve until interrupted. The page is there first; then the runner loads models. Raises InputError for a port in use."""
    sweeps = Sweeps(settings.output_dir, runner, open_work(maps))
    with without_garbage_collection():
        app = build_app(settings, runner, maps, sweeps)
    try:
        app.launch(server_name=settings.host, server_port=settings.port or None, **launch_options(settings))
    except OSError as error:
        runner.close()
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on; stop what uses it, or choose another --port or --host."
        ) from error
    runner.start()
    try:
        app.block_thread()
    finally:
        sweeps.close()
        runner.close()


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return how the page is served: nothing leaves this machine, uploads are bounded, only pictures can be fetched."""
    pictures = settings.output_dir.resolve()
    return {
        "prevent_thread_lock": True,
        "share": False,
        "show_error": False,
        "max_file_size": f"{settings.max_upload_mb}mb",
        "allowed_paths": [str(pictures)],
        "blocked_paths": [str(pictures / TRASH), *(f"{pictures / HISTORY}{ending}" for ending in ("", "-wal", "-shm"))],
        "strict_cors": True,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        "theme": gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "head": HEAD,
        "pwa": True,
        "app_kwargs": {"routes": [Mount(ROUTE, StaticFiles(directory=WEB))]},
        "state_session_capacity": 256,  # Gradio keeps those of closed pages too
        "_frontend": False,  # a self-test that takes a busy machine for a broken one
    }
