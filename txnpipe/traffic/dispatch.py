"""Decides what the next PutRecords call carries. Pure bookkeeping: no threads, no clock, no network.

Every shard has a queue, and at most one call with records of a shard is outstanding. What a call failed to
store goes back to the front of its queue, so that no later record of the shard, hence none of the same
partition key, overtakes it (within one call PutRecords itself promises no order). A call takes from every
shard that is free, the fullest first: at full load calls are filled by one shard each and run in parallel, at
a low rate one call carries the records of many.

What happens to a record, by the error code of its entry:
    none                                        acknowledged
    ProvisionedThroughputExceededException      back to the queue; the shard's pace falls
    anything else (InternalFailure, ...)        back to the queue; the shard pauses, longer each time;
                                                given up after MAX_ATTEMPTS
A call that fails as a whole puts all its records back.

After a reshard the answers name shards that the map does not know. Then nothing new is sent until the
outstanding calls are back, and the queued records are routed again, in their order.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from txnpipe.traffic.manifest import Span
from txnpipe.traffic.pacing import ShardPace
from txnpipe.traffic.shardmap import ShardMap
from txnpipe.traffic.watermark import Watermark

MAX_CALL_RECORDS = 500
MAX_CALL_BYTES = 10 * 1024 * 1024
"""PutRecords: 500 records and 10 MiB in all, partition keys included (botocore's service model)."""
MAX_ATTEMPTS = 20
MAP_FRESH_S = 1.0
"""ListShards may still tell the old map for a moment; it is asked at most once in this many seconds."""
THROTTLED = "ProvisionedThroughputExceededException"

Outgoing = tuple[int, str, bytes]
"""Index, partition key, payload."""


class Shard:
    """The queue and the pace of one open shard."""

    def __init__(self, shard_id: str, now: float) -> None:
        self.shard_id = shard_id
        self.queue: deque[Outgoing] = deque()
        self.pace = ShardPace(now)
        self.busy = False
        self.not_before = now
        self.failures = 0
        self.acknowledged = 0


@dataclass(frozen=True)
class Call:
    """One PutRecords call: its records, and how many of them belong to which shard, in order."""

    records: list[Outgoing]
    segments: list[tuple[Shard, int]]


@dataclass
class Counters:
    """What has happened so far, in records; calls in calls."""

    attempts: int = 0
    acknowledged: int = 0
    throttled: int = 0
    failed: int = 0
    calls: int = 0
    failed_calls: int = 0
    given_up: list[int] = field(default_factory=list)


class Dispatcher:
    """All queues of one run. Callers hold a lock around it; `now` is a monotonic clock in seconds."""

    def __init__(
        self, spans: Sequence[Span], now: float, start: int = 0, rng: Callable[[], float] = random.random
    ) -> None:
        self.counters = Counters()
        self.queued = 0
        self.queued_bytes = 0
        self.outstanding = 0
        self.stale = False
        """Whether an answer named an unknown shard: the shard map must be read again."""
        self.marks: dict[str, str] = {}
        """The sequence number of the last acknowledged record, by shard."""
        self.last_success = now
        self._rng = rng
        self._attempts: dict[int, int] = {}
        self._watermark = Watermark(start)
        self._fresh_until = now
        self._shards: tuple[Shard, ...] = ()
        self._map(spans, now)

    @property
    def watermark(self) -> int:
        """Every index below it is acknowledged. What lies above may be, too."""
        return self._watermark.value

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is outstanding."""
        return not self.queued and not self.outstanding

    def shards(self) -> tuple[Shard, ...]:
        """The shards of the current map."""
        return self._shards

    def offer(self, records: Sequence[Outgoing]) -> None:
        """Queues records. Their indexes continue where the last ones ended."""
        route, shards = self._shard_map.route, self._shards
        size = 0
        for record in records:
            shards[route(record[1])].queue.append(record)
            size += len(record[2])
        self._watermark.open([record[0] for record in records])
        self.queued += len(records)
        self.queued_bytes += size

    def take(self, now: float) -> Call | None:
        """The next call, or None while there is nothing that may go."""
        if self.stale or not self.queued:
            return None
        ready: list[tuple[int, Shard]] = []
        for shard in self._shards:
            if shard.queue and not shard.busy and shard.not_before <= now:
                allowed = shard.pace.allowance(now, min(len(shard.queue), MAX_CALL_RECORDS))
                if allowed:
                    ready.append((allowed, shard))
        if not ready:
            return None
        ready.sort(key=_fullest_first)
        records: list[Outgoing] = []
        segments: list[tuple[Shard, int]] = []
        size = 0
        for allowed, shard in ready:
            room = min(allowed, MAX_CALL_RECORDS - len(records))
            count, taken = self._move(shard, records, room, MAX_CALL_BYTES - size)
            if count:
                shard.busy = True
                shard.pace.spend(count, taken, now)
                segments.append((shard, count))
                size += taken
            if len(records) >= MAX_CALL_RECORDS or count < room:
                break
        self.queued -= len(records)
        self.outstanding += 1
        self.counters.calls += 1
        self.counters.attempts += len(records)
        return Call(records, segments)

    def settle(self, call: Call, entries: Sequence[Mapping[str, Any]], failed: int, now: float) -> None:
        """Books the answer of a call: PutRecords' entry of each record, `failed` of them without success."""
        self.outstanding -= 1
        at = 0
        for shard, count in call.segments:
            shard.busy = False
            records, answers = call.records[at : at + count], entries[at : at + count]
            at += count
            refused = []
            if failed:
                refused = [
                    (record, str(answer.get("ErrorCode")))
                    for record, answer in zip(records, answers, strict=True)
                    if "SequenceNumber" not in answer
                ]
                stored = [answer for answer in answers if "SequenceNumber" in answer]
                open_again = {record[0] for record, _ in refused}
                self._watermark.close([record[0] for record in records if record[0] not in open_again])
            else:
                stored = list(answers)
                self._watermark.close([record[0] for record in records])
            if stored:
                self._stored(shard, len(stored), stored[-1], now)
                shard.failures = 0  # pauses grow only while nothing at all gets through
            if refused:
                self._retry(shard, refused, now)

    def fail(self, call: Call, now: float) -> None:
        """Books a call that failed as a whole: nobody knows which of its records were stored."""
        self.outstanding -= 1
        self.counters.failed_calls += 1
        at = 0
        for shard, count in call.segments:
            shard.busy = False
            self._back(shard, call.records[at : at + count])
            self._pause(shard, now)
            at += count

    def remap(self, spans: Sequence[Span], now: float) -> None:
        """Takes over a new shard map. Nothing may be outstanding."""
        if self.outstanding:
            raise ValueError("calls are outstanding")
        records = [record for shard in self._shards for record in shard.queue]
        records.sort(key=_index)
        self._map(spans, now)
        route, shards = self._shard_map.route, self._shards
        for record in records:
            shards[route(record[1])].queue.append(record)
        self.stale = False
        self._fresh_until = now + MAP_FRESH_S

    def wait(self, now: float) -> float | None:
        """Seconds until `take` may have something, None if only an event can change that."""
        waits = [
            max(shard.not_before - now, shard.pace.wait(now, min(len(shard.queue), MAX_CALL_RECORDS)), 0.0005)
            for shard in self._shards
            if shard.queue and not shard.busy
        ]
        return min(waits) if waits and not self.stale else None

    def _map(self, spans: Sequence[Span], now: float) -> None:
        known = {shard.shard_id: shard for shard in self._shards}
        self._shard_map = ShardMap(spans)
        shards = []
        limits_hold = any(shard.pace.limited for shard in known.values())
        for span in self._shard_map.spans:
            shard = Shard(span.shard_id, now)
            if span.shard_id in known:
                old = known[span.shard_id]
                shard.pace, shard.acknowledged = old.pace, old.acknowledged
            elif limits_hold:
                shard.pace.refused(now)
            shards.append(shard)
        self._shards = tuple(shards)

    def _move(self, shard: Shard, records: list[Outgoing], count: int, room: int) -> tuple[int, int]:
        """Moves up to `count` records and `room` bytes from the queue's front. Returns both as moved."""
        budget = min(float(room), shard.pace.byte_allowance())
        queue, moved, size = shard.queue, 0, 0
        while moved < count and queue:
            _, key, data = queue[0]
            # Four bytes a character at most; the exact count would cost an encoding per record.
            cost = len(data) + len(key) * (1 if key.isascii() else 4)
            if size + cost > room or (moved and size + cost > budget):
                break
            records.append(queue.popleft())
            self.queued_bytes -= len(data)
            size += cost
            moved += 1
        return moved, size

    def _stored(self, shard: Shard, count: int, last: Mapping[str, Any], now: float) -> None:
        shard.acknowledged += count
        self.counters.acknowledged += count
        self.last_success = now
        self.marks[last["ShardId"]] = last["SequenceNumber"]
        if last["ShardId"] != shard.shard_id and now >= self._fresh_until:
            self.stale = True

    def _retry(self, shard: Shard, refused: Sequence[tuple[Outgoing, str]], now: float) -> None:
        again = []
        throttled = sum(code == THROTTLED for _, code in refused)
        for record, code in refused:
            if code != THROTTLED:
                attempts = self._attempts[record[0]] = self._attempts.get(record[0], 0) + 1
                if attempts >= MAX_ATTEMPTS:
                    # It stays open in the watermark: the next attempt of the run sends it again.
                    self.counters.given_up.append(record[0])
                    continue
            again.append(record)
        self.counters.throttled += throttled
        self.counters.failed += len(refused) - throttled
        if throttled:
            shard.pace.refused(now)
        self._back(shard, again)
        self._pause(shard, now)

    def _back(self, shard: Shard, records: Sequence[Outgoing]) -> None:
        shard.queue.extendleft(reversed(records))
        self.queued += len(records)
        self.queued_bytes += sum(len(record[2]) for record in records)

    def _pause(self, shard: Shard, now: float) -> None:
        shard.failures += 1
        ceiling = min(0.05 * 2 ** min(shard.failures, 6), 2.0)
        shard.not_before = now + ceiling * (0.5 + 0.5 * self._rng())


def _fullest_first(item: tuple[int, Shard]) -> int:
    return -item[0]


def _index(record: Outgoing) -> int:
    return record[0]
