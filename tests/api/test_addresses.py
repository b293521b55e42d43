"""No address that is sent in any input is asked: a listening server of this machine hears nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest

pytestmark = pytest.mark.slow


class Listener:
    """Counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.heard = 0
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/picture.png"

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.heard += 1
                connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.socket.close()


def files_of(url: str) -> list[Any]:
    """Everything that could be taken for a file at an address."""
    meta = {"meta": {"_type": "gradio.FileData"}}
    return [
        url, {"path": url}, {"path": url} | meta, {"url": url} | meta, {"path": None, "url": url} | meta,
        {"path": url, "url": url, "is_stream": True} | meta, {"path": f"/gradio_api/file={url}"} | meta, [{"path": url} | meta],
    ]  # fmt: skip


def test_files_at_an_address_are_refused(address: str, listener: Listener) -> None:
    for file in files_of(listener.url):
        for name, values in {
            "annotate": ["canny", file],
            "score": [file],
            "generate": ["", [{"condition": "canny", "image": file}]],
        }.items():
            called = httpx.post(f"{address}/gradio_api/call/{name}", json={"data": values})
            if called.status_code == 200:
                text = httpx.get(f"{address}/gradio_api/call/{name}/{called.json()['event_id']}", timeout=60).text
                assert "event: error" in text or '"error"' in text, (file, text)
            joined = {"data": values, "session_hash": "x", "fn_index": 2}
            httpx.post(f"{address}/gradio_api/queue/join", json=joined)
    assert listener.heard == 0


def test_the_routes_of_files_fetch_nothing(address: str, listener: Listener) -> None:
    for route in ("file=", "proxy=", "file/", "stream/"):
        for text in (
            listener.url,
            quote(listener.url, safe=""),
            listener.url.replace("http://", "//"),
            listener.url.upper(),
        ):
            assert httpx.get(f"{address}/gradio_api/{route}{text}").status_code in (403, 404)
    assert listener.heard == 0


def test_calls_of_the_page_fetch_nothing(address: str, listener: Listener) -> None:
    url = listener.url
    draft = {
        "frame": {"width": 64, "height": 64}, "photo": {"sha256": url}, "prompt": url,
        "settings": {"base": url, "vae": url, "loras": [{"name": url}]},
        "layers": [{"condition": "canny", "source": "own", "picture": {"sha256": url}, "controlnet": url}],
    }  # fmt: skip
    calls: list[tuple[str, dict[str, Any]]] = [
        ("put", {"path": url}), ("read_recipe", {"path": url}), ("pose", {"path": url}), ("pose", {"text": url}),
        ("generate", {"draft": draft}), ("generate", {"draft": draft | {"photo": None, "layers": []}}),
        ("map", {"layer": draft["layers"][0]}), ("choices", {"base": url}), ("question", {"ids": [url]}),
        ("download", {"ids": [url]}), ("batch", {"draft": draft, "files": [url], "table": url}), ("thumbnails", {"ids": [url]}),
    ]  # fmt: skip
    for name, values in calls:
        answer = httpx.post(
            f"{address}/studio/call", json={"name": name, "values": values, "session": "a" * 32}, timeout=60
        )
        assert answer.status_code == 200 and "Something went wrong" not in answer.text, (name, answer.text)
    assert listener.heard == 0
