"""The endpoints through HTTP and Gradio's client, and the examples of docs/api.md as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from annotators.canny import Canny
from annotators.sources.images import load_image
from cnet_app.api.endpoints import NAMES
from tests.source import ROOT

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_endpoints_are_all_that_programs_see(address: str) -> None:
    described = httpx.get(f"{address}/gradio_api/info").json()
    assert sorted(described["named_endpoints"]) == sorted(f"/{name}" for name in NAMES)
    assert not described["unnamed_endpoints"]


def test_the_client_gets_files(address: str, photo: Path) -> None:
    client = Client(address, verbose=False)
    made = client.predict("canny", handle_file(str(photo)), api_name="/annotate")
    assert (load_image(Path(made["map"])) == Canny()(load_image(photo))).all()


def test_a_file_that_was_not_uploaded_is_refused(address: str) -> None:
    body = {"data": ["canny", {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}
    event = httpx.post(f"{address}/gradio_api/call/annotate", json=body).json()["event_id"]
    text = httpx.get(f"{address}/gradio_api/call/annotate/{event}").text
    assert "event: error" in text
    assert "root:" not in text


def test_the_python_example_runs(address: str, photo: Path) -> None:
    code = example("python").replace("http://127.0.0.1:7860", address)
    done = subprocess.run([sys.executable, "-c", code], cwd=photo.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert "edge_f1" in done.stdout


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="the example needs bash and curl")
def test_the_curl_example_runs(address: str, photo: Path) -> None:
    code = example("bash").replace("http://127.0.0.1:7860", address)
    environ = {**os.environ, "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-c", code], cwd=photo.parent, env=environ, capture_output=True, text=True, timeout=120
    )
    (answer,) = json.loads(re.findall(r"^data: (.*)$", done.stdout, re.MULTILINE)[-1])
    assert answer["annotator"] == "canny"
    assert httpx.get(answer["map"]["url"]).content.startswith(b"\x89PNG")
