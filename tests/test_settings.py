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
    ("argv", "environ"),
    [
        (["--port", "65536"], {}),
        (["--port", "1.5"], {}),
        ([], {"CNET_PORT": "many"}),
        ([], {"CNET_OFFLINE": "perhaps"}),
        (["--max-upload-mb", "0"], {}),
        (["--speed", "fast"], {}),
        (["--model-memory-gb", "-1"], {}),
        ([], {"CNET_MODEL_MEMORY_GB": "much"}),
    ],
)
def test_a_wrong_value_is_one_sentence_and_exit_code_2(
    argv: list[str], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        read_settings(argv, environ)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("Argument --")
    assert said.count("\n") == 1
    assert (argv or list(environ.values()))[-1] in said


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.2", False)]
)
def test_local_means_that_no_other_machine_gets_in(host: str, local: bool) -> None:
    assert Settings(host=host).is_local is local
