"""A hub on this machine, own folders, and a terminal with somebody at it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from cnet_app.cli import main
from tests.models.conftest import hub, own_folders

__all__ = ["hub", "own_folders"]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes standard input and error a terminal where this line is typed."""

    def type_line(text: str) -> None:
        for stream in (sys.stdin, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys.stdin, "readline", lambda: f"{text}\n", raising=False)

    return type_line
