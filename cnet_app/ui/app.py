"""The page and the endpoints for programs, and how they are served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.library.picture_files import TRASH
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps
from cnet_app.settings import HOMELESS, Settings, without_surroundings
from cnet_app.ui.calling import build_route
from cnet_app.ui.calls.context import Context
from cnet_app.ui.endpoints import build_endpoints
from cnet_app.ui.files import FileReferences, kept_secret
from cnet_app.ui.gradio_seams import (
    CheckedBlocks,
    GuardedApp,
    asked_at_loopback,
    cache_upload,
    check_upload_folder,
    is_uploaded,
    own_upload_folder,
    tidy_uploads,
)
from cnet_app.ui.housekeeping import KEPT_HERE, KEPT_OF_VISITORS, Housekeeping
from cnet_app.ui.importing import without_garbage_collection
from cnet_app.ui.listening import url_host, usable_port
from cnet_app.ui.protection.guard import Guard
from cnet_app.ui.protection.users import read_users
from cnet_app.ui.studio import HEAD, ROUTE, WEB, build_studio
from models.errors import USER_ERRORS, InputError

LOG = logging.getLogger(__name__)
LOOK = 600
"""Seconds after which Gradio looks for uploads of its own that are too old, in a folder that other apps share."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Served:
    """The page and the endpoints, and how they are served."""

    blocks: gr.Blocks
    options: Mapping[str, Any]
    """For `blocks.launch`."""

    def launch(self, **options: Any) -> str:
        """Serve, and return the address at once."""
        with without_surroundings(), asked_at_loopback():
            _, url, _ = self.blocks.launch(**self.options, **options)
        return str(url)


def build_app(
    settings: Settings, runner: Runner, maps: Maps, sweeps: Sweeps, trainings: Trainings | None = None
) -> Served:
    """Build the page and the endpoints. Starts nothing. Close the sweeps before the runner. Raises InputError."""
    references = None if settings.is_local else file_references(settings)
    refer = references.refer if references else str
    context = Context(
        settings=settings,
        runner=runner,
        maps=maps,
        assets=Assets(settings.cache_folder / "pictures", settings.max_drafts_mb * MEGABYTE),
        is_uploaded=is_uploaded,
        serve_file=lambda content, name: refer(cache_upload(content, name)),
        sweeps=sweeps,
        trainings=trainings or Trainings(settings, runner.wants_pictures),
        refer=refer,
    )
    if not settings.is_local:
        runner.address_of = context.budgets.address
    with CheckedBlocks(
        title="ControlNet Studio",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(LOOK, KEPT_HERE if settings.is_local else KEPT_OF_VISITORS),
    ) as blocks:
        build_endpoints(context)
        build_studio()
    blocks.refer = refer
    blocks.queue(max_size=200, default_concurrency_limit=8, api_open=False)
    blocks.drop_statistics()
    routes: list[BaseRoute] = [
        Route(f"{ROUTE}/call", build_route(context), methods=["POST"]),
        Mount(ROUTE, StaticFiles(directory=WEB)),
    ]
    tidy_uploads()
    guarded = GuardedApp(Guard(settings, references), routes)
    housekeeping = Housekeeping(settings, sweeps, own_upload_folder(), (blocks.forget_uploads, guarded.forget_logins))
    own = {"_app": guarded, "auth": read_users(settings), "app_kwargs": {"lifespan": housekeeping.lifespan}}
    return Served(blocks, launch_options(settings) | own)


def file_references(settings: Settings) -> FileReferences:
    """Return the references of files that visitors may fetch: pictures, and what is made for one download."""
    folders = {"pictures": settings.output_dir, "files": Path(get_upload_folder())}
    return FileReferences(folders, kept_secret(settings.cache_folder / "references.key"))


def serve(settings: Settings, runner: Runner, maps: Maps, wait: Callable[[], object]) -> None:
    """Serve until `wait` returns or is interrupted. The page is there first; then the runner loads models.

    At the end what runs is interrupted and can be continued after the next start. Raises InputError for an address that it
    cannot listen on, and SaveError where uploads have no place.
    """
    try:
        check_upload_folder()
        port = usable_port(settings.host, settings.port)
    except USER_ERRORS:
        runner.close()
        raise
    sweeps = Sweeps(settings.output_dir, runner, open_work(maps))
    trainings = Trainings(settings, runner.wants_pictures)
    with without_garbage_collection():
        app = build_app(settings, runner, maps, sweeps, trainings)
    try:
        url = app.launch(server_name=url_host(settings.host), server_port=port, quiet=True)
    except OSError as error:
        runner.close()
        raise InputError(
            f"{url_host(settings.host)}:{port} cannot be listened on; stop what uses it, or choose another --port or --host."
        ) from error
    print(f"* Running on {settings.root_path if settings.root_path.startswith('http') else url}")
    try:
        note_mode(settings)
        runner.start()
        trainings.begin()
        wait()
    finally:
        with suppress(OSError):  # a terminal that is gone
            print("* The app closes.", flush=True)
        trainings.close()
        sweeps.close()
        runner.close()  # before the server, whose pages wait for news of it
        app.blocks.close(verbose=False)


def note_mode(settings: Settings) -> None:
    """Say on the console and in the log who gets in, and what visitors are to each other."""
    if not settings.is_local:
        text = "Public mode: visitors are strangers, and each has the own pictures and jobs alone."
    elif settings.is_on_loopback:
        text = "Local mode: only this machine gets in, and all pictures are shown."
    else:
        text = "Local mode on a network: whoever reaches this address sees all pictures; --public keeps visitors apart."
    LOG.log(logging.WARNING if settings.is_local and not settings.is_on_loopback else logging.INFO, text)
    print(f"* {text}")
    if settings.cache_folder == settings.output_dir / HOMELESS:
        LOG.warning(
            "There is no home folder: maps and uploads are kept in %s; --cache-dir moves them.", settings.cache_folder
        )


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return how the page is served: nothing leaves this machine, uploads are bounded, only pictures can be fetched."""
    pictures = settings.output_dir.resolve()
    return {
        "prevent_thread_lock": True,
        "share": False,
        "root_path": settings.root_path,
        "show_error": False,
        "max_file_size": f"{settings.max_upload_mb}mb",
        "allowed_paths": [str(pictures)],
        "blocked_paths": [
            str(pictures / TRASH),
            str(pictures / HOMELESS),
            *(f"{pictures / HISTORY}{ending}" for ending in ("", "-wal", "-shm")),
        ],
        "strict_cors": True,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        "theme": gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "head": HEAD,
        "pwa": True,
        "num_workers": 0,  # each would serve files on a port of its own, without the guard
        "mcp_server": False,
        "state_session_capacity": 256,  # Gradio keeps those of closed pages too
        "_frontend": False,  # a self-test that takes a busy machine for a broken one
    }
