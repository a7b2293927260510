"""What others see of a stream at the moment it changes: nothing half done."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.local.kinesis.conftest import World, encoded
from txnpipe.local.kinesis import stream as stream_module
from txnpipe.local.kinesis.shard import Routing
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
