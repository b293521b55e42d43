"""A hub on this machine: the few answers of the real one that a download needs, and its ways of saying no."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from models.families import Family
from models.resolve import NamedKind, missing, resolve
from models.weights import fetch_row

COMMIT = "c0ffee" + "0" * 34


def download_all(id: str, kind: NamedKind, family: Family | None = None) -> list[str]:
    """Download what a name needs as the engine does, step by step; returns the ids of the rows in order."""
    rows: list[str] = []
    while needed := missing(resolve(id, kind, family)):
        for row in needed:
            fetch_row(row)
            rows.append(row.id)
    return rows


@dataclass
class Hub:
    """Its files and its faults."""

    files: dict[str, bytes] = field(default_factory=dict)
    """`owner/name/path` to content."""
    refusal: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer."""
    portal: bool = False
    """Every answer is a login page, as in a hotel."""
    cut: float = 1.0
    """Share of a file after which the connection ends."""
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve() -> Generator[Hub]:
    """A hub at `url` until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.removeprefix("/")
            hub.asked.append(f"{self.command} {path}")
            repo, _, rest = path.partition("/resolve/")
            content = hub.files.get(f"{repo}/{rest.partition('/')[2]}")
            if hub.portal:
                self.send(200, {}, b"<html>Please log in</html>", with_body)
            elif hub.refusal:
                self.send(hub.refusal[0], {"X-Error-Code": hub.refusal[1]} if hub.refusal[1] else {}, b"", with_body)
            elif content is None:
                self.send(404, {"X-Error-Code": "EntryNotFound"}, b"", with_body)
            else:
                etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
                self.send(200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content, with_body)

        def send(self, status: int, headers: dict[str, str], content: bytes, with_body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(content[: int(hub.cut * len(content))])
                self.close_connection = hub.cut < 1

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
