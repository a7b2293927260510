"""Decides what the next PutRecords call carries. Pure bookkeeping: no threads, no clock, no network.

Every shard has a queue, and at most one call with records of a shard is outstanding. What a call failed to
store goes back to the front of its queue, so that no later record of the shard, hence none of the same
partition key, overtakes it. A call takes from every shard that is free, the fullest first: at full load calls
are filled by one shard each and run in parallel, at a low rate one call carries the records of many.

Within one call PutRecords itself promises no order. `ordered` therefore lets a call carry a partition key
once: then the records of a key are stored in their order, whatever fails. It costs calls where few keys have
many records: a key moves at one record per round trip.

What happens to a record, by the error code of its entry:
    none                                        acknowledged
    ProvisionedThroughputExceededException      back to the queue; the shard's pace falls
    anything else (InternalFailure, ...)        back to the queue; the shard pauses, longer each time;
                                                given up after MAX_ATTEMPTS, with `ordered` together with all
                                                later records of its key
A call that fails as a whole puts all its records back: nobody knows which of them were stored.

After a reshard the answers name shards that the map does not know. Then nothing new is sent until the
outstanding calls are back, and the queued records are routed again, in their order.

How much waits: every shard that gets records is to have SHARD_BACKLOG of them ready. A hot shard may run
ahead of that as far as the others need it, up to BACKLOG_BYTES in all; from there on it is the hot shard that
the others wait for.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from txnpipe.traffic.manifest import Span
from txnpipe.traffic.pacing import ShardPace
from txnpipe.traffic.put_records import Entry
from txnpipe.traffic.queues import ByKey, Fifo, Queue
from txnpipe.traffic.queues import Outgoing as Outgoing
from txnpipe.traffic.shardmap import ShardMap

MAX_CALL_RECORDS = 500
MAX_CALL_BYTES = 10 * 1024 * 1024
"""PutRecords: 500 records and 10 MiB in all, partition keys included (botocore's service model)."""
MAX_ATTEMPTS = 20
MAP_FRESH_S = 1.0
"""ListShards may still tell the old map for a moment; it is asked at most once in this many seconds."""
THROTTLED = "ProvisionedThroughputExceededException"

SHARD_BACKLOG = 2_000
"""Records that a shard should have ready: two seconds at its limit, four full calls."""
BACKLOG_BYTES = 128 * 1024 * 1024
"""What waiting records may take in memory: about 335,000 of 200 bytes."""
RECORD_OVERHEAD = 200
"""Bytes that Python takes for a waiting record besides its payload: tuple, key, number, headers."""
LOOK_AHEAD = 20_000
"""A shard that got none of so many offered records is not fed any more: few keys do not fill the memory."""
REMEMBERED_KEYS = 100_000


class Shard:
    """The queue and the pace of one open shard."""

    def __init__(self, shard_id: str, now: float, queue: Queue) -> None:
        self.shard_id = shard_id
        self.queue = queue
        self.pace = ShardPace(now)
        self.out = 0
        """Its records in the call that is outstanding."""
        self.not_before = now
        self.failures = 0
        self.gone = 0
        """Records that have left the queue for good."""
        self.fed = True
        """Whether it got some of the last LOOK_AHEAD records."""
        self.received_before = 0


@dataclass(frozen=True, eq=False)
class Call:
    """One PutRecords call: its records, and which of them belong to which shard, in the same order."""

    records: list[Outgoing]
    segments: list[tuple[Shard, list[Outgoing]]]


@dataclass
class Counters:
    """What has happened so far, in records; calls in calls. By shard: under the id that the answer named."""

    attempts: int = 0
    acknowledged: int = 0
    throttled: int = 0
    failed: int = 0
    calls: int = 0
    failed_calls: int = 0
    given_up: list[int] = field(default_factory=list)
    acknowledged_by: Counter[str] = field(default_factory=Counter)
    throttled_by: Counter[str] = field(default_factory=Counter)


class Dispatcher:
    """All queues of one run. Callers hold a lock around it; `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        spans: Sequence[Span],
        now: float,
        start: int = 0,
        rng: Callable[[], float] = random.random,
        *,
        ordered: bool = False,
    ) -> None:
        self.counters = Counters()
        self.queued = 0
        self.queued_bytes = 0
        self.stale = False
        """Whether an answer named an unknown shard: the shard map must be read again."""
        self.marks: dict[str, str] = {}
        """The sequence number of the last acknowledged record, by shard."""
        self.last_success = now
        self._rng = rng
        self._ordered = ordered
        self._make_queue: Callable[[], Queue] = ByKey if ordered else Fifo
        self._attempts: dict[int, int] = {}
        self._held: set[str] = set()
        self._calls: set[Call] = set()
        self._next = start
        self._offered = 0
        self._looked_at = 0
        self._fresh_until = now
        self._appends: dict[str, Callable[[Outgoing], None]] = {}
        self._shards: tuple[Shard, ...] = ()
        self._map(spans, now)

    @property
    def outstanding(self) -> int:
        """How many calls are out."""
        return len(self._calls)

    @property
    def watermark(self) -> int:
        """The lowest index that is not acknowledged. What lies above may be acknowledged, too."""
        lowest = [index for shard in self._shards if (index := shard.queue.lowest()) is not None]
        lowest += [index for call in self._calls for index, _, _ in call.records]
        return min([*lowest, *self.counters.given_up], default=self._next)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing is outstanding."""
        return not self.queued and not self._calls

    def shards(self) -> tuple[Shard, ...]:
        """The shards of the current map."""
        return self._shards

    def wants_more(self) -> bool:
        """Whether more records should be offered: a shard has too few ready, and there is memory for them."""
        if self.queued_bytes + RECORD_OVERHEAD * self.queued >= BACKLOG_BYTES:
            return False
        if self.queued < SHARD_BACKLOG:
            return True
        if self._offered - self._looked_at >= LOOK_AHEAD:
            self._look_who_is_fed()
        return any(shard.fed and shard.queue.ready < SHARD_BACKLOG for shard in self._shards)

    def offer(self, records: Sequence[Outgoing]) -> None:
        """Queues records. Their indexes continue where the last ones ended."""
        if not records:
            return
        known = self._appends.get
        for record in records:
            append = known(record[1]) or self._route(record[1])
            append(record)
        self.queued += len(records)
        self.queued_bytes += sum([len(data) for _, _, data in records])
        self._offered += len(records)
        self._next = records[-1][0] + 1

    def take(self, now: float) -> Call | None:
        """The next call, or None while there is nothing that may go."""
        if self.stale or not self.queued:
            return None
        free: list[tuple[int, int, Shard]] = []
        for shard in self._shards:
            ready = shard.queue.ready
            if ready and not shard.out and shard.not_before <= now:
                allowed = shard.pace.allowance(now, min(ready, MAX_CALL_RECORDS))
                if allowed:
                    free.append((allowed, ready, shard))
        if not free:
            return None
        free.sort(key=_fullest_first)
        segments: list[tuple[Shard, list[Outgoing]]] = []
        count = size = 0
        for allowed, _, shard in free:
            room = min(allowed, MAX_CALL_RECORDS - count)
            taken = shard.queue.take(room, MAX_CALL_BYTES - size, shard.pace.byte_allowance())
            if taken.records:
                shard.out = len(taken.records)
                shard.pace.spend(shard.out, taken.size)
                segments.append((shard, taken.records))
                count += shard.out
                size += taken.size
                self.queued_bytes -= taken.payload
            if count >= MAX_CALL_RECORDS or len(taken.records) < room:
                break
        if not segments:
            return None
        records = segments[0][1]
        if len(segments) > 1:
            records = [record for _, part in segments for record in part]
        call = Call(records, segments)
        self._calls.add(call)
        self.queued -= count
        self.counters.calls += 1
        self.counters.attempts += count
        return call

    def settle(self, call: Call, entries: Sequence[Entry], failed: int, now: float) -> None:
        """Books the answer of a call: PutRecords' entry of each record, `failed` of them without success."""
        self._calls.remove(call)
        at = 0
        for shard, records in call.segments:
            shard.out = 0
            answers = entries[at : at + len(records)]
            at += len(records)
            if not failed:
                self._stored(shard, records, answers, now)
                continue
            stored: list[Outgoing] = []
            refused: list[tuple[Outgoing, str]] = []
            for record, answer in zip(records, answers, strict=True):
                if answer.sequence_number:
                    stored.append(record)
                else:
                    refused.append((record, answer.error_code))
            if stored:
                self._stored(shard, stored, [answer for answer in answers if answer.sequence_number], now)
            if refused:
                self._retry(shard, refused, now)

    def fail(self, call: Call, now: float) -> None:
        """Books a call that failed as a whole: nobody knows which of its records were stored."""
        self._calls.remove(call)
        self.counters.failed_calls += 1
        for shard, records in call.segments:
            shard.out = 0
            self._back(shard, records)
            self._pause(shard, now)

    def remap(self, spans: Sequence[Span], now: float) -> None:
        """Takes over a new shard map. Nothing may be outstanding."""
        if self._calls:
            raise ValueError("calls are outstanding")
        records = [record for shard in self._shards for record in shard.queue]
        records.sort(key=_index)
        self._map(spans, now)
        for record in records:
            self._route(record[1])(record)
        self.stale = False
        self._fresh_until = now + MAP_FRESH_S

    def wait(self, now: float) -> float | None:
        """Seconds until `take` may have something, None if only an event can change that."""
        waits = [
            max(shard.not_before - now, shard.pace.wait(now, min(ready, MAX_CALL_RECORDS)), 0.0005)
            for shard in self._shards
            if not shard.out and (ready := shard.queue.ready)
        ]
        return min(waits) if waits and not self.stale else None

    def _map(self, spans: Sequence[Span], now: float) -> None:
        known = {shard.shard_id: shard for shard in self._shards}
        self._appends.clear()
        self._shard_map = ShardMap(spans)
        shards = []
        limits_hold = any(shard.pace.limited for shard in known.values())
        for span in self._shard_map.spans:
            shard = Shard(span.shard_id, now, self._make_queue())
            if span.shard_id in known:
                shard.pace = known[span.shard_id].pace
            elif limits_hold:
                shard.pace.refused(now)
            shards.append(shard)
        self._shards = tuple(shards)

    def _route(self, key: str) -> Callable[[Outgoing], None]:
        """Where records of a key go; remembered, since accounts come again and a hash costs."""
        append = self._hold
        if key not in self._held:
            append = self._shards[self._shard_map.route(key)].queue.append
        if len(self._appends) >= REMEMBERED_KEYS:
            self._appends.clear()
        self._appends[key] = append
        return append

    def _look_who_is_fed(self) -> None:
        self._looked_at = self._offered
        for shard in self._shards:
            received = shard.gone + shard.out + len(shard.queue)
            shard.fed = received > shard.received_before
            shard.received_before = received

    def _stored(self, shard: Shard, records: list[Outgoing], answers: Sequence[Entry], now: float) -> None:
        shard.queue.stored(records)
        shard.gone += len(records)
        shard.failures = 0  # pauses grow only while nothing at all gets through
        self.counters.acknowledged += len(records)
        self.last_success = now
        last = answers[-1]
        if last.shard_id == shard.shard_id:
            self.counters.acknowledged_by[last.shard_id] += len(records)
            self.marks[last.shard_id] = last.sequence_number
            return
        for answer in answers:
            self.counters.acknowledged_by[answer.shard_id] += 1
            self.marks[answer.shard_id] = answer.sequence_number
        if now >= self._fresh_until:
            self.stale = True

    def _retry(self, shard: Shard, refused: Sequence[tuple[Outgoing, str]], now: float) -> None:
        again = []
        throttled = sum(code == THROTTLED for _, code in refused)
        for record, code in refused:
            if code != THROTTLED:
                attempts = self._attempts[record[0]] = self._attempts.get(record[0], 0) + 1
                if attempts >= MAX_ATTEMPTS:
                    self._give_up(shard, record)
                    continue
            again.append(record)
        self.counters.throttled += throttled
        self.counters.failed += len(refused) - throttled
        if throttled:
            self.counters.throttled_by[shard.shard_id] += throttled
            shard.pace.refused(now)
        self._back(shard, again)
        self._pause(shard, now)

    def _give_up(self, shard: Shard, record: Outgoing) -> None:
        """It stays below the watermark: the next attempt of the run sends it again."""
        dropped = shard.queue.drop(record[1])
        if self._ordered:
            self._held.add(record[1])
            self._appends.pop(record[1], None)
        shard.gone += 1 + len(dropped)
        self.queued -= len(dropped)
        self.queued_bytes -= sum(len(data) for _, _, data in dropped)
        self.counters.given_up += [record[0], *(index for index, _, _ in dropped)]

    def _hold(self, record: Outgoing) -> None:
        """An offered record whose key was given up on."""
        self.counters.given_up.append(record[0])
        self.queued -= 1
        self.queued_bytes -= len(record[2])

    def _back(self, shard: Shard, records: Sequence[Outgoing]) -> None:
        shard.queue.back(records)
        self.queued += len(records)
        self.queued_bytes += sum(len(data) for _, _, data in records)

    def _pause(self, shard: Shard, now: float) -> None:
        shard.failures += 1
        ceiling = min(0.05 * 2 ** min(shard.failures, 6), 2.0)
        shard.not_before = now + ceiling * (0.5 + 0.5 * self._rng())


def _fullest_first(item: tuple[int, int, Shard]) -> int:
    """Where the most waits. Were it who may send the most, a shard still being tried would starve."""
    return -item[1]


def _index(record: Outgoing) -> int:
    return record[0]
