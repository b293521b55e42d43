"""A running public app with a login, as programs reach it: files by references, nothing for pages of other sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from annotators.canny import Canny
from annotators.runtime import Runtime
from annotators.sources.images import load_image
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app
from tests.jobs.fake_engine import FakeEngine

pytestmark = pytest.mark.slow
WHO = ("ann", "hidden words")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("public")


@pytest.fixture(scope="module")
def public_address(folder: Path) -> Iterator[str]:
    """Address of a running public app that asks for a login."""
    settings = Settings(
        output_dir=folder / "pictures", cache_dir=str(folder / "cache"), public=True, password=WHO[1], max_requests=1000
    )
    runner, maps = Runner(settings, FakeEngine()), Maps(run_here(Runtime()))
    sweeps = Sweeps(settings.output_dir, runner, open_work(maps))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        app = build_app(settings, runner, maps, sweeps)
        yield app.launch(server_name="127.0.0.1", quiet=True).rstrip("/")
        app.blocks.close(verbose=False)
        sweeps.close()
        runner.close()


@pytest.fixture(scope="module")
def session(public_address: str) -> Iterator[httpx.Client]:
    """A program that is logged in."""
    with httpx.Client(base_url=public_address, timeout=60) as client:
        answer = client.post("/login", data={"username": WHO[0], "password": WHO[1]})
        assert answer.status_code == 200
        for header in answer.headers.get_list("set-cookie"):
            name, value = header.split(";")[0].split("=", 1)
            client.cookies.set(name, value)  # also over plain HTTP
        yield client


def test_a_program_gets_its_map_and_its_pictures(public_address: str, folder: Path, photo: Path) -> None:
    client = Client(public_address, auth=WHO, verbose=False, download_files=str(folder / "got"))
    made = client.predict("canny", handle_file(str(photo)), api_name="/annotate")
    assert (load_image(Path(made["map"])) == Canny()(load_image(photo))).all()
    asked = client.predict("a test", [], {"width": 64, "height": 64, "num_inference_steps": 2}, api_name="/generate")
    done = client.predict(asked["job"], 20, api_name="/jobs")
    assert done["status"] == "done" and load_image(Path(done["pictures"][0])).shape == (64, 64, 3)


def test_paths_of_the_server_are_no_files(session: httpx.Client, folder: Path) -> None:
    (picture,) = (folder / "pictures").glob("*.png")
    upload = next(path for path in (folder / "uploads").rglob("*") if path.is_file())
    for path in (picture, upload, folder / "pictures" / "history.sqlite3", folder / "cache" / "references.key"):
        assert session.get(f"/gradio_api/file={path}").status_code == 404


def test_a_program_without_a_login_gets_nothing(public_address: str) -> None:
    for path in ("/config", "/gradio_api/info", "/gradio_api/heartbeat/x"):
        assert httpx.get(f"{public_address}{path}").status_code == 401
    for path in ("/studio/call", "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/upload"):
        assert httpx.post(f"{public_address}{path}", json={}).status_code == 401
    assert httpx.get(f"{public_address}/").status_code == 200  # the form of the login


def test_pages_of_other_sites_get_nothing_even_with_the_login(session: httpx.Client) -> None:
    headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    for method, path in (
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/upload"),
        ("OPTIONS", "/gradio_api/upload"),
    ):
        answer = session.request(method, path, headers=headers)
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    read = session.get("/gradio_api/info", headers=headers)
    assert not [name for name in read.headers if name.startswith("access-control")]


def test_the_library_of_all_is_not_listed(session: httpx.Client) -> None:
    event = session.post("/gradio_api/call/library", json={"data": [10]}).json()["event_id"]
    assert "not listed" in session.get(f"/gradio_api/call/library/{event}").text


def test_the_page_calls_with_its_identity(session: httpx.Client) -> None:
    assert session.post("/studio/call", json={"name": "library", "values": {}}).status_code == 400
    answer = session.post("/studio/call", json={"name": "library", "values": {}, "session": "d" * 32})
    assert answer.json()["total"] == 0
