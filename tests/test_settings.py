"""Settings come from defaults, environment and flags, in that order."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from cnet_app.settings import Settings, loopback_without_proxy, read_settings
from tests.source import ROOT


def test_defaults_stay_on_this_machine() -> None:
    settings = read_settings([], {})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.is_local) == ("127.0.0.1", 7860, True)


def test_flags_win_over_the_environment_and_both_over_defaults() -> None:
    environ = {"CNET_PORT": "8000", "CNET_OUTPUT_DIR": "there", "CNET_OFFLINE": "yes"}
    settings = read_settings(["--port", "9000"], environ)
    assert (settings.port, settings.output_dir, settings.offline) == (9000, Path("there"), True)
    assert read_settings(["--offline"], {}).offline
    assert not read_settings(["--offline", "off"], environ).offline


@pytest.mark.parametrize(
    "argv",
    [
        ["--port", "65536"],
        ["--port", "1.5"],
        ["--max-upload-mb", "0"],
        ["--speed", "fast"],
        ["--model-memory-gb", "-1"],
        ["--device", "cuda:abc"],
    ],
)
def test_a_wrong_flag_is_one_sentence_and_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        read_settings(argv, {})
    message = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message.startswith(f"Argument {argv[0]}: '{argv[1]}' is not ")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CNET_PORT", "many"),
        ("GRADIO_SERVER_PORT", "many"),
        ("CNET_OFFLINE", "perhaps"),
        ("CNET_MODEL_MEMORY_GB", "much"),
        ("CNET_DEVICE", "lamp"),
    ],
)
def test_a_wrong_variable_is_one_sentence_with_its_name(
    variable: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        read_settings([], {variable: value})
    message = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message.startswith(f"The environment variable {variable} is wrong: '{value}' is not ")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.2", False)]
)
def test_local_means_that_no_other_machine_gets_in(host: str, local: bool) -> None:
    assert Settings(host=host).is_local is local


@pytest.mark.parametrize(
    ("environ", "host", "port"),
    [
        ({}, "127.0.0.1", 7860),
        ({"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "8000"}, "0.0.0.0", 8000),
        ({"GRADIO_SERVER_NAME": "0.0.0.0", "CNET_HOST": "127.0.0.2", "CNET_PORT": "9000"}, "127.0.0.2", 9000),
        ({"SPACE_ID": "who/studio", "SYSTEM": "spaces"}, "0.0.0.0", 7860),
        ({"SPACE_ID": "who/studio", "CNET_HOST": "127.0.0.1"}, "127.0.0.1", 7860),
        ({"SPACE_ID": ""}, "127.0.0.1", 7860),
    ],
)
def test_variables_of_gradio_and_of_a_space_count(environ: dict[str, str], host: str, port: int) -> None:
    settings = read_settings([], environ)
    assert (settings.host, settings.port) == (host, port)
    assert read_settings(["--host", "127.0.0.3"], environ).host == "127.0.0.3"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "localhost,127.0.0.1,::1,192.168.1.5"),
        ({"NO_PROXY": "example.org, localhost"}, "example.org,localhost,127.0.0.1,::1,192.168.1.5"),
        ({"no_proxy": "*", "NO_PROXY": "example.org"}, "*,localhost,127.0.0.1,::1,192.168.1.5"),
    ],
)
def test_this_machine_is_reached_without_a_proxy(environ: dict[str, str], expected: str) -> None:
    assert loopback_without_proxy("192.168.1.5", environ) == {"no_proxy": expected, "NO_PROXY": expected}


@pytest.mark.slow
def test_a_space_behind_a_proxy_is_served(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", "cnet_host")}
    environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environ |= {"SPACE_ID": "who/studio", "SYSTEM": "spaces", "GRADIO_SERVER_PORT": str(port)}
    command = [sys.executable, "app.py", "--base", "embedded", "--output-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as app:
        try:
            while app.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            page = httpx.Client(trust_env=False, timeout=60).get(f"http://127.0.0.1:{port}/")
            assert page.status_code == 200
            time.sleep(1)  # Gradio asks its own address after it listens, and ends the process where that fails
            assert app.poll() is None
            listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=False).stdout
            assert not listening or f"0.0.0.0:{port}" in listening
        finally:
            app.terminate()


@pytest.mark.parametrize(
    ("argv", "environ", "local"),
    [
        ([], {}, True),
        (["--public"], {}, False),
        (["--host", "0.0.0.0"], {}, False),
        (["--host", "0.0.0.0", "--public", "off"], {}, True),
        ([], {"CNET_PUBLIC": "1"}, False),
        ([], {"CNET_PUBLIC": "0", "CNET_HOST": "0.0.0.0"}, True),
        ([], {"SPACE_ID": "who/studio"}, False),
        ([], {"SPACE_ID": "who/studio", "CNET_HOST": "127.0.0.1"}, False),
        (["--public", "no"], {"SPACE_ID": "who/studio"}, True),
    ],
)
def test_visitors_are_strangers_where_others_get_in_unless_said_otherwise(
    argv: list[str], environ: dict[str, str], local: bool
) -> None:
    assert read_settings(argv, environ).is_local is local


def test_a_space_knows_its_name_its_proxy_and_its_frame() -> None:
    settings = read_settings([], {"SPACE_ID": "who/studio", "SPACE_HOST": "who-studio.hf.space"})
    assert (settings.hosts, settings.proxies) == ("who-studio.hf.space", 1)
    assert "https://huggingface.co" in settings.frames
    assert read_settings(["--proxies", "2"], {"SPACE_ID": "who/studio"}).proxies == 2


def test_a_password_is_in_no_text_of_the_settings() -> None:
    assert "hidden words" not in repr(read_settings([], {"CNET_PASSWORD": "hidden words"}))
