"""Files that are sent to the running app: whatever their names, kept apart and inside one folder; no text is a file."""

from __future__ import annotations

import base64
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

NAMES = {
    "a way out": "../../x.png",
    "an absolute path": "/etc/x.png",
    "a way out of Windows": "..\\..\\x.png",
    "300 characters": "a" * 300 + ".png",
    "a device of Windows": "CON.png",
    "an emoji": "🦊.png",
    "turned round": "a\u202egnp.exe",
    "a script": "<img src=x onerror=alert(1)>.png",
    "a percent sign": "%2e%2e%2fx.png",
    "no name": ".png",
}


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(address: str, name: str, content: bytes) -> str:
    sent = httpx.post(f"{address}/gradio_api/upload", files={"files": (name, content, "image/png")}, timeout=60)
    assert sent.status_code == 200, sent.text
    return sent.json()[0]


def call(address: str, name: str, **values: Any) -> dict[str, Any]:
    body = {"name": name, "values": values, "session": "a" * 32}
    answer = httpx.post(f"{address}/studio/call", json=body, timeout=60)
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_of_any_name_is_kept_in_its_own_folder(
    address: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = Path(upload(address, name, png(len(name) % 200)))
    folder = next(parent for parent in path.parents if parent.name == "uploads")
    assert path.resolve().is_relative_to(folder.resolve()) and ".." not in path.parts
    assert len(path.name) <= 255 and "<" not in path.name and "\\" not in path.name
    assert call(address, "put", path=str(path))["width"] == 16


def test_files_of_one_name_sent_at_once_are_kept_apart(address: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda shade: upload(address, "photo.png", png(shade)), range(4)))
        put = list(pool.map(lambda path: call(address, "put", path=path)["sha256"], paths))
    assert len(set(paths)) == len(set(put)) == 4


@pytest.mark.parametrize("payload", [png(3), b"no picture", bytes(5_000_000)], ids=["a picture", "text", "5 MB"])
def test_a_data_url_is_no_file(address: str, payload: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(payload).decode()}"
    broken = "data:image/png;base64,%%%not base64"
    meta = {"meta": {"_type": "gradio.FileData"}}
    began = time.monotonic()
    for given in (url, broken):
        for name in ("put", "read_recipe"):
            refused = call(address, name, path=given)["error"]
            assert len(refused) < 3000 and "Something went wrong" not in refused
        for file in (given, {"path": given} | meta, {"url": given} | meta, {"path": None, "url": given} | meta):
            called = httpx.post(f"{address}/gradio_api/call/annotate", json={"data": ["canny", file]}, timeout=60)
            if called.status_code == 200:
                text = httpx.get(f"{address}/gradio_api/call/annotate/{called.json()['event_id']}", timeout=60).text
                assert "event: error" in text or '"error"' in text, text[:500]
    assert time.monotonic() - began < 20
