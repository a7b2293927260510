"""Running steps in the order of a graph."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import PATIENCE_S
from txnpipe.deploy.scheduler import run


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, set[str]]:
    """Graphs without circles: a node requires only earlier ones."""
    size = draw(st.integers(1, 12))
    return {str(node): {str(needed) for needed in range(node) if draw(st.booleans())} for node in range(size)}


@given(graphs(), st.integers(1, 4))
def test_every_step_runs_once_and_after_what_it_requires(graph: dict[str, set[str]], parallel: int) -> None:
    ended: list[str] = []
    mutex = threading.Lock()

    def step(key: str) -> None:
        with mutex:
            assert graph[key] <= set(ended)
            ended.append(key)

    outcome = run(graph, step, parallel=parallel)
    assert sorted(ended) == sorted(graph) == sorted(outcome.done)
    assert not outcome.failed
    assert not outcome.skipped


@given(graphs(), st.data())
def test_a_failed_step_keeps_back_exactly_what_requires_it(graph: dict[str, set[str]], data: Any) -> None:
    broken = data.draw(st.sampled_from(sorted(graph)))
    concerned = {broken}
    while more := {key for key, needs in graph.items() if needs & concerned} - concerned:
        concerned |= more

    def step(key: str) -> None:
        if key == broken:
            raise ValueError(key)

    outcome = run(graph, step)
    assert set(outcome.failed) == {broken}
    assert set(outcome.skipped) == concerned - {broken}
    assert set(outcome.done) == set(graph) - concerned


def test_independent_steps_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def step(_: str) -> None:
        together.wait()

    assert len(run({"a": set(), "b": set(), "c": set()}, step).done) == 3


def test_never_more_steps_at_once_than_allowed() -> None:
    running, most = 0, 0
    mutex = threading.Lock()

    def step(_: str) -> None:
        nonlocal running, most
        with mutex:
            running += 1
            most = max(most, running)
        with mutex:
            running -= 1

    run({str(number): set() for number in range(20)}, step, parallel=2)
    assert most <= 2


def test_an_interruption_is_told_to_the_steps_and_passed_on() -> None:
    interrupted = threading.Event()

    def step(key: str) -> None:
        if key == "a":
            assert interrupted.wait(PATIENCE_S)

    graph: dict[str, set[str]] = {"a": set(), "b": set()}
    original = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "b":
            raise KeyboardInterrupt
        original(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            run(graph, step, on_interrupt=interrupted.set)
    assert interrupted.is_set()
