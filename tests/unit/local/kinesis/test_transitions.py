"""What others see of a stream at the moment it changes: nothing half done."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.unit.local.kinesis.conftest import World, encoded
from txnpipe.local.kinesis import stream as stream_module
from txnpipe.local.kinesis.shard import Routing
from txnpipe.local.kinesis.store import Store
from txnpipe.local.kinesis.stream import Stream


def test_a_stream_is_active_only_once_its_shards_take_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks while the shards are being put in place: a client asks again until it is ACTIVE."""
    seen: list[str] = []

    def watched(*arguments: Any) -> Routing:
        seen.append(world.status())
        return Routing(*arguments)

    world.call("CreateStream", StreamName="s", ShardCount=2)
    monkeypatch.setattr(stream_module, "Routing", watched)
    world.advance(1)
    world.scale(3)
    assert seen == ["CREATING", "UPDATING"]
    assert world.status() == "ACTIVE"


@pytest.mark.parametrize("shards", [1, 2])
def test_a_put_that_a_delete_overtakes_finds_no_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    world.stream(shards=shards)
    put = Stream.put

    def overtaken(stream: Stream, *arguments: Any) -> Any:
        monkeypatch.setattr(Stream, "put", put)
        world.call("DeleteStream", StreamName="s")
        world.advance(1)
        return put(stream, *arguments)

    monkeypatch.setattr(Stream, "put", overtaken)
    entries = [{"Data": encoded("a"), "PartitionKey": "k"}]
    assert world.refusal("PutRecords", StreamName="s", Records=entries)[0] == "ResourceNotFoundException"


def log_of(store: Store) -> tuple[int, int]:
    """Pages in the write-ahead log, and how many of them are in the file already.

    From the log's index: sqlite.org/walformat.html, "The WAL-Index File Format", mxFrame and nBackfill.
    """
    (index,) = store.directory.glob("*-shm")
    (pages,) = struct.unpack_from("=I", index.read_bytes(), 16)
    (moved,) = struct.unpack_from("=I", index.read_bytes(), 96)
    return pages, moved


def test_no_checkpoint_begins_on_a_log_that_a_writer_may_begin_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the last one moved a record that came after it was asked for."""
    world.stream()
    logs: list[tuple[int, int]] = []
    checkpoint = Store.checkpoint

    def watched(store: Store) -> bool:
        logs.append(log_of(store))
        world.put("late")
        return checkpoint(store)

    monkeypatch.setattr(Store, "checkpoint", watched)
    world.put("early")
    for _ in range(3):
        world.engine.maintain()
    assert len(logs) == 3
    assert all(moved < pages for pages, moved in logs)


def test_where_nothing_is_new_nothing_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.stream()
    world.put("a")
    world.engine.maintain()
    (store,) = world.engine._stores.values()
    before = log_of(store)
    assert before[0] == before[1]
    monkeypatch.setattr(Store, "checkpoint", lambda _store: pytest.fail("there is nothing to move"))
    world.engine.maintain()
    assert log_of(store) == before
