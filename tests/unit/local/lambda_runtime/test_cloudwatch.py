"""How lines wait for CloudWatch Logs, and what becomes of those that cannot."""

from __future__ import annotations

import logging
import threading

import pytest

from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.lambda_runtime.cloudwatch import (
    MAX_BATCH_LINES,
    MAX_WAITING_BYTES,
    CloudWatchOutput,
    Event,
    LogStream,
)

ONE, TWO = (LogStream("us-east-1", "/aws/lambda/f", name, "role") for name in ("one", "two"))


class Store:
    def __init__(self) -> None:
        self.calls: list[tuple[LogStream, list[Event]]] = []
        self.now = 5.0
        self.output = CloudWatchOutput(self.put, lambda: self.now)
        self.broken = False
        self.filled = threading.Event()

    def put(self, stream: LogStream, events: list[Event]) -> None:
        if self.broken:
            raise RuntimeError("no disk")
        self.calls.append((stream, events))
        self.filled.set()


def test_lines_go_out_by_stream_with_the_time_they_came() -> None:
    store = Store()
    store.output.add(ONE, "ü\n\n".encode())
    store.now = 6.5
    store.output.add(TWO, b"bad \xff\n")
    store.output.add(ONE, b"late\n")
    assert store.calls == []
    store.output.flush()
    assert store.calls == [
        (ONE, [(5000, "ü\n"), (5000, "\n"), (6500, "late\n")]),
        (TWO, [(6500, "bad \ufffd\n")]),
    ]
    store.output.flush()
    assert len(store.calls) == 2


def test_a_clock_that_is_set_back_keeps_the_order() -> None:
    store = Store()
    store.output.add(ONE, b"first\n")
    store.now = 1.0
    store.output.add(ONE, b"second\n")
    store.output.flush()
    assert [at for at, _ in store.calls[0][1]] == [5000, 5000]


def test_many_lines_go_out_in_batches() -> None:
    store = Store()
    store.output.add(ONE, b"x\n" * (MAX_BATCH_LINES + 1))
    store.output.flush()
    assert [len(events) for _, events in store.calls] == [MAX_BATCH_LINES, 1]


def test_what_is_too_much_is_lost_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.output.add(ONE, b"x" * (MAX_WAITING_BYTES - 1) + b"\n")
    store.output.add(ONE, b"a\nb\n")
    with caplog.at_level(logging.WARNING):
        store.output.flush()
    assert len(store.calls) == 1
    assert "2 lines" in caplog.text
    store.output.add(ONE, b"there is room again\n")
    store.output.flush()
    assert store.calls[-1][1] == [(5000, "there is room again\n")]


def test_a_store_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.output.start()
    store.broken = True
    store.output.add(ONE, b"lost\n")
    eventually(lambda: "no disk" in caplog.text, "failure")
    store.broken = False
    store.output.add(ONE, b"kept\n")
    assert store.filled.wait(PATIENCE_S)
    store.output.add(ONE, b"last\n")
    store.output.stop()
    assert [line for _, events in store.calls for _, line in events] == ["kept\n", "last\n"]


def test_a_stop_passes_on_what_came_during_the_last_batch() -> None:
    store, taken, release = Store(), threading.Event(), threading.Event()

    def slow(stream: LogStream, events: list[Event]) -> None:
        taken.set()
        assert release.wait(PATIENCE_S)
        store.put(stream, events)

    output = CloudWatchOutput(slow, lambda: 5.0)
    output.start()
    output.add(ONE, b"first\n")
    assert taken.wait(PATIENCE_S)
    output.add(ONE, b"last\n")
    stopping = threading.Thread(target=output.stop)
    stopping.start()
    eventually(output._stopping.is_set, "stop")
    release.set()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()
    assert [line for _, events in store.calls for _, line in events] == ["first\n", "last\n"]
