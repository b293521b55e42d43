"""A hub on this machine: the few answers of the real one that a download needs, and a table of what can go wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

from models.catalogue.catalog import File, Weights
from models.catalogue.resolve import NamedKind, missing, resolve
from models.catalogue.weights import fetch_row
from models.family_facts import Family

COMMIT = "c0ffee" + "0" * 34
MOVED = "beef" + "0" * 36
LARGE = (".safetensors", ".bin", ".pth", ".ckpt", ".pt", ".onnx", ".task", ".tflite")
"""Endings of files that the hub names by the SHA-256 of their content."""
PAGE = b"<html><body>Please log in to the network of this hotel</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234567\n"


def download_all(id: str, kind: NamedKind, family: Family | None = None) -> list[str]:
    """Download what a name needs as the engine does, step by step; returns the ids of the rows in order."""
    rows: list[str] = []
    while needed := missing(resolve(id, kind, family)):
        for row in needed:
            fetch_row(row)
            rows.append(row.id)
    return rows


def edges() -> Weights:
    """A ControlNet of an author nobody knows."""
    tensors = File("net.fp16.safetensors", 2_000_000, others=("net.safetensors",))
    return Weights(
        id="nice_edges",
        kind="controlnet",
        title="Nice edges",
        files=(File("config.json", 0), tensors),
        licence="MIT",
        repo="someone/nice-edges",
    )


@dataclass
class Answer:
    """What is sent for one request; a fault changes it."""

    status: int
    headers: dict[str, str]
    body: bytes
    start: int = 0
    """The byte of the file with which the body begins."""
    ends_at: int | None = None
    """The byte of the file at which the connection ends; None sends all."""
    holds_at: int | None = None
    """The byte of the file at which the hub waits for its gate."""
    pieces: int = 1
    pause: float = 0.0
    """Seconds before each piece."""
    has_length: bool = True


@dataclass(frozen=True)
class Fault:
    """One way to go wrong."""

    change: Callable[[Answer, Hub], None]
    sentence: str
    """A pattern of what a user reads; empty where the download overcomes it."""
    methods: tuple[str, ...] = ("GET",)
    only_large: bool = True
    """Small files come as they should."""


@dataclass
class Hub:
    """Its files and its fault."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """`owner/name/path` to content."""
    fault: Fault | None = None
    times: int = 10**9
    """Answers that the fault still spoils."""
    commit: str = COMMIT
    """Where its branch leads."""
    gone: str = ""
    """A commit that it no longer has."""
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list[str])
    """Method and path of every request."""
    ranges: list[str] = field(default_factory=list[str])
    """The Range header of every GET of a large file; empty where it asked for all."""
    tokens: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Host and Authorization header of every request."""
    url: str = ""
    elsewhere: str = ""
    """The same server under the name of another host."""

    def transfers(self) -> list[str]:
        """Return the large files that were asked for."""
        return [path for path in self.asked if path.startswith("GET") and path.endswith(LARGE)]

    def plain_answer(self, path: str, span: str) -> Answer:
        """Return the answer of a hub without faults."""
        repo, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        content = self.files.get(f"{repo}/{name}")
        commit = self.commit if revision == "main" else revision
        if commit == self.gone:
            return Answer(404, {"X-Error-Code": "RevisionNotFound"}, b"")
        if content is None:
            return Answer(404, {"X-Error-Code": "EntryNotFound"}, b"")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(name, content)}"'}
        if name.endswith(LARGE):
            headers |= {"X-Linked-Etag": headers.pop("ETag"), "X-Linked-Size": str(len(content)), "ETag": '"other"'}
        start = int(span.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(content) > 0:
            return Answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(206 if start else 200, headers, content[start:], start)

    def answer(self, method: str, path: str, span: str) -> Answer:
        made = self.plain_answer(path, span)
        fault = self.fault
        if fault and method in fault.methods and self.times > 0 and (path.endswith(LARGE) or not fault.only_large):
            self.times -= 1
            fault.change(made, self)
        return made


def etag(name: str, content: bytes) -> str:
    """Return the name of a content: SHA-256, or for a small file the SHA-1 of git."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _refuse(status: int, **headers: str) -> Callable[[Answer, Hub], None]:
    def change(answer: Answer, hub: Hub) -> None:
        answer.status, answer.body = status, b""
        answer.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    return change


def _show_page(answer: Answer, hub: Hub) -> None:
    answer.status, answer.headers, answer.body = 200, {"Content-Type": "text/html; charset=utf-8"}, PAGE


def _cut(answer: Answer, hub: Hub) -> None:
    answer.ends_at = (answer.start + len(answer.body)) * 6 // 10


def _cut_the_rest(answer: Answer, hub: Hub) -> None:
    answer.ends_at = answer.start + -(-len(answer.body) * 6 // 10)


def _stall(answer: Answer, hub: Hub) -> None:
    answer.holds_at = (answer.start + len(answer.body)) * 6 // 10


def _be_slow(answer: Answer, hub: Hub) -> None:
    answer.pieces, answer.pause = 10, 0.1


def _shorten(answer: Answer, hub: Hub) -> None:
    answer.body = answer.body[:-100]


def _lengthen(answer: Answer, hub: Hub) -> None:
    answer.body, answer.has_length = answer.body + bytes(100), False


def _spoil(answer: Answer, hub: Hub) -> None:
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])


def _drop_length(answer: Answer, hub: Hub) -> None:
    answer.has_length = False
    answer.headers.pop("X-Linked-Size", None)


def _cut_without_length(answer: Answer, hub: Hub) -> None:
    _drop_length(answer, hub)
    _cut(answer, hub)


def _hide_all(answer: Answer, hub: Hub) -> None:
    _drop_length(answer, hub)
    if "X-Linked-Etag" in answer.headers:
        answer.headers["X-Linked-Etag"] = '"opaque"'


def _pack(answer: Answer, hub: Hub) -> None:
    answer.body = gzip.compress(answer.body)
    answer.headers["Content-Encoding"] = "gzip"


def _ignore_range(answer: Answer, hub: Hub) -> None:
    if answer.status == 206:
        answer.body = next(content for name, content in hub.files.items() if name.endswith(LARGE))
        answer.status, answer.start = 200, 0
        answer.headers.pop("Content-Range")


def _send_other_range(answer: Answer, hub: Hub) -> None:
    if answer.status == 206:
        answer.headers["Content-Range"] = f"bytes 0-9/{len(answer.body) + answer.start}"


def _refuse_range(answer: Answer, hub: Hub) -> None:
    if answer.status == 206:
        _refuse(416)(answer, hub)


def _redirect(target: Callable[[Hub], str]) -> Callable[[Answer, Hub], None]:
    def change(answer: Answer, hub: Hub) -> None:
        if not hub.asked[-1].partition(" ")[2].startswith("cdn/"):
            answer.status, answer.body = 302, b""
            answer.headers["Location"] = target(hub)

    return change


def _elsewhere(hub: Hub) -> str:
    return f"{hub.elsewhere}/cdn/{hub.asked[-1].partition(' ')[2]}"


def _move_revision(answer: Answer, hub: Hub) -> None:
    """The branch leads to another commit as soon as the file's metadata was asked for."""
    hub.commit, hub.gone = MOVED, COMMIT


def _rename_commit(answer: Answer, hub: Hub) -> None:
    answer.headers["X-Repo-Commit"] = MOVED


def _invade(answer: Answer, hub: Hub) -> None:
    answer.headers["X-Linked-Etag"] = '"../../../../escaped"'


BOTH = ("HEAD", "GET")
FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "cut at 60 %": Fault(_cut, r"the connection ended after 0\.12 MB of 0\.2 MB, 5 times; try again, it goes on"),
        "cut at 60 % each time": Fault(_cut_the_rest, ""),
        "cut without a length": Fault(_cut_without_length, "another checksum than .* announced; try again", BOTH),
        "stalled": Fault(_stall, r"no more data came for 0\.15 s after 0\.12 MB .*HF_HUB_DOWNLOAD_TIMEOUT"),
        "slow but alive": Fault(_be_slow, ""),
        "too short": Fault(_shorten, r"sends \d+ bytes instead of \d+; try again later"),
        "too long": Fault(_lengthen, r"more than the announced 0\.2 MB came; try again"),
        "another content": Fault(_spoil, "another checksum than .* announced; try again"),
        "no length": Fault(_drop_length, "", BOTH),
        "neither length nor checksum": Fault(_hide_all, "", BOTH),
        "a packed body": Fault(_pack, ""),
        "401": Fault(_refuse(401), r"refuses access \(error 401\).*HF_TOKEN", BOTH, only_large=False),
        "a token that is not valid": Fault(
            _refuse(401, X_Error_Message="Invalid credentials in Authorization header"),
            "does not accept your token; set HF_TOKEN to a valid one, or remove it",
            BOTH,
            only_large=False,
        ),
        "403": Fault(_refuse(403), r"refuses access \(error 403\)", BOTH, only_large=False),
        "gated": Fault(
            _refuse(403, X_Error_Code="GatedRepo"),
            r"accept their terms first: do so at https://huggingface\.co/someone/nice-edges\S* and set HF_TOKEN",
            BOTH,
            only_large=False,
        ),
        "closed by the hub": Fault(
            _refuse(403, X_Error_Message="Access to this resource is disabled."), "has closed someone/nice-edges", BOTH
        ),
        "no repository": Fault(
            _refuse(404, X_Error_Code="RepoNotFound"), "no repository someone/nice-edges .*or it is private", BOTH
        ),
        "no such file": Fault(_refuse(404, X_Error_Code="EntryNotFound"), "has no such file", BOTH),
        "no such revision": Fault(
            _refuse(404, X_Error_Code="RevisionNotFound"), "no longer has revision main", BOTH, only_large=False
        ),
        "404": Fault(_refuse(404), "answered with error 404", BOTH, only_large=False),
        "429": Fault(_refuse(429), r"too many requests from here \(error 429\); try again in some minutes", BOTH),
        "429 with a time": Fault(_refuse(429, Retry_After="30"), "try again in 30 s", BOTH),
        "500": Fault(_refuse(500), "answered with error 500; try again later", BOTH, only_large=False),
        "503 of the file alone": Fault(_refuse(503), "answered with error 503; try again later"),
        "403 of the file alone": Fault(_refuse(403), r"refuses access \(error 403\)"),
        "a login page": Fault(_show_page, "answered in its place; check the proxy or the network's login page", BOTH),
        "a login page for the file": Fault(_show_page, "answered in its place; .*login page"),
        "another host": Fault(_redirect(_elsewhere), "", BOTH),
        "a file of this machine": Fault(
            _redirect(lambda hub: "file:///etc/passwd"), "an address that is not followed; check HF_ENDPOINT", BOTH
        ),
        "a circle": Fault(
            _redirect(lambda hub: f"{hub.url}/{hub.asked[-1].partition(' ')[2]}"), "address that is not followed", BOTH
        ),
        "the revision moved": Fault(_move_revision, "no longer has revision", ("HEAD",)),
        "another commit": Fault(_rename_commit, "changed while its files came; try again", ("HEAD",)),
        "a name that leaves the cache": Fault(_invade, "answered in its place", BOTH),
    }
)  # fmt: skip
"""What the hub does wrong, and what a user reads of it."""
RESUMING: Mapping[str, Fault] = MappingProxyType(
    {
        "no ranges": Fault(_ignore_range, ""),
        "another range": Fault(_send_other_range, ""),
        "416": Fault(_refuse_range, ""),
        "a packed range": Fault(_pack, ""),
    }
)
"""What it does wrong where a file is continued; each is overcome."""
CUT, STALL = FAULTS["cut at 60 %"], FAULTS["stalled"]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path, span = self.path.removeprefix("/mirror").removeprefix("/"), self.headers.get("Range", "")
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.append((self.headers["Host"].partition(":")[0], self.headers.get("Authorization", "")))
        if self.command == "GET" and path.endswith(LARGE):
            self.hub.ranges.append(span)
        made = self.hub.answer(self.command, path.removeprefix("cdn/"), span)
        self.send_response(made.status)
        length = {"Content-Length": str(len(made.body))} if made.has_length else {}
        for name, value in {**made.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):
                self.send_body(made)
        self.close_connection = True

    def send_body(self, made: Answer) -> None:
        body = made.body if made.ends_at is None else made.body[: max(made.ends_at - made.start, 0)]
        if made.holds_at is not None:
            before = max(made.holds_at - made.start, 0)
            self.wfile.write(body[:before])
            self.hub.gate.wait()
            body = body[before:]
        size = -(-len(body) // made.pieces) or 1
        for place in range(0, len(body), size):
            time.sleep(made.pause)
            self.wfile.write(body[place : place + size])

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def serve() -> Generator[Hub]:
    """A hub at `url` until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.elsewhere = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.gate.set()
        server.shutdown()
        server.server_close()
