"""Every place where Gradio's own behaviour is replaced or its helpers are used, each with the reason."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio import http_server
from gradio.blocks import BlockFunction
from gradio.components.api_component import Api
from gradio.processing_utils import save_bytes_to_cache
from gradio.routes import App, ORJSONResponse
from gradio.utils import get_upload_folder, is_in_or_equal
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from cnet_app.ui.guard import FILE, Guard
from models.errors import SaveError

NOT_UPLOADED = "A file must be one that was uploaded here, and this one was not or is no longer there; upload it again."


class GuardedApp(App):
    """Gradio's web app behind the guard: middleware that is given to Gradio comes after what it opens to other sites."""

    def __init__(self, guard: Guard, routes: list[BaseRoute]) -> None:
        """Serve these routes too."""
        super().__init__(routes=routes, default_response_class=ORJSONResponse)
        guard.is_logged_in = self._is_logged_in
        self._guard = guard

    def build_middleware_stack(self) -> ASGIApp:
        """Return the app as the server calls it."""
        return self._guard.around(super().build_middleware_stack())

    def _is_logged_in(self, cookies: Mapping[str, str]) -> bool:
        """Return whether no login is needed, or the cookies are those of one."""
        names = (f"access-token-{self.cookie_id}", f"access-token-unsecure-{self.cookie_id}")
        return self.auth is None or any(cookies.get(name) in self.tokens for name in names)


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


class CheckedBlocks(gr.Blocks):
    """Checks every posted value before a function runs: Gradio's own check lets files pass that are not declared as files."""

    refer: Callable[[str], str] = staticmethod(str)
    """Returns what a program is given for the path of a file that it may fetch."""

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
