"""Runs, markers and input for tests."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import msgspec

from txnpipe.traffic.manifest import Manifest, generated_run, input_run
from txnpipe.traffic.runs import Marker, this_process

NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)


def wanted(run: int = 1, **changes: Any) -> Manifest:
    made = generated_run(
        run_id=f"20261124T05311{run}-00000{run}", pipeline="default", count=3000, seed=1, now=NOW
    )
    return msgspec.structs.replace(made, **changes)


def wanted_input(run: int = 1, name: str = "/data/in.jsonl") -> Manifest:
    return input_run(run_id=f"20261124T05311{run}-00000{run}", pipeline="default", input_name=name, now=NOW)


def marker(**changes: Any) -> Marker:
    host, _, started = this_process()
    made = Marker(
        run_id=wanted(1).run_id,
        next_index=1024,
        acknowledged=1024,
        attempts=1024,
        throttled=0,
        failed=0,
        invalid=0,
        started_at=NOW,
        written_at=NOW,
        marks={},
        host=host,
        pid=os.getppid(),
        pid_started=started,
    )
    return msgspec.structs.replace(made, **changes)


def lines(count: int, first: int = 0) -> bytes:
    return b"".join(
        json.dumps(
            {
                "transaction_id": f"t-{n}",
                "amount": n,
                "transaction_type": "purchase",
                "timestamp": "2026-01-02T03:04:05Z",
                "run_id": "somebody else's",
                "unknown": True,
            }
        ).encode()
        + b"\n"
        for n in range(first, first + count)
    )


class Feeder:
    """Input that ends the program after so many bytes."""

    def __init__(self, data: bytes, dies_after: int | None = None) -> None:
        self._data = data
        self._dies_after = dies_after
        self._at = 0

    def read1(self, size: int) -> bytes:
        if self._dies_after is not None and self._at >= self._dies_after:
            raise KeyboardInterrupt
        chunk = self._data[self._at : self._at + min(size, 1000)]
        self._at += len(chunk)
        return chunk
