"""A process hangs where a cancelled task does not end, or where nothing moves; one that is only slow does not."""

from __future__ import annotations

import os

import pytest

from cnet_app.engine.watchdog import CANCEL_LIMIT, IDLE, SILENCE_LIMIT, Watchdog, processor_seconds


class Hands:
    """A clock, and the processor's time of a process, that a test moves."""

    now = 0.0
    used = 0.0


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def dog(hands: Hands) -> Watchdog:
    return Watchdog(lambda: hands.used, lambda: hands.now)


def test_silence_counts_while_a_task_runs_alone(dog: Watchdog, hands: Hands) -> None:
    hands.now = 10 * SILENCE_LIMIT
    assert not dog.fault()
    dog.start(1)
    hands.now += SILENCE_LIMIT
    assert not dog.fault()
    hands.now += 1
    assert dog.fault() == "a task showed no sign of work for 10 minutes"
    dog.end(1)
    assert not dog.fault()


def test_a_message_or_work_is_a_sign_of_life(dog: Watchdog, hands: Hands) -> None:
    dog.start(1)
    for step in range(10):
        hands.now += SILENCE_LIMIT + 1
        if step % 2:
            dog.hear()
        else:
            hands.used += 2 * IDLE
        assert not dog.fault()


def test_a_cancelled_task_has_a_minute(dog: Watchdog, hands: Hands) -> None:
    dog.start(1)
    dog.start(2)
    dog.cancel(1)
    assert dog.is_cancelled(1) and not dog.is_cancelled(2)
    hands.now += CANCEL_LIMIT
    dog.cancel(1)  # a second time changes nothing
    assert not dog.fault()
    hands.now += 1
    assert dog.fault() == "a cancelled task did not end within 60 seconds"
    dog.end(1)
    dog.cancel(1)  # it is over
    hands.now += CANCEL_LIMIT + 1
    assert not dog.fault()


def test_the_processors_time_of_a_process() -> None:
    assert processor_seconds(os.getpid()) > 0
    assert processor_seconds(2**30) == 0
