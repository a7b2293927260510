"""Waits for the end of a run whose count only its end tells."""

from __future__ import annotations

from collections.abc import Callable

from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import RunStore, at_work

POLL_S = 0.5


def await_count(
    store: RunStore,
    manifest: Manifest,
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Manifest:
    """The manifest with its count, once the `send` that works on the run has ended.

    Of a run that nobody works on, or that still goes on after `timeout_s`, it is what is acknowledged by now.
    """
    deadline = clock() + timeout_s
    while store.result(manifest.run_id) is None and clock() < deadline:
        stored = store.marker(manifest.run_id)
        if stored is None or not at_work(stored):
            break
        sleep(POLL_S)
    return store.with_count(manifest)
