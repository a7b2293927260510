"""The sender's threads around the dispatcher."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.unit.traffic.fakes import FakeStream, spans
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic import dispatch
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.sender import Progress, Sender
from txnpipe.traffic.stream import CallFailed


class LockedStream(FakeStream):
    """A FakeStream for several threads."""

    def put(self, records: Sequence[Outgoing]) -> Answer:
        with _lock:
            return self.put_alone(records)

    def put_alone(self, records: Sequence[Outgoing]) -> Answer:
        return super().put(records)


_lock = threading.Lock()


def chunks(count: int, size: int = 100) -> Iterator[list[Outgoing]]:
    for first in range(0, count, size):
        yield [(n, f"account-{n % 97}", b"x") for n in range(first, min(first + size, count))]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_everything_is_sent_whatever_the_number_of_workers(workers: int) -> None:
    stream = LockedStream(spans(3), failing=0.02, breaking=0.01)
    progress = Sender(stream, spans(3), workers=workers).run(chunks(5000))
    assert set(stream.indexes()) == set(range(5000))
    assert stream.overtaken() == []
    assert progress.watermark == 5000
    assert progress.final


@pytest.mark.parametrize("ordered", [False, True])
def test_a_reshard_in_mid_run_loses_nothing_and_keeps_the_order_of_keys(
    monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    monkeypatch.setattr(dispatch, "MAP_FRESH_S", 0.0)
    stream = LockedStream(
        spans(1), reshards={5: spans(2, first=1), 20: spans(4, first=3), 40: spans(3, first=7)}
    )
    progress = Sender(stream, spans(1), workers=3, ordered=ordered).run(chunks(20_000))
    assert sorted(stream.indexes()) == list(range(20_000))
    assert stream.overtaken() == []
    assert stream.out_of_order() == [] or not ordered
    assert set(progress.by_shard) == {span.shard_id for span in spans(3, first=7)}
    assert {each.shard_id: each.acknowledged for each in progress.shards} == {
        shard: len(records) for shard, records in stream.stored.items()
    }
    assert [each.open for each in progress.shards] == [True] * 3 + [False] * (len(stream.stored) - 3)
    assert progress.latency is not None
    assert progress.latency.calls == stream.calls


def test_the_final_report_holds_everything() -> None:
    heard: list[Progress] = []
    stream = LockedStream(spans(2))
    Sender(stream, spans(2), report=heard.append).run(chunks(1000))
    assert heard[-1].final
    assert heard[-1].acknowledged == 1000
    assert set(heard[-1].marks) == {span.shard_id for span in spans(2)}


def test_ctrl_c_books_outstanding_calls_and_reports_before_it_goes_on() -> None:
    def source() -> Iterator[list[Outgoing]]:
        yield from chunks(300)
        raise KeyboardInterrupt

    heard: list[Progress] = []
    stream = LockedStream(spans(1))
    with pytest.raises(KeyboardInterrupt):
        Sender(stream, spans(1), report=heard.append).run(source())
    assert heard[-1].final
    assert heard[-1].acknowledged == len(stream.indexes())
    assert set(range(heard[-1].watermark)) <= set(stream.indexes())


def test_a_stream_that_goes_away_stops_the_run_with_the_reason() -> None:
    class Gone(FakeStream):
        def put(self, records: Sequence[Outgoing]) -> Answer:
            raise TxnpipeError("There is no stream.", "Run txnpipe setup.", ExitCode.NOT_FOUND)

    with pytest.raises(TxnpipeError, match="no stream") as caught:
        Sender(Gone(spans(1)), spans(1)).run(chunks(100_000))
    assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_an_outage_longer_than_the_patience_stops_the_run() -> None:
    class Down(FakeStream):
        def put(self, records: Sequence[Outgoing]) -> Answer:
            raise CallFailed("connection refused")

    with pytest.raises(TxnpipeError, match="connection refused") as caught:
        Sender(Down(spans(1)), spans(1), patience_s=0.05).run(chunks(10))
    assert caught.value.exit_code is ExitCode.SERVICE
    assert "continues" in caught.value.fix


def test_a_short_outage_is_outlived() -> None:
    class Flaky(LockedStream):
        def put_alone(self, records: Sequence[Outgoing]) -> Answer:
            if self.calls < 2:
                self.calls += 1
                raise CallFailed("connection refused")
            return super().put_alone(records)

    stream = Flaky(spans(1))
    progress = Sender(stream, spans(1)).run(chunks(100))
    assert progress.failed_calls == 2
    assert sorted(stream.indexes()) == list(range(100))


def test_a_report_that_fails_stops_the_run() -> None:
    def report(progress: Progress) -> None:
        if not progress.final:
            raise TxnpipeError("No bucket.", "Run txnpipe setup.", ExitCode.NOT_FOUND)

    def endless() -> Iterator[list[Outgoing]]:
        while True:
            yield []
            threading.Event().wait(0.01)

    with pytest.raises(TxnpipeError, match="No bucket"):
        Sender(FakeStream(spans(1)), spans(1), report=report).run(endless())
