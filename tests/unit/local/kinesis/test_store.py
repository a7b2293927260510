from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from txnpipe.local.kinesis import sequence, store
from txnpipe.local.kinesis.model import StreamDocument
from txnpipe.local.kinesis.store import Batch, Store, pack
from txnpipe.local.service import ServiceError

DOCUMENT = StreamDocument(
    name="s", region="us-east-1", created_at=1.0, status="ACTIVE", change=None, counter_reserved=10
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    opened = Store.create(tmp_path / "one", DOCUMENT)
    yield opened
    opened.close()


def _append(opened: Store, texts: list[str], first: int, *, shard: int = 0, arrived: float = 1.0) -> None:
    rows, last = [], first - 1
    for size, body in pack(texts, texts):
        last += size
        rows.append(Batch(last, shard, size, arrived, arrived, body))
    opened.append(rows)


def test_only_the_owner_can_look_at_the_files(opened: Store) -> None:
    _append(opened, ["a"], 1)
    assert stat.S_IMODE(opened.directory.stat().st_mode) == 0o700
    files = list(opened.directory.iterdir())
    assert len(files) == 3  # the file, its log, the log's index
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("count", [1, 99, 100, 101, 500])
def test_packing_keeps_every_record_in_order_in_rows_of_at_most_100(opened: Store, count: int) -> None:
    texts = [f"record {index}" for index in range(count)]
    assert all(size <= 100 for size, _ in pack(texts, texts))
    _append(opened, texts, 1)
    assert [record.data for record in opened.read(0, 0, 10_000, 1 << 30).records] == texts


def test_large_records_get_rows_of_their_own() -> None:
    large = "x" * 200_000
    assert [size for size, _ in pack(["a", "b", "c"], [large, large, "small"])] == [1, 2]


def test_reading_begins_after_a_position_even_inside_a_row(opened: Store) -> None:
    _append(opened, [str(index) for index in range(150)], 1)
    reading = opened.read(0, 42, 3, 1 << 30)
    assert [record.data for record in reading.records] == ["42", "43", "44"]
    assert reading.position == 45
    assert reading.records[0].sequence_number == str(sequence.encode(0, 43))


def test_reading_stops_before_too_many_bytes_but_gives_one_record(opened: Store) -> None:
    _append(opened, ["x" * 400] * 5, 1)  # 300 bytes each, decoded
    assert len(opened.read(0, 0, 100, 650).records) == 2
    assert len(opened.read(0, 0, 100, 1).records) == 1


def test_shards_do_not_see_each_other(opened: Store) -> None:
    _append(opened, ["a"], 1, shard=0)
    _append(opened, ["b"], 2, shard=1)
    _append(opened, ["c"], 3, shard=0)
    assert [record.data for record in opened.read(0, 0, 100, 1 << 30).records] == ["a", "c"]
    assert opened.tail(1) == (2, 1.0)


def test_a_put_to_more_shards_than_one_statement_holds_is_still_one_transaction(opened: Store) -> None:
    rows = [Batch(counter, counter, 1, 1.0, 1.0, pack(["k"], ["d"])[0][1]) for counter in range(1, 251)]
    opened.append(rows)
    assert all(opened.tail(shard) == (shard, 1.0) for shard in (1, 100, 101, 250))


def test_trimming_removes_what_is_older_and_nothing_else(opened: Store) -> None:
    for index in range(6):
        _append(opened, [str(index)], index + 1, arrived=float(index))
    assert [sorted(opened.trim(0, 3.0, 2)) for _ in range(3)] == [[1, 2], [3], []]
    assert [record.data for record in opened.read(0, 0, 100, 1 << 30).records] == ["3", "4", "5"]


def test_a_full_disk_refuses_the_put_and_keeps_what_was_there(opened: Store) -> None:
    _append(opened, ["kept"], 1)
    (pages,) = opened._writer.execute("PRAGMA page_count").fetchone()
    opened._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(ServiceError, match="full"):
        _append(opened, ["x" * 100_000], 2)
    opened._writer.execute("PRAGMA max_page_count = 1000000")
    _append(opened, ["after"], 3)
    assert [record.data for record in opened.read(0, 0, 100, 1 << 30).records] == ["kept", "after"]


def test_the_log_is_moved_into_the_file_and_begun_anew(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened.directory / f"{store.FILE}-wal"
    for index in range(20):
        _append(opened, ["x" * 200_000], index + 1)
    grown = log.stat().st_size
    assert opened.checkpoint()
    monkeypatch.setattr(store, "_LONG_LOG_PAGES", 10)
    assert not opened.checkpoint()
    opened.restart_log()
    _append(opened, ["y"], 100)
    assert log.stat().st_size <= grown
    assert len(opened.read(0, 0, 100, 1 << 30).records) == 21


def test_a_file_of_another_format_is_not_touched(opened: Store) -> None:
    opened._writer.execute("PRAGMA user_version = 99")
    with pytest.raises(Exception, match="format 99"):
        Store(opened.directory)


def test_a_closed_store_says_so(opened: Store) -> None:
    opened.close()
    with pytest.raises(ServiceError) as caught:
        opened.read(0, 0, 1, 1)
    assert caught.value.status == 503


def test_space_of_what_was_trimmed_goes_back_to_the_disk(opened: Store) -> None:
    for number in range(200):
        _append(opened, ["x" * 100_000], number + 1)
    opened.checkpoint()
    full = (opened.directory / store.FILE).stat().st_size
    assert full > 200 * 100_000
    assert len(opened.trim(0, 2.0, 199)) == 199

    while opened.give_back(100, least=50):
        pass
    opened.checkpoint()

    assert (opened.directory / store.FILE).stat().st_size < 1_000_000
    assert len(opened.read(0, 0, 10, 1 << 20).records) == 1


def test_space_that_the_next_records_will_take_is_kept(opened: Store) -> None:
    for number in range(10):
        _append(opened, ["x" * 100_000], number + 1)
    opened.trim(0, 2.0, 4)
    assert not opened.give_back(100, least=10)  # less than half of the file
    opened.trim(0, 2.0, 6)
    assert not opened.give_back(100, least=10_000)
