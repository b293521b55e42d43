"""A reverse proxy that shows an app below a path, as nginx or Traefik do."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PREFIX = "/tools/studio"


class Server(ThreadingHTTPServer):
    """Answers that are under way when a test ends are cut off without a word."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: what a test needs and did not get fails there."""


@contextmanager
def shown_below(prefix: str, app: str, strips: bool = True, told: bool = True) -> Generator[str]:
    """Yield the address of a proxy that passes what is below `prefix` on to `app`, without the prefix where it `strips`.

    `told` are the headers with which proxies name themselves; without them the Host header is passed on.
    """
    client = httpx.Client(trust_env=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                return self.send_error(404, "nothing outside of the prefix")
            host = self.headers["Host"]
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            own = {"X-Forwarded-Host": host, "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": prefix}
            headers |= own if told else {"Host": host}
            path = self.path.removeprefix(prefix) if strips else self.path
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with client.stream(self.command, app + path, headers=headers, content=body or None) as answer:
                self.send_response_only(answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name not in ("transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.end_headers()
                for piece in answer.iter_raw():
                    self.wfile.write(piece)
                    self.wfile.flush()
            self.close_connection = True
            return None

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        client.close()
