"""Stands before all routes: who may ask for what, how often and how much, and which headers the answers have."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnet_app.settings import Settings
from cnet_app.ui.files import FileReferences
from cnet_app.ui.protection.addresses import address_of, is_known_host, is_own_origin
from cnet_app.ui.protection.answers import Answer, Kind, RefusedError
from cnet_app.ui.protection.posted import checked_json
from cnet_app.ui.protection.rates import Rates

LOG = logging.getLogger(__name__)
API = "/gradio_api/"
FILE = f"{API}file="
UPLOAD = f"{API}upload"
LOGIN = "/login"
STATIC = ("/static/", "/assets/", "/svelte/", "/studio/")
"""Scripts, styles and pictures of the page itself."""
PAGES = ("", "/login", "/logout", "/config", "/theme.css", "/manifest.json", "/robots.txt", "/favicon.ico", "/pwa_icon")
CALLS = (
    "startup-events", "info", "openapi.json", "app_id", "login_check", "user", "upload", "upload_progress", "queue/join",
    "queue/data", "queue/status", "cancel", "reset", "theme.css",
)  # fmt: skip
CALLS_ON = ("call/", "heartbeat/", "file=")
"""Beginnings of Gradio's routes that the page and programs use. All others, such as those that fetch addresses, are closed."""
OPEN = ("startup-events", "login_check", "user", "app_id", "theme.css")
"""Gradio's routes that answer before a login."""
MEGABYTE = 1_000_000
MAX_CALL_MB = 64
"""Of one call in local mode: a recipe holds its pictures."""
MAX_PUBLIC_CALL_MB = 16
SPARE = 100_000
"""Bytes around the file of an upload."""
BURST = 10.0
"""Seconds whose requests may come at once."""
STATIC_RATE = 10
"""Requests for parts of the page count a tenth."""
LOGINS_A_MINUTE = 6


