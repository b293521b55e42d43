"""Settings come from defaults, environment and flags, in that order."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnet_app.settings import Settings, read_settings


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
        ("CNET_PORT", "9" * 5_000),
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
    assert message.startswith(f"The environment variable {variable} is wrong: '{value[:60]}' is not ")
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
