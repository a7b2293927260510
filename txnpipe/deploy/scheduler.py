"""Runs the steps of a graph in parallel, each as soon as what it requires is done.

A step that fails keeps back only what requires it; everything else goes on. The threads are daemons: an
interrupted command answers at once, and what a step was doing is found and finished by the next run.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

PARALLEL = 12
"""Steps at once."""
PATIENCE_S = 3.0
"""How long an interrupted run lets the steps that are in the middle of a call finish it."""


@dataclass
class Outcome:
    """What became of the steps. The three together are all of them."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, BaseException] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def run(
    requirements: Mapping[str, set[str]],
    step: Callable[[str], None],
    *,
    on_interrupt: Callable[[], None] = lambda: None,
    parallel: int = PARALLEL,
) -> Outcome:
    """Calls `step` for every key, after it was called for what the key requires. Returns when none runs.

    `on_interrupt` is told when the calling thread is interrupted (Ctrl-C), before the interruption is passed
    on; it should make running steps end.
    """
    sorter = TopologicalSorter(requirements)
    sorter.prepare()
    finished: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()
    outcome = Outcome()
    waiting: list[str] = []
    running: dict[str, threading.Thread] = {}

    def work(key: str) -> None:
        try:
            step(key)
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread, which raises or reports it
            finished.put((key, error))
        else:
            finished.put((key, None))

    try:
        while True:
            waiting.extend(sorted(sorter.get_ready()))
            while waiting and len(running) < parallel:
                key = waiting.pop(0)
                running[key] = threading.Thread(target=work, args=(key,), name=key, daemon=True)
                running[key].start()
            if not running:
                break
            key, error = finished.get()
            running.pop(key).join()
            if error is None:
                outcome.done.append(key)
                sorter.done(key)
            else:
                outcome.failed[key] = error
    except BaseException:
        on_interrupt()
        for thread in running.values():
            if thread.is_alive():  # the interruption may have come before its start
                thread.join(PATIENCE_S / len(running))
        raise
    ended = {*outcome.done, *outcome.failed}
    outcome.skipped = [key for key in TopologicalSorter(requirements).static_order() if key not in ended]
    return outcome
