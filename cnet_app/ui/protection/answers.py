"""Responses as the guard lets them out: with headers that keep the page, files and other sites apart."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Send

PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
)
"""Of the page: scripts of its own host, and those that the server wrote into the document. Gradio compiles templates."""
FILE_POLICY = "sandbox allow-scripts; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Of pictures and the pages of grids: whatever is in them is apart from the app."""
MAX_WHOLE = 64_000_000
"""Bytes of a file that is sent as a whole."""
Kind = Literal["page", "file", "other"]
OTHER_POLICY = "frame-ancestors {frames}"


@dataclass(eq=False)
class RefusedError(Exception):
    """Why a request is not answered."""

    status: int
    sentence: str
    seconds: float = 0.0
    """After which it may be tried again."""

    def response(self) -> JSONResponse:
        """Return the response, {error: sentence}."""
        headers = {"Retry-After": str(int(self.seconds) + 1)} if self.seconds else None
        return JSONResponse({"error": self.sentence}, self.status, headers)


class Answer:
    """Sends a response on with the guard's headers; once refused, nothing of the app's own response is sent."""

    def __init__(self, send: Send, kind: Kind, frames: str, prefix: str = "") -> None:
        """`frames` are the sites whose pages may show this one, besides the app's own; `prefix` is the path below which it is."""
        self._send, self._kind, self._frames, self._prefix = send, kind, frames, prefix
        self._body = bytearray()
        self._start: Message | None = None
        self._refusal: RefusedError | None = None
        self.is_begun = False

    def refuse(self, refusal: RefusedError) -> RefusedError:
        """Drop what the app answers from now on, and return the refusal."""
        self._refusal = refusal
        return refusal

    async def send(self, message: Message) -> None:
        """Send a message of the app's response. Raises the RefusedError, if there is one."""
        if self._refusal and not self.is_begun:
            raise self._refusal
        if message["type"] == "http.response.start" and (self._kind == "page" or self._may_change(message)):
            self._start = message
        elif message["type"] == "http.response.body" and self._start:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await (self._send_page if self._kind == "page" else self._send_file)(self._start)
        else:
            await self.send_own(message)

    async def send_own(self, message: Message) -> None:
        """Send a message with the headers that all responses have."""
        if message["type"] == "http.response.start":
            self.is_begun = True
            self._add_headers(
                message, FILE_POLICY if self._kind == "file" else OTHER_POLICY.format(frames=self._ancestors)
            )
        await self._send(message)

    def _may_change(self, start: Message) -> bool:
        """Return whether a file may be replaced between its length and its content, as a picture is that gets its scores."""
        length = MutableHeaders(scope=start).get("content-length", "")
        return self._kind == "file" and start["status"] == 200 and length.isdecimal() and int(length) <= MAX_WHOLE

    async def _send_file(self, start: Message) -> None:
        """Send a file with the length that it had when it was read."""
        if self._body:  # of a HEAD there is none
            MutableHeaders(scope=start)["content-length"] = str(len(self._body))
        await self.send_own(start)
        await self._send({"type": "http.response.body", "body": bytes(self._body)})

    async def _send_page(self, start: Message) -> None:
        """Send the document, in which only scripts that the server wrote have the nonce."""
        nonce = secrets.token_urlsafe(16)
        body = re.sub(rb"<script(?=[\s>])", f'<script nonce="{nonce}"'.encode(), bytes(self._body))
        body = body.replace(b'"/manifest.json"', b'"./manifest.json"')  # Gradio's one absolute address
        if self._prefix:  # also where a proxy shows the page without a slash at the end
            body = body.replace(b'<base href="./"', f'<base href="{self._prefix}/"'.encode())
        self._add_headers(start, PAGE_POLICY.format(nonce=nonce, frames=self._ancestors))
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        self.is_begun = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    @property
    def _ancestors(self) -> str:
        return f"'self' {self._frames}".strip()

    def _add_headers(self, start: Message, policy: str) -> None:
        headers = MutableHeaders(scope=start)
        headers["content-security-policy"] = policy
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        if not self._frames:  # in another site's frame no such cookie is sent
            start["headers"] = [_same_site(*pair) for pair in start["headers"]]


def _same_site(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header; a cookie is made one that other sites' pages never send along."""
    if name.lower() != b"set-cookie":
        return name, value
    parts = [part for part in value.split(b";") if not part.strip().lower().startswith(b"samesite")]
    return name, b";".join([*parts, b" SameSite=Strict"])