@dataclass
class Guard:
    """One for the app; `around` puts it before an ASGI app."""

    settings: Settings
    references: FileReferences | None = None
    """Of the files that can be fetched in public mode; None in local mode, where paths are asked for."""
    is_logged_in: Callable[[Mapping[str, str]], bool] = lambda cookies: True
    """Whether the cookies are those of a login, or none is needed."""
    hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        own = urlsplit(self.settings.root_path).hostname or ""
        names = [*self.settings.hosts.split(","), own]
        self.hosts = frozenset(name.strip().lower() for name in names) - {""}
        rate, hourly = self.settings.max_requests * 2, self.settings.max_hourly_mb * MEGABYTE
        self._requests = Rates(rate, rate * BURST)
        self._parts = Rates(rate * STATIC_RATE, rate * STATIC_RATE * BURST)
        self._bytes = Rates(hourly / 3600, hourly)
        self._logins = Rates(LOGINS_A_MINUTE / 60, LOGINS_A_MINUTE)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an ASGI app that lets through to another what may pass.

        A proxy may hand on the path below which it shows the app, or not: the guard sees paths without it, the app with it.
        """
        prefix = self.settings.prefix

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                if scope["type"] == "lifespan":
                    await app(scope, receive, send)
                return
            scope = {**scope, "path": _path_below(prefix, scope["path"])}
            answer = Answer(send, kind_of(scope["path"]), self.settings.frames, prefix)
            try:
                scope, receive = await self._checked(scope, receive, answer)
                inner = {**scope, "path": prefix + scope["path"], "root_path": prefix}
                await app(inner, receive, answer.send)
            except RefusedError as refusal:
                if not answer.is_begun:
                    LOG.info("Refused %s %s: %s", scope["method"], _shown(scope["path"]), refusal.sentence)
                    await refusal.response()(scope, receive, answer.send_own)

        return guarded

    async def _checked(self, scope: Scope, receive: Receive, answer: Answer) -> tuple[Scope, Receive]:
        """Return what the app is given. Raises RefusedError."""
        headers, path = Headers(scope=scope), scope["path"].rstrip("/") or "/"
        self._check_host(headers)
        if not is_open_route(path):
            raise RefusedError(404, "There is nothing at this address.")
        if scope["method"] not in ("GET", "HEAD") and not is_own_origin(headers, self.hosts):
            raise RefusedError(
                403,
                "The request comes from a page of another site, and only this app's own page may send it; open the app "
                "by its own address. A proxy in front must pass the Host header on.",
            )
        address = address_of(scope, self.settings.proxies)
        self._check_rate(scope, path, address)
        scope = {**scope, "path": self._path(scope["path"]), "headers": _inner_headers(scope)}
        if not self._may_pass(path, scope):
            raise RefusedError(401, "Log in first; reload the page.")
        if path == UPLOAD:
            most = self.settings.max_upload_mb * MEGABYTE + SPARE
        else:
            most = (MAX_CALL_MB if self.settings.is_local else MAX_PUBLIC_CALL_MB) * MEGABYTE
        receive = self._bounded(headers, receive, most, address, answer)
        if scope["method"] == "POST" and path not in (UPLOAD, LOGIN):
            receive = await checked_json(receive)
        return scope, receive

    def _check_host(self, headers: Headers) -> None:
        """In public mode the names of the app are known only where they are given."""
        checked = self.settings.is_local or bool(self.settings.hosts)
        host = headers.get("host", "")
        if checked and not is_known_host(host, self.hosts | {self.settings.host.lower()}):
            raise RefusedError(
                403,
                f"The app is asked for under the name {_shown(host)}, which it does not know; open it by its address, or "
                "start it with --hosts and this name.",
            )

    def _check_rate(self, scope: Scope, path: str, address: str) -> None:
        if path == LOGIN and scope["method"] == "POST" and (wait := self._logins.take(address)):
            raise RefusedError(429, f"There were too many logins; try again in {wait:.0f} s.", wait)
        if self.settings.is_local:
            return
        is_part = path.startswith((*STATIC, FILE)) and scope["method"] != "POST"
        if wait := (self._parts if is_part else self._requests).take(address):
            raise RefusedError(
                429, "Too many requests come from your network address; wait a few seconds, then try again.", wait
            )

    def _path(self, path: str) -> str:
        """Return the path that Gradio is asked for. Raises RefusedError for a file that nobody may fetch, or this visitor may not."""
        if not path.startswith(FILE):
            return path
        asked = path.removeprefix(FILE)
        if re.match(r"[\w+.-]{2,}:|[/\\]{2}", asked):
            raise RefusedError(403, "An address is not a file of this app; addresses are never fetched.")
        if self.references is None:
            return path
        found = self.references.find(asked)
        if found is None:
            raise RefusedError(404, "There is no such file.")
        return f"{FILE}{found}"

    def _may_pass(self, path: str, scope: Scope) -> bool:
        inner = path.removeprefix(API)
        is_free = path.rstrip("/") in PAGES or (path.startswith(STATIC) and scope["method"] != "POST") or inner in OPEN
        return is_free or self.is_logged_in(_cookies(Headers(scope=scope)))

    def _bounded(self, headers: Headers, receive: Receive, most: int, address: str, answer: Answer) -> Receive:
        """Return a `receive` that refuses bodies above `most` bytes, and those beyond the hour's budget of the address."""
        told = headers.get("content-length", "")
        if told.isdecimal() and int(told) > most:
            raise _too_large(most)
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            if taken > most:
                raise answer.refuse(_too_large(most))
            if size and not self.settings.is_local and (wait := self._bytes.take(address, size)):
                raise answer.refuse(
                    RefusedError(
                        429,
                        f"{self.settings.max_hourly_mb} MB came from your network address within the hour, and no more may; "
                        f"try again in {wait / 60:.0f} min.",
                        wait,
                    )
                )
            return message

        return bounded


def kind_of(path: str) -> Kind:
    """Return what is asked for at a path."""
    return "page" if path in ("", "/") else "file" if path.startswith(FILE) else "other"


def is_open_route(path: str) -> bool:
    """Return whether the page or a program has something to ask for there."""
    path = path.rstrip("/") if not path.startswith(FILE) else path
    if path.startswith(API):
        inner = path.removeprefix(API)
        return inner in CALLS or inner.startswith(CALLS_ON)
    return path in PAGES or path.startswith(STATIC) or path.startswith("/pwa_icon/")


def _path_below(prefix: str, path: str) -> str:
    """Return a path without the prefix."""
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") or path == prefix else path


def _inner_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of a request without its origin, to which Gradio would open its answers, and for the page uncompressed."""
    dropped = (b"origin", b"accept-encoding") if scope["path"] in ("", "/") else (b"origin",)
    return [pair for pair in scope["headers"] if pair[0].lower() not in dropped]


def _cookies(headers: Headers) -> dict[str, str]:
    pairs = (part.partition("=") for value in headers.getlist("cookie") for part in value.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"The file is larger than {most / MEGABYTE:.0f} MB; save it smaller.")


def _shown(text: str) -> str:
    return repr(text[:80])
