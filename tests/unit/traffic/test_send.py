"""One `send`: which run it works on, what it keeps, and how it goes on after a stop."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from tests.unit.traffic.fakes import FakeS3, FakeStream, spans, target_with
from tests.unit.traffic.making import NOW, Feeder, lines, marker, wanted, wanted_input
from tests.waiting import eventually
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic import spool
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.manifest import decode_manifest, encode_manifest
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, send
from txnpipe.traffic.sources import GeneratedSource
from txnpipe.traffic.spool import InputSource, read_part
from txnpipe.transactions import parse


class Dying(FakeStream):
    """Interrupts the program after so many calls, as a kill does: nothing is booked or kept any more."""

    dies_after: int = 3

    def put(self, records: Sequence[Outgoing]) -> Answer:
        if self.calls >= self.dies_after:
            raise SystemExit
        return super().put(records)


def test_the_manifest_is_stored_before_the_first_record(store: RunStore, s3: FakeS3) -> None:
    job = choose(store, wanted())
    key = f"runs/{job.manifest.run_id}/manifest.json"
    assert decode_manifest(s3.objects[key][0], key) == wanted()


def test_a_finished_run_has_a_result_and_the_same_command_starts_another(store: RunStore) -> None:
    sent = send(store, FakeStream(spans(2)), choose(store, wanted(1)))
    assert sent.result is not None
    assert sent.result.count == 3000
    assert store.result(wanted(1).run_id) == sent.result
    assert choose(store, wanted(2)).manifest == wanted(2)


def test_a_killed_run_is_continued_by_the_same_command(store: RunStore) -> None:
    stream = Dying(spans(1))
    with pytest.raises(SystemExit):
        send(store, stream, choose(store, wanted(1)), workers=1)
    job = choose(store, wanted(2))
    assert job.manifest == wanted(1)
    stream.dies_after = 10**9
    sent = send(store, stream, job, workers=1)
    assert sent.result is not None
    assert set(stream.indexes()) == set(range(3000))


def test_a_run_without_any_progress_is_continued_from_its_beginning(store: RunStore) -> None:
    choose(store, wanted(1))
    job = choose(store, wanted(2))
    assert (job.manifest, job.start) == (wanted(1), 0)


@pytest.mark.parametrize(
    "other", [{"count": 3001}, {"seed": 2}, {"pipeline": "staging"}, {"anomalies": {}}, {"source": "input"}]
)
def test_another_command_starts_another_run(store: RunStore, other: dict[str, Any]) -> None:
    choose(store, wanted(1))
    assert choose(store, wanted(2, **other)).manifest.run_id == wanted(2).run_id


def test_another_rate_continues_the_run(store: RunStore) -> None:
    choose(store, wanted(1))
    assert choose(store, wanted(2, rate=10.0)).manifest == wanted(1)


def test_new_starts_another_run(store: RunStore) -> None:
    choose(store, wanted(1))
    assert choose(store, wanted(2), new=True).manifest == wanted(2)


def test_a_run_that_another_process_works_on_is_left_alone(store: RunStore) -> None:
    choose(store, wanted(1))
    from txnpipe.traffic.runs import _started

    store.write_marker(marker(pid_started=_started(os.getppid())))
    assert choose(store, wanted(2)).manifest == wanted(2)


def test_a_process_id_that_was_given_to_another_process_does_not_count(store: RunStore) -> None:
    choose(store, wanted(1))
    store.write_marker(marker(pid_started="1"))
    assert choose(store, wanted(2)).start == 1024


def test_another_machines_run_is_left_alone_only_while_its_marker_is_fresh(s3: FakeS3) -> None:
    clock = [NOW]
    s3 = FakeS3(lambda: clock[0])
    store = RunStore(target_with(s3=s3), "bucket")
    choose(store, wanted(1))
    store.write_marker(marker(host="elsewhere"))
    assert choose(store, wanted(2)).manifest == wanted(2)
    clock[0] = NOW.replace(minute=40)
    assert choose(store, wanted(2)).manifest == wanted(2)  # its own twin, stored a moment ago
    store.write_result(msgspec.structs.replace(_any_result(), run_id=wanted(2).run_id))
    assert choose(store, wanted(3)).manifest == wanted(1)


def _any_result() -> Any:
    from txnpipe.traffic.runs import RunResult

    return RunResult(
        run_id="",
        count=0,
        attempts=0,
        throttled=0,
        failed=0,
        invalid=0,
        invalid_lines=(),
        started_at=NOW,
        finished_at=NOW,
        marks={},
    )


def test_a_manifest_of_the_future_is_refused_with_a_fix() -> None:
    data = encode_manifest(wanted()).replace(b'"version": 3', b'"version": 4')
    with pytest.raises(TxnpipeError, match="version 4") as caught:
        decode_manifest(data, "here")
    assert caught.value.exit_code is ExitCode.USAGE


def test_verify_before_any_send_finds_nothing(store: RunStore) -> None:
    with pytest.raises(TxnpipeError, match="Nothing was sent") as caught:
        store.newest()
    assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_input_is_spooled_as_it_is_sent(store: RunStore) -> None:
    manifest = wanted_input()
    stream = FakeStream(spans(1))
    payloads: list[bytes] = []
    put = stream.put

    def remembering(records: Sequence[Outgoing]) -> Answer:
        payloads.extend(data for _, _, data in records)
        return put(records)

    stream.put = remembering  # type: ignore[method-assign]
    sent = send(store, stream, choose(store, manifest), source=io.BytesIO(lines(10) + b"bad\n"))
    assert sent.result is not None
    assert (sent.result.count, sent.result.invalid) == (10, 1)
    assert sent.result.invalid_lines[0].line == 11
    (key,) = store.part_keys(manifest.run_id)
    header, events = read_part(store, key)
    assert events == payloads
    assert header.lines == 11
    assert {parse(event).run_id for event in events} == {manifest.run_id}


@pytest.mark.parametrize("dies_after", [20_000, 35_000, 50_000])
def test_a_killed_input_run_goes_on_behind_what_it_spooled(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    monkeypatch.setattr(spool, "PART_EVENTS", 100)
    data = lines(300) + b"bad\n" + lines(200, 300)
    stream = FakeStream(spans(2))
    with pytest.raises(KeyboardInterrupt):
        send(store, stream, choose(store, wanted_input(1)), source=Feeder(data, dies_after))  # type: ignore[arg-type]
    job = choose(store, wanted_input(2))
    assert job.manifest == wanted_input(1)
    sent = send(store, stream, job, source=Feeder(data))  # type: ignore[arg-type]
    assert sent.result is not None
    assert (sent.result.count, sent.result.invalid) == (500, 1)
    assert sent.result.invalid_lines[0].line == 301
    assert set(stream.indexes()) == set(range(500))
    spooled = [
        parse(e).transaction_id for _, part in spool.spooled_events(store, job.manifest.run_id) for e in part
    ]
    assert spooled == [f"t-{n}" for n in range(500)]


def test_another_input_under_the_same_name_is_refused(store: RunStore) -> None:
    with pytest.raises(KeyboardInterrupt):
        send(
            store,
            FakeStream(spans(1)),
            choose(store, wanted_input(1, "-")),
            source=_Interrupting(lines(10), store),  # type: ignore[arg-type]
        )
    with pytest.raises(TxnpipeError, match="not the one") as caught:
        send(
            store,
            FakeStream(spans(1)),
            choose(store, wanted_input(2, "-")),
            source=io.BytesIO(lines(20, first=5)),
        )
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--new" in caught.value.fix


class _Interrupting:
    """Gives its data, pauses until it is spooled, then interrupts."""

    def __init__(self, data: bytes, store: RunStore) -> None:
        self._data = [data]
        self._store = store

    def read1(self, size: int) -> bytes:
        if self._data:
            return self._data.pop()
        eventually(lambda: self._store.part_keys(wanted_input(1, "-").run_id), "spooled part")
        raise KeyboardInterrupt


def test_slow_input_is_sent_while_more_is_awaited(store: RunStore) -> None:
    ticks = iter(range(0, 10_000, 2))
    source = InputSource(store, wanted_input(), io.BytesIO(lines(5)), clock=lambda: float(next(ticks)))
    sizes = [len(chunk) for chunk in source if chunk]
    assert sizes == [1, 1, 1, 1, 1]


def test_a_generated_source_has_the_size_of_the_run() -> None:
    chunks: Iterator[Sequence[Outgoing]] = iter(GeneratedSource(wanted(), 2990))
    assert [index for chunk in chunks for index, _, _ in chunk] == list(range(2990, 3000))
