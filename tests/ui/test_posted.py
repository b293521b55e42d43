"""Malformed posts to the running app, by the number of the fault: refused in a sentence, nothing read or fetched."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from PIL import Image as Pillow
from skimage import data

from annotators.images import MAX_NAME, readable_name
from annotators.runtime import Runtime
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app, launch_options
from cnet_app.ui.gradio_seams import fault_of
from tests.jobs.fake_engine import FakeEngine
from tests.ui.handlers import listeners

pytestmark = pytest.mark.slow
FILE = {"_type": "gradio.FileData"}
NOT_UPLOADED = (
    "Photo must be a file that was uploaded here, and this one was not or is no longer there; choose it again."
)
Value = Any


@dataclass(frozen=True)
class Posting:
    """The app, its address, and what answers when the first tab's photo changes."""

    app: gr.Blocks
    url: str
    folder: Path

    def change(self, **fields: Value) -> dict[str, Any]:
        """The last answer of the first tab to these values, by the end of their fields' names; within two seconds."""
        fn = next(fn for fn in listeners(self.app, "canny-photo", "change") if fn.name == "_show_map")
        inputs: list[Any] = list(fn.inputs)
        values = {
            (component.elem_id or f"state-{component._id}").split("-")[-1]: (
                None if isinstance(component, gr.State) else component.value
            )
            for component in inputs
        }
        values |= {"repairs": []} | fields
        body = {"data": list(values.values()), "fn_index": fn._id, "session_hash": "someone"}
        start = time.monotonic()
        content, headers = json.dumps(body), {"content-type": "application/json"}
        httpx.post(f"{self.url}queue/join", content=content, headers=headers).raise_for_status()
        answer: dict[str, Any] = {}
        with httpx.stream("GET", f"{self.url}queue/data", params={"session_hash": "someone"}) as stream:
            for line in stream.iter_lines():
                event = json.loads(line.removeprefix("data:") or "{}")
                if event.get("msg") in ("process_generating", "process_completed"):
                    answer |= {name: value for name, value in event["output"].items() if value}
                if event.get("msg") == "process_completed":
                    break
        assert time.monotonic() - start < 2
        return answer

    def upload(self, name: str, content: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}upload", files={"files": (name, content, "image/png")})


@pytest.fixture(scope="module")
def posting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posting]:
    folder = tmp_path_factory.mktemp("posting")
    settings = Settings(output_dir=folder / "pictures", max_upload_mb=1)
    runner = Runner(settings, FakeEngine())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        app = build_app(settings, runner, Maps(run_here(Runtime())))
        _, url, _ = app.launch(server_name="127.0.0.1", quiet=True, **launch_options(settings))
        yield Posting(app, f"{url}gradio_api/", folder)
        app.close(verbose=False)
        runner.close()


@pytest.fixture
def photo(posting: Posting) -> dict[str, Any]:
    """The value that a page sends for an uploaded photo."""
    path = posting.folder / "coffee.png"
    Pillow.fromarray(data.coffee()[::4, ::4]).save(path)
    (uploaded,) = posting.upload(path.name, path.read_bytes()).json()
    return {"path": uploaded, "meta": FILE}


@pytest.fixture(autouse=True)
def _the_next_one_is_read(posting: Posting, photo: dict[str, Any]) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    yield
    assert posting.change(photo=photo)["data"][0]["path"].endswith("image.png")


@pytest.mark.parametrize("value", [[1.0, float("nan")], [[1e300, -5]], 5, "a picture"])
def test_i20_arrays_are_no_photo(posting: Posting, value: Value) -> None:
    assert posting.change(photo=value)["error"] == NOT_UPLOADED


@pytest.mark.parametrize(
    ("value", "end"),
    [(float("nan"), "; enter one."), (float("inf"), "; enter one."), ("64", "; enter one."),
     (None, "; enter one."), ([64], "; enter one."), (True, "; enter one."), (-5, ", not -5."),
     (2**63, ", not 9.22337e+18.")],
)  # fmt: skip
def test_i20_numbers_are_named_with_their_bounds(
    posting: Posting, photo: dict[str, Any], value: Value, end: str
) -> None:
    answer = posting.change(photo=photo, width=value)["error"]
    assert answer == f"Width (px) must be a number from 64 to 2048{end}"


