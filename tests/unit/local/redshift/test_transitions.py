"""Changes in the background: in order per resource, side by side across resources."""

from __future__ import annotations

import threading

from tests.waiting import PATIENCE_S
from txnpipe.local.redshift.transitions import Transitions


def test_transitions_of_one_resource_happen_in_order() -> None:
    transitions, seen = Transitions(), list[int]()
    for number in range(50):
        transitions.begin("a", 0, lambda number=number: seen.append(number))  # type: ignore[misc]
    assert transitions.wait_idle(PATIENCE_S)
    assert seen == list(range(50))
    transitions.stop()


def test_one_resource_does_not_wait_for_another() -> None:
    transitions = Transitions()
    release, other = threading.Event(), threading.Event()

    def slow() -> None:
        assert release.wait(PATIENCE_S)

    transitions.begin("slow", 0, slow)
    transitions.begin("quick", 0, other.set)
    assert other.wait(PATIENCE_S)
    release.set()
    transitions.stop()


def test_a_failure_does_not_end_the_queue() -> None:
    transitions, went_on = Transitions(), threading.Event()

    def fail() -> None:
        raise RuntimeError("this is logged")

    transitions.begin("a", 0, fail)
    transitions.begin("a", 0, went_on.set)
    assert went_on.wait(PATIENCE_S)
    transitions.stop()


def test_a_latency_passes_before_the_work_unless_everything_stops() -> None:
    transitions, done = Transitions(), threading.Event()
    transitions.begin("a", 60, done.set)
    assert not transitions.wait_idle(0.02)
    transitions.stop()
    assert not done.is_set()
    transitions.begin("a", 0, done.set)
    assert not done.is_set()


def test_a_resource_with_nothing_to_do_holds_no_thread() -> None:
    transitions, threads = Transitions(), list[threading.Thread]()
    for name in ("a", "b"):
        transitions.begin(name, 0, lambda: threads.append(threading.current_thread()))
    assert transitions.wait_idle(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [thread.is_alive() for thread in threads] == [False, False]
    again = threading.Event()
    transitions.begin("a", 0, again.set)
    assert again.wait(PATIENCE_S)
    transitions.stop()
