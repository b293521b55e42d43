"""Addresses and sessions take turns."""

from __future__ import annotations

import pytest

from cnet_app.jobs.queue import Queue


def fill(*items: str) -> Queue[str]:
    queue: Queue[str] = Queue()
    for item in items:
        queue.add(item[0], item)
    return queue


def test_a_second_user_does_not_wait_for_all_jobs_of_the_first() -> None:
    queue = fill("a1", "a2", "a3", "b1", "c1", "c2")
    told = queue.order()
    taken = [queue.take() for _ in range(len(queue))]
    assert taken == told == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_who_was_just_served_and_comes_again_goes_behind_the_others() -> None:
    queue = fill("a1", "b1")
    assert queue.take() == "a1"
    queue.add("a", "a2")
    assert queue.order() == ["b1", "a2"]


def test_a_removed_item_is_not_taken() -> None:
    queue = fill("a1", "b1")
    assert queue.remove("a1")
    assert not queue.remove("a1")
    assert (queue.take(), len(queue)) == ("b1", 0)
    with pytest.raises(IndexError):
        queue.take()


def test_an_address_with_many_sessions_takes_one_turn() -> None:
    queue: Queue[str] = Queue()
    for session in "abcd":
        queue.add(session, f"{session}1", "10.0.0.1")
    queue.add("a", "a2", "10.0.0.1")
    for item in ("x1", "x2", "x3"):
        queue.add("x", item, "10.0.0.2")
    told = queue.order()
    assert [queue.take() for _ in range(len(queue))] == told == ["a1", "x1", "b1", "x2", "c1", "x3", "d1", "a2"]


def test_a_session_that_changes_its_address_keeps_the_order_of_its_items() -> None:
    queue: Queue[str] = Queue()
    queue.add("a", "a1", "10.0.0.1")
    queue.add("a", "a2", "10.0.0.2")
    queue.move("a", "a2", 1)
    assert (queue.waiting("a"), queue.order()) == (2, ["a2", "a1"])
    assert (queue.take(), queue.take(), len(queue), queue.waiting("a")) == ("a2", "a1", 0, 0)


def test_what_is_put_back_is_the_next_one_again() -> None:
    queue: Queue[str] = Queue()
    for session, address in (("a", "10.0.0.1"), ("b", "10.0.0.1"), ("x", "10.0.0.2")):
        queue.add(session, f"{session}1", address)
    item = queue.take()
    queue.put_back("a", item, "10.0.0.1")
    assert queue.order() == ["a1", "x1", "b1"]
