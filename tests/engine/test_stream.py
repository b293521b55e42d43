"""Events come in order, an error ends them once, and closing cancels."""

from __future__ import annotations

import threading

import pytest

from cnet_app.engine.protocol import Note
from cnet_app.engine.stream import Emit, Stream, run_in_thread
from models.errors import CancelledError, InputError

ONE, TWO = Note(text="one"), Note(text="two")


def test_events_come_in_order_and_end() -> None:
    stream = Stream(lambda: None)
    stream.put(ONE)
    stream.put(TWO)
    stream.end()
    assert list(stream) == [ONE, TWO]
    assert list(stream) == []


def test_an_error_is_raised_after_the_events_before_it_and_only_once() -> None:
    stream = Stream(lambda: None)
    stream.put(ONE)
    stream.end(InputError("wrong"))
    assert next(stream) == ONE
    with pytest.raises(InputError, match="wrong"):
        next(stream)
    assert list(stream) == []


def test_closing_cancels_and_what_was_made_is_still_delivered() -> None:
    waiting = threading.Event()

    def work(emit: Emit, cancelled: threading.Event) -> None:
        emit(ONE)
        waiting.set()
        assert cancelled.wait(5)
        raise CancelledError("Cancelled.")

    stream = run_in_thread(work, "test")
    assert waiting.wait(5)
    stream.close()
    stream.close()
    assert next(stream) == ONE
    with pytest.raises(CancelledError):
        next(stream)


def test_a_fault_of_the_work_reaches_the_follower() -> None:
    def work(emit: Emit, cancelled: threading.Event) -> None:
        raise ZeroDivisionError("deep inside")

    with pytest.raises(ZeroDivisionError, match="deep inside"):
        list(run_in_thread(work, "test"))
