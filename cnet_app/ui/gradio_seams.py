"""Every place where Gradio's own behaviour is replaced or its helpers are used, each with the reason."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast
from urllib.parse import quote

import gradio as gr
from gradio import http_server, route_utils
from gradio.blocks import BlockFunction
from gradio.components.api_component import Api
from gradio.processing_utils import save_bytes_to_cache
from gradio.queueing import Queue
from gradio.route_utils import GradioMultiPartParser
from gradio.routes import App, ORJSONResponse
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import get_upload_folder, is_in_or_equal
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from cnet_app.ui.protection.guard import FILE, Guard
from models.downloads.disk import disk_error
from models.errors import SaveError

LOG = logging.getLogger(__name__)
NO_ROOM = 507
"""Status of HTTP: insufficient storage."""
NOT_UPLOADED = "A file must be one that was uploaded here, and this one was not or is no longer there; upload it again."


IDLE = 45.0
"""Seconds after the last event of a session in which its answers can be fetched."""
MAX_LOGINS = 10_000
"""Logins that hold; the oldest end first."""


class IdleStates(StateHolder):
    """Gradio's states of sessions, which it would keep for ever: ours go with their answers when a session is idle.

    No function of the app keeps anything in them. Gradio calls `delete_all_expired_state` every second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._used: dict[str, float] = {}

    def __getitem__(self, session_id: str) -> SessionState:
        self._used[session_id] = self._clock()
        return super().__getitem__(session_id)

    def delete_all_expired_state(self) -> None:
        """Forget the sessions without events that were not used for IDLE seconds."""
        queue, now = cast(CheckedBlocks, self.blocks).calls, self._clock()
        busy = {event.session_hash for event in list(queue.event_ids_to_events.values())}
        known = {*self.session_data, *queue.pending_messages_per_session, *queue.pending_event_ids_session}
        self._used = {session: now if session in busy else self._used.get(session, now) for session in known}
        for session in [session for session, used in self._used.items() if now - used >= IDLE]:
            for held in (
                self._used, self.session_data, self.time_last_used,
                queue.pending_messages_per_session, queue.pending_event_ids_session,
            ):  # fmt: skip
                held.pop(session, None)


class GuardedApp(App):
    """Gradio's web app behind the guard: middleware that is given to Gradio comes after what it opens to other sites."""

    def __init__(self, guard: Guard, routes: list[BaseRoute]) -> None:
        """Serve these routes too."""
        super().__init__(
            routes=routes, default_response_class=ORJSONResponse, exception_handlers={OSError: _refuse_disk}
        )
        self.state_holder = IdleStates()
        guard.is_logged_in = self._is_logged_in
        self._guard = guard

    def build_middleware_stack(self) -> ASGIApp:
        """Return the app as the server calls it."""
        return self._guard.around(super().build_middleware_stack())

    def forget_logins(self) -> None:
        """End the oldest logins, where there are too many."""
        for token in list(self.tokens)[:-MAX_LOGINS]:
            del self.tokens[token]

    def _is_logged_in(self, cookies: Mapping[str, str]) -> bool:
        """Return whether no login is needed, or the cookies are those of one."""
        names = (f"access-token-{self.cookie_id}", f"access-token-unsecure-{self.cookie_id}")
        return self.auth is None or any(cookies.get(name) in self.tokens for name in names)


def _refuse_disk(_: Request, error: Exception) -> Response:
    """Answer where an upload found no room, which Gradio does not catch; any other error goes on."""
    fault = disk_error(error) if isinstance(error, OSError) else None
    if fault is None:
        raise error
    LOG.warning("Nothing could be saved: %s", error)
    return ORJSONResponse({"error": str(fault)}, NO_ROOM)


@contextmanager
def asked_at_loopback() -> Generator[None]:
    """Launch inside: Gradio asks its own address at the start, and `::` is one that Windows cannot ask."""
    start = http_server.start_server

    def start_server(*given: Any, **options: Any) -> tuple[str, int, str, http_server.Server]:
        name, port, url, server = start(*given, **options)
        return name, port, url.replace("//[::]:", "//[::1]:"), server

    http_server.start_server = start_server
    try:
        yield
    finally:
        http_server.start_server = start


def json_response(value: Any) -> Response:
    """Return a response as Gradio makes it: NaN and infinities are null."""
    return ORJSONResponse(value)


class TidyParser(GradioMultiPartParser):
    """Removes the files of an upload that breaks off, for lack of room or of its sender: Gradio leaves them for ever."""

    async def parse(self) -> FormData:
        """Return the form as Gradio does."""
        try:
            return await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                with suppress(OSError):  # what it still holds may find no room either
                    file.close()
                with suppress(OSError):
                    Path(file.name).unlink()
            raise


def tidy_uploads() -> None:
    """Let Gradio read uploads by TidyParser. It has no other way to choose one."""
    route_utils.GradioMultiPartParser = TidyParser


class CheckedBlocks(gr.Blocks):
    """Checks every posted value before a function runs: Gradio's own check lets files pass that are not declared as files."""

    refer: Callable[[str], str] = staticmethod(str)
    """Returns what a program is given for the path of a file that it may fetch."""

    @property
    def calls(self) -> Queue:
        """What programs called and is not answered yet."""
        return self._queue

    def drop_statistics(self) -> None:
        """Keep no record of events once there is a queue: Gradio computes statistics of all of them anew after each."""
        self._queue.ANALYTICS_MAX_EVENTS, self._queue.ANAYLTICS_CACHE_FREQUENCY = 1, sys.maxsize

    def forget_uploads(self) -> None:
        """Forget the names of uploaded files, where the app itself removes old ones: Gradio keeps them to do so."""
        if own_upload_folder():
            self.upload_file_set.clear()

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        # A program may leave the last arguments out; only Gradio's own client fills them in.
        inputs += [component.value for component in block_fn.inputs[len(inputs) :] if isinstance(component, Api)]
        super().validate_inputs(block_fn, inputs)
        if not all(map(is_uploaded, _paths(inputs))):
            raise gr.Error(NOT_UPLOADED, print_exception=False)

    async def postprocess_data(self, block_fn: BlockFunction, predictions: Any, state: Any) -> list[Any]:
        """Give out files by their references, in public mode."""
        return [self._referred(value) for value in await super().postprocess_data(block_fn, predictions, state)]

    def _referred(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._referred(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "path" in value and "meta" in value:
            path = self.refer(value["path"])
            return value | {"path": path, "url": f"{FILE}{quote(path)}"}
        return {name: self._referred(part) for name, part in value.items()}


def own_upload_folder() -> Path | None:
    """Return the folder of uploads; None where it is Gradio's default, which other apps of this machine use too."""
    folder = Path(get_upload_folder()).resolve()
    return None if folder == (Path(tempfile.gettempdir()) / "gradio").resolve() else folder


def cache_upload(content: bytes, name: str) -> str:
    """Save a file where Gradio may serve it, next to uploaded ones, and return its path."""
    return save_bytes_to_cache(content, name, get_upload_folder())


def check_upload_folder() -> None:
    """Raise SaveError where uploads cannot be written: on a machine of several users, their folder may be another's."""
    folder = Path(get_upload_folder())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SaveError(
            f"Uploads cannot be written to {folder} ({error.strerror}); point GRADIO_TEMP_DIR to a folder of your own."
        ) from error


def is_uploaded(path: object) -> bool:
    """Return whether a path is that of a file which was uploaded to this server."""
    try:
        return isinstance(path, str) and Path(path).is_file() and is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _paths(value: Any) -> Iterator[Any]:
    """Yield the paths of all files in a value, at any depth."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)
