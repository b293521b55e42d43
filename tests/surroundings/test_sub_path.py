"""Behind a reverse proxy, below a path of its own, everything of the app is found there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import read_settings
from cnet_app.ui.app import build_app
from tests.jobs.fake_engine import FakeEngine
from tests.surroundings.reverse_proxy import PREFIX, shown_below

pytestmark = pytest.mark.slow

PUBLIC_NAME = "https://studio.example.org"


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[str]:
    settings = read_settings(
        [*flags, "--output-dir", str(folder / "pictures"), "--cache-dir", str(folder / "cache")], {}
    )
    runner, maps = Runner(settings, FakeEngine()), Maps(run_here(Runtime()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        app = build_app(settings, runner, maps, Sweeps(settings.output_dir, runner, open_work(maps)))
        yield app.launch(server_name="127.0.0.1", quiet=True).rstrip("/")
        app.blocks.close(verbose=False)
        runner.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("app"), "--root-path", f"{PREFIX}/") as address:
        yield address


@pytest.fixture(scope="module", params=["without its prefix", "with its prefix", "with the host alone"])
def shown(app: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of the app in front of the proxy, whatever the proxy hands on."""
    with shown_below(
        PREFIX, app, strips=request.param != "with its prefix", told="host" not in request.param
    ) as address:
        yield address


@pytest.fixture
def browser(shown: str) -> Iterator[httpx.Client]:
    """Asks as a page there does."""
    origin = shown.removesuffix(PREFIX)
    with httpx.Client(trust_env=False, timeout=60, base_url=f"{shown}/", headers={"Origin": origin}) as client:
        yield client


def test_the_page_and_all_that_it_names_are_below_the_path(browser: httpx.Client, shown: str) -> None:
    page = browser.get("")
    assert page.status_code == 200
    config = re.search(r"window\.gradio_config = (\{.*?\});", page.text)
    assert config and json.loads(config[1])["root"] == shown
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    own = [urljoin(f"{shown}/", address) for address in named if not address.startswith(("data:", "https:"))]
    own += [f"{shown}/studio/main.js", f"{shown}/studio/core/server.js", f"{shown}/theme.css"]
    assert len(own) > 6 and all(address.startswith(shown) for address in own)
    assert f'<base href="{PREFIX}/"' in page.text
    wrong = {address: status for address in own if (status := browser.get(address).status_code) != 200}
    assert not wrong


def test_calls_uploads_queue_and_files_work_there(browser: httpx.Client, shown: str) -> None:
    def call(name: str, **values: Any) -> dict[str, Any]:
        return browser.post("studio/call", json={"name": name, "values": values, "session": "a" * 32}).json()

    photo = Path("cnet_app/ui/web/examples/scribble-photo.webp").read_bytes()
    (path,) = browser.post("gradio_api/upload", files={"files": ("photo.webp", photo)}).json()
    assert call("put", path=path)["sha256"]
    begun = browser.post(
        "gradio_api/call/annotate", json={"data": ["canny", {"path": path, "meta": {"_type": "gradio.FileData"}}]}
    )
    told = browser.get(f"gradio_api/call/annotate/{begun.json()['event_id']}").text
    assert "event: complete" in told, told
    made = json.loads(told.split("data: ")[-1])
    address = re.search(r'"url": ?"([^"]+)"', json.dumps(made))
    assert address and browser.get(urljoin(f"{shown}/", address[1])).content[:4] == b"\x89PNG"


def test_another_sites_page_sends_nothing_there_either(browser: httpx.Client) -> None:
    refused = browser.post("studio/call", json={"name": "tables"}, headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
    assert browser.get("nothing").status_code == 404


def test_a_whole_address_is_a_name_of_the_app(tmp_path: Path) -> None:
    with served(tmp_path, "--root-path", f"{PUBLIC_NAME}{PREFIX}") as app:
        headers = {"Host": "studio.example.org", "Origin": PUBLIC_NAME}
        page = httpx.get(f"{app}/", headers=headers, trust_env=False)
        assert f'"root":"{PUBLIC_NAME}{PREFIX}"' in page.text.replace(": ", ":")
        asked = httpx.post(
            f"{app}/studio/call", json={"name": "tables", "values": {}}, headers=headers, trust_env=False
        )
        assert "conditions" in asked.json()
        assert httpx.get(f"{app}/studio/main.js", headers=headers, trust_env=False).status_code == 200
