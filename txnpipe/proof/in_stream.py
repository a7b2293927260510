"""Looks for one record in the stream itself, beside the consumers that read it for a living."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import error_code, translated
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.shardmap import hash_key

SEARCH_S = 20.0
"""How long a stream is read in search of one record."""
PAUSE_S = 0.25
"""Between two reads that found nothing or were refused: all readers of a shard share five reads a second
(GetRecords API reference), and consumers come first."""


@dataclass(frozen=True)
class Place:
    """Where a record lies in a stream."""

    shard_id: str
    sequence_number: str


class StreamSearch:
    """Reads one stream. One deadline holds for everything that it is asked.

    `kinesis` should not retry by itself: it would wait much longer than the shard needs.
    """

    def __init__(
        self,
        kinesis: Any,
        stream: str,
        *,
        timeout_s: float = SEARCH_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kinesis = kinesis
        self._stream = stream
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock() + timeout_s
        self.out_of_time = False
        """Whether an answer had to be given before everything was read."""

    def holds(self, place: Place) -> bool | None:
        """Whether the record can still be read there; None where it could not be told in time.

        Raises TxnpipeError.
        """
        with translated("read from the stream", self._stream):
            try:
                iterator = self._iterator(
                    place.shard_id,
                    ShardIteratorType="AT_SEQUENCE_NUMBER",
                    StartingSequenceNumber=place.sequence_number,
                )
                while iterator and (answer := self._read(iterator, limit=1)):
                    if answer["Records"]:
                        return bool(answer["Records"][0]["SequenceNumber"] == place.sequence_number)
                    if not answer.get("MillisBehindLatest"):
                        return False
                    iterator = answer.get("NextShardIterator")
            except ClientError as error:
                if error_code(error) in {"ResourceNotFoundException", "InvalidArgumentException"}:
                    return False
                raise
        return None

    def find(
        self, partition_key: str, since: datetime | None, matches: Callable[[bytes], bool]
    ) -> Place | None:
        """The first record of that key whose data matches, from `since` or the oldest one on; None if there
        is none or time is up. Raises TxnpipeError."""
        start: dict[str, Any] = (
            {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
            if since
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        with translated("read from the stream", self._stream):
            for shard_id in self._shards_of(partition_key):
                iterator = self._iterator(shard_id, **start)
                while iterator and (answer := self._read(iterator, limit=10_000)):
                    for record in answer["Records"]:
                        if record["PartitionKey"] == partition_key and matches(record["Data"]):
                            return Place(shard_id, record["SequenceNumber"])
                    if not answer["Records"] and not answer.get("MillisBehindLatest"):
                        break
                    iterator = answer.get("NextShardIterator")
        return None

    def _iterator(self, shard_id: str, **where: Any) -> str | None:
        answer = self._ask(
            self._kinesis.get_shard_iterator, StreamName=self._stream, ShardId=shard_id, **where
        )
        return str(answer["ShardIterator"]) if answer else None

    def _read(self, iterator: str, limit: int) -> dict[str, Any] | None:
        answer = self._ask(self._kinesis.get_records, ShardIterator=iterator, Limit=limit)
        if answer and not answer["Records"]:
            self._sleep(PAUSE_S)
        return answer

    def _ask(self, call: Callable[..., dict[str, Any]], **request: Any) -> dict[str, Any] | None:
        """An answer that the shard had room for; None when time is up."""
        while self._clock() < self._deadline:
            try:
                return call(**request)
            except ClientError as error:
                if error_code(error) != "ProvisionedThroughputExceededException":
                    raise
                self._sleep(PAUSE_S)
        self.out_of_time = True
        return None

    def _shards_of(self, partition_key: str) -> list[str]:
        """Every shard, open or closed, whose range holds the key."""
        wanted = hash_key(partition_key)
        found = []
        pages = self._kinesis.get_paginator("list_shards").paginate(StreamName=self._stream)
        for page in pages:
            for shard in page["Shards"]:
                hashes = shard["HashKeyRange"]
                span = Span(shard["ShardId"], hashes["StartingHashKey"], hashes["EndingHashKey"])
                if int(span.starting_hash_key) <= wanted <= int(span.ending_hash_key):
                    found.append(span.shard_id)
        return found