@pytest.mark.parametrize("content", ["AAAA", "%%%", "A" * 20_000_000], ids=["no picture", "no base64", "20 MB"])
def test_i21_data_in_an_address_is_no_photo(posting: Posting, content: str) -> None:
    address = f"data:image/png;base64,{content}"
    for value in (address, {"path": address, "meta": FILE}, {"path": None, "url": address, "meta": FILE}):
        assert posting.change(photo=value)["error"] == NOT_UPLOADED


@pytest.mark.parametrize("more", [{}, {"meta": FILE}, {"meta": FILE, "is_stream": True}, {"url": "/etc/passwd"}])
def test_i22_files_of_this_machine_are_not_read(posting: Posting, photo: dict[str, Any], more: dict[str, Any]) -> None:
    secret = posting.folder / "pictures" / "secret.png"
    secret.parent.mkdir(exist_ok=True)
    secret.write_bytes(Path(photo["path"]).read_bytes())
    link = posting.folder / "uploads" / "link.png"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    climbing = f"{posting.folder}/uploads/../pictures/secret.png"
    for path in ("/etc/passwd", str(secret), climbing, str(link), str(posting.folder / "uploads"), "a\0b", "a" * 5000):
        assert posting.change(photo={"path": path, **more})["error"] == NOT_UPLOADED


def test_i22_no_field_of_the_page_takes_a_file_of_this_machine(posting: Posting) -> None:
    fields: set[Any] = {field for fn in posting.app.fns.values() for field in fn.inputs if hasattr(field, "data_model")}
    taking = {field for field in fields if field.data_model}
    assert {type(field).__name__ for field in taking} == {"Image", "ImageEditor", "UploadButton"}
    for field in taking:
        for value in ({"path": "/etc/passwd"}, {"background": None, "layers": [{"path": "/etc/passwd"}]}):
            assert "must be a file that was uploaded here" in fault_of(field, value)
        assert fault_of(field, None) == ""


def test_i22_of_the_disk_only_pictures_can_be_fetched(posting: Posting) -> None:
    for path in ("/etc/passwd", "../../../../etc/passwd", str(posting.folder / "pictures" / HISTORY)):
        answer = httpx.get(f"{posting.url}file={path}")
        assert answer.status_code in (403, 404)
        assert "root:" not in answer.text


class Listener(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)


ADDRESSES = ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.nip.io"]


def test_i23_no_address_is_fetched(posting: Posting) -> None:
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    urls = [f"http://{host}:{listener.server_port}/picture.png" for host in ADDRESSES]
    for url in [*urls, "http://169.254.169.254/latest/meta-data", "https://example.com/a.png", "file:///etc/passwd"]:
        assert posting.change(photo={"path": url, "meta": FILE})["error"] == NOT_UPLOADED
    for value in ({"path": urls[0]}, {"path": "a.png", "url": urls[0], "meta": FILE}):
        assert posting.change(photo=value)["error"] == NOT_UPLOADED
    listener.shutdown()
    listener.server_close()
    assert Listener.asked == []


def test_i23_an_upload_has_an_end(posting: Posting) -> None:
    assert posting.upload("big.png", bytes(1_100_000)).status_code == 413


NAMES = [
    "../../x.png", "/etc/x.png", "..\\..\\x.png", "a" * 300 + ".png", "a\0b.png", "CON.png", "\U0001f600.png",
    "\u202egnp.x", "<img src=x onerror=alert(1)>.png", "%2e%2e%2fx.png", ".png",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_i24_a_name_leads_nowhere_and_is_shown_as_text(posting: Posting, name: str) -> None:
    (path,) = posting.upload(name, b"no picture").json()
    assert Path(path).resolve().parent.parent == (posting.folder / "uploads").resolve()
    note = posting.change(photo={"path": path, "meta": FILE})["data"][1]
    answer = re.search(r">([^<>]*) is not a picture that can be read;", note)
    assert answer
    shown = html.unescape(answer[1])
    assert shown.isprintable()
    assert len(shown) <= MAX_NAME + 1


def test_i24_a_name_in_a_sentence_is_short_and_reads_from_left_to_right() -> None:
    assert readable_name("coffee.png") == "coffee.png"
    assert readable_name("a\u202eb\n.png") == "ab.png"
    assert readable_name("a" * 100 + ".png") == "a" * 30 + "…" + "a" * 26 + ".png"
