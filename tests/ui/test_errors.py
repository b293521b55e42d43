"""Faults as the user reads them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from cnet_app.ui.errors import attempt, toast
from models.errors import InputError, WeightsError


def test_what_succeeds_has_no_message() -> None:
    assert attempt(lambda: 7) == (7, "")


@pytest.mark.parametrize("kind", [InputError, WeightsError])
def test_a_users_fault_is_given_in_the_forms_words(kind: Callable[[str], Exception]) -> None:
    def fail() -> None:
        raise kind("control_mode is 'x', but …")

    assert attempt(fail) == (None, "“Control mode” is 'x', but …")


def test_a_fault_of_our_own_has_a_number_that_the_log_has_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        result, message = attempt(lambda: 1 / 0)
    assert result is None
    number = message.removeprefix("Something went wrong in the app itself (error ").removesuffix("); see its log.")
    assert len(number) == 6
    assert number in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in message


def test_a_toast_is_escaped() -> None:
    assert toast("<b>bold</b> & more").message == "&lt;b&gt;bold&lt;/b&gt; &amp; more"
