"""Waits for the end of a run whose count only its end tells."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from txnpipe.traffic.generator import INDEX_DIGITS
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import RunStore, at_work
from txnpipe.warehouse.interface import Warehouse

POLL_S = 0.5


def with_all_stored(store: RunStore, warehouse: Warehouse, manifest: Manifest) -> Manifest:
    """The manifest with a count that covers whatever is stored, of a run that has not ended.

    Its `send` may have been killed before it knew of the last acknowledgements.
    """
    if store.result(manifest.run_id) is not None:
        return manifest
    result = warehouse.query(
        "SELECT MAX(transaction_id) FROM transactions WHERE run_id = :run_id AND transaction_id LIKE :ours",
        {"run_id": manifest.run_id, "ours": f"{manifest.run_id}-{'_' * INDEX_DIGITS}"},
    )
    digits = str(result.rows[0][0] or "")[-INDEX_DIGITS:]
    stored = int(digits) + 1 if digits.isdigit() and digits.isascii() else 0
    return msgspec.structs.replace(manifest, count=max(manifest.count or 0, stored))


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
