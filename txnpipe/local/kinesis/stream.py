"""One stream at work: put, read, wait, reshard, trim.

Locks. `_lock` serializes what changes the stream: the counter, the file's writing connection, the shard set.
A put holds it for one insert; hashing, encoding and answering happen outside. Readers do not take it: they
see the shard set through `_routing` and `_shards`, which are replaced, never changed, and the records through
their own connections. Waiters sleep on their shard's condition, so that a record wakes only who waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from txnpipe.local.kinesis import sequence
from txnpipe.local.kinesis.limits import KinesisSettings, ShardLimits
from txnpipe.local.kinesis.model import Change, ShardDocument, StoredRecord, StreamDocument
from txnpipe.local.kinesis.reshard import Reshard
from txnpipe.local.kinesis.shard import Routing, Shard, admitted
from txnpipe.local.kinesis.store import Batch, Store, pack
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_RESERVE = 1 << 20
"""Counters reserved at once: one save of the document per million records."""
_TRIM_BATCHES = 50
"""Batches removed in one go, so that a writer waits for no long delete."""


class Written(NamedTuple):
    """Records of one put that went to one shard: counters from `first` on, in order of `positions`."""

    shard: Shard
    first: int
    positions: list[int]


class PutOutcome(NamedTuple):
    """What became of the records of one put. `refused`: (position, shard) of those beyond the limits."""

    written: list[Written]
    refused: list[tuple[int, Shard]]


class Page(NamedTuple):
    """What reading a shard gave. `position`: the counter to continue after; `size` in bytes."""

    records: list[StoredRecord]
    position: int
    size: int
    end_of_shard: bool
    millis_behind_latest: int


class Stream:
    """A stream. Made from its file; `document` is the current state, replaced with every change."""

    def __init__(
        self,
        store: Store,
        *,
        enforce_limits: bool,
        settings: KinesisSettings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        wake_housekeeper: Callable[[], None],
    ) -> None:
        self._store = store
        self._enforce_limits = enforce_limits
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._wake_housekeeper = wake_housekeeper
        self._lock = threading.RLock()
        self.document = store.document()
        self._counter = self.document.counter_reserved
        self._shards: dict[int, Shard] = {}
        self._routing = Routing([])
        self._version = 0
        """Grows with every change of the shard set."""
        self.unsaved_bytes = 0
        """Written since the log was last moved into the file."""
        self.gone = False
        """Whether the stream has been deleted."""
        self._closed = False
        # What a killed process left half done is finished at once: its time has passed.
        now = monotonic()
        self._due = now if self.document.change else None
        self._consumers_due = now if any(c.status != "ACTIVE" for c in self.document.consumers) else None
        self._install(store.shards(), tails=True)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.document.name

    # -- records -------------------------------------------------------------------------------------------

    def put(
        self, keys: Sequence[str], data: Sequence[str], sizes: Sequence[int], explicit: Mapping[int, int]
    ) -> PutOutcome:
        """Stores records and returns once they are on disk.

        data: base64 text; sizes: bytes of data and key, counted against the shard's limits; explicit: the
        ExplicitHashKey of the records (by position) that have one. Order is kept within a shard.
        """
        while True:
            routing = self._routing
            groups = routing.groups(keys, explicit)
            refused: list[tuple[int, Shard]] = []
            if self._enforce_limits:
                groups = [(shard, admitted(shard, positions, sizes, refused)) for shard, positions in groups]
            packed = [
                (shard, positions, pack([keys[p] for p in positions], [data[p] for p in positions]))
                for shard, positions in groups
                if positions
            ]
            with self._lock:
                self.require_usable()
                if routing is not self._routing:
                    continue  # a reshard came between: these shards are closed
                written = self._append(packed) if packed else []
            for shard, _, _ in packed:
                shard.wake()
            return PutOutcome(written, refused)

    def _append(self, packed: Sequence[tuple[Shard, list[int], list[tuple[int, str]]]]) -> list[Written]:
        arrived = round(self._clock(), 3)
        rows, written = [], []
        counter = self._counter
        for shard, positions, batches in packed:
            written.append(Written(shard, counter + 1, positions))
            peak = max(shard.peak, arrived)
            for count, body in batches:
                counter += count
                rows.append(Batch(counter, shard.index, count, arrived, peak, body))
                self.unsaved_bytes += len(body)
        # Taken even if the insert fails: a number given out twice would be worse than a gap.
        self._take(counter - self._counter)
        self._store.append(rows)
        for row in rows:
            shard = self._shards[row.shard]
            shard.last, shard.peak = row.last, row.peak
        if self.unsaved_bytes > self._settings.checkpoint_bytes:
            self._wake_housekeeper()
        return written

    def _take(self, count: int) -> int:
        """Takes `count` counters; the last of them."""
        counter = self._counter + count
        if counter >= self.document.counter_reserved:
            self._save(replace(self.document, counter_reserved=counter + _RESERVE))
        self._counter = counter
        return counter

    def read(self, shard: Shard, after: int, limit: int, max_bytes: int) -> Page:
        """Records with counters above `after`. max_bytes counts decoded data; at least one record is read."""
        closed, last = not shard.open, shard.last  # in this order: once closed, `last` is final
        after = max(after, shard.trimmed)
        if after >= last:
            return Page([], after, 0, closed, 0)
        reading = self._store.read(shard.index, after, limit, max_bytes)
        position = reading.position if reading.records else last  # nothing there: trimmed up to here
        behind = 0
        if reading.records and position < shard.last:
            behind = max(0, int((self._clock() - reading.records[-1].arrived_at) * 1000))
        return Page(reading.records, position, reading.size, closed and position >= last, behind)

    def before_first_since(self, shard: Shard, timestamp: float) -> int:
        """The counter to read after so as to see all records that arrived at `timestamp` (s) or later."""
        last = shard.last
        found = self._store.before_first_since(shard.index, timestamp)
        return last if found is None else found

    def wait(self, shard: Shard, after: int, timeout_s: float) -> bool:
        """Waits until the shard holds something after `after`, or the shard set changes, or the time is up.

        False: the time is up. A closed shard with nothing more to read does not wait.
        """
        version = self._version
        after = max(after, shard.trimmed)
        deadline = self._monotonic() + timeout_s
        with shard.changed:
            while shard.last <= after and shard.open and self._version == version and not self._closed:
                remaining = deadline - self._monotonic()
                if remaining <= 0 or not shard.changed.wait(remaining):
                    return shard.last > after or self._version != version
        return True

    # -- shards --------------------------------------------------------------------------------------------

    @property
    def shards(self) -> list[Shard]:
        """All shards that have not expired, by index."""
        return list(self._shards.values())

    @property
    def open_shards(self) -> list[Shard]:
        """The open shards, in order of their hash keys."""
        return self._routing.shards

    def shard(self, shard_id: str) -> Shard:
        """The shard of that id; ResourceNotFoundException."""
        index = sequence.shard_index(shard_id)
        shard = self._shards.get(index) if index is not None else None
        if shard is None:
            raise ServiceError(
                "ResourceNotFoundException",
                f"Could not find shard {shard_id} in stream {self.name} under account {ACCOUNT}.",
            )
        return shard

    def children(self, shard: Shard) -> list[Shard]:
        """The shards that continue a closed shard."""
        return [other for other in self.shards if shard.index in other.document.parents]

    # -- settings and state --------------------------------------------------------------------------------

    def require_usable(self) -> None:
        """ResourceNotFoundException unless records can be written and read."""
        if self.gone or self.document.status in ("CREATING", "DELETING"):
            raise not_found(self.name)

    def require_active(self) -> None:
        """ResourceInUseException unless the stream is ACTIVE."""
        if self.gone:
            raise not_found(self.name)
        if self.document.status != "ACTIVE":
            raise ServiceError(
                "ResourceInUseException",
                f"Stream {self.name} under account {ACCOUNT} not ACTIVE, instead in state"
                f" {self.document.status}",
            )

    def update(self, change: Callable[[StreamDocument], StreamDocument]) -> None:
        """Applies `change` to the document and saves it. `change` may raise to leave all as it is."""
        with self._lock:
            if self.gone:
                raise not_found(self.name)
            document = change(self.document)
            began = document.change is not None and document.change is not self.document.change
            consumers = document.consumers != self.document.consumers
            self._save(document)
            now = self._monotonic()
            if began:
                self._due = now + self._duration(document.change)
            if consumers and any(consumer.status != "ACTIVE" for consumer in document.consumers):
                self._consumers_due = now + self._settings.update_s
        if began or consumers:
            self._wake_housekeeper()

    def schedule(self) -> None:
        """Starts the time of a stream just made."""
        self._due = self._monotonic() + self._duration(self.document.change)

    @property
    def planned_shard_count(self) -> int:
        """Open shards, or those there will be once the change under way is complete, whichever is more."""
        change = self.document.change
        planned = change.target if change and change.kind in ("create", "scale") else 0
        if change and change.kind == "split":
            planned = len(self.open_shards) + 1
        return max(len(self.open_shards), planned)

    def _duration(self, change: Change | None) -> float:
        kind = change.kind if change else "settle"
        return {"create": self._settings.create_s, "delete": self._settings.delete_s}.get(
            kind, self._settings.update_s
        )

    def settle(self) -> float | None:
        """Completes what is due; seconds until the next thing is, None: nothing is under way."""
        with self._lock:
            now = self._monotonic()
            if self._consumers_due is not None and self._consumers_due <= now:
                self._settle_consumers()
            if self._due is not None and self._due <= now:
                self._complete()
            pending = [due - now for due in (self._due, self._consumers_due) if due is not None]
        return max(0.0, min(pending)) if pending else None

    def _settle_consumers(self) -> None:
        remaining = tuple(
            replace(consumer, status="ACTIVE")
            for consumer in self.document.consumers
            if consumer.status != "DELETING"
        )
        arns = {consumer.arn for consumer in remaining} | {self.document.arn}
        policies = {arn: policy for arn, policy in self.document.policies.items() if arn in arns}
        self._save(replace(self.document, consumers=remaining, policies=policies))
        self._consumers_due = None

    def _complete(self) -> None:
        change = self.document.change
        if change is None:
            self._due = None
            return
        if change.kind == "delete":
            self._due = None
            self.gone = True
            self._changed_shards([])
            return
        reshard = Reshard(
            [shard.document for shard in self.open_shards],
            next_index=self.document.next_shard,
            counter=self._counter,
            now=round(self._clock(), 3),
        )
        reshard.apply(change)
        self._take(reshard.counter - self._counter)
        document = replace(self.document, status="ACTIVE", change=None, next_shard=reshard.next_index)
        self._store.save(document, reshard.changed)
        self._due = None  # not before it is saved: what fails on a full disk is tried again
        if reshard.changed:
            self._install(reshard.changed)
        self.document = document  # last: whoever sees ACTIVE, without the lock, has the shards to go with it

    def _save(self, document: StreamDocument, shards: Sequence[ShardDocument] = ()) -> None:
        self._store.save(document, shards)
        self.document = document

    def _install(self, documents: Sequence[ShardDocument], *, tails: bool = False) -> None:
        """Takes new and changed shards into memory. tails: looks for their records too (after a restart)."""
        shards = dict(self._shards)
        for document in documents:
            known = shards.get(document.index)
            if known:
                known.document = document
            else:
                limits = ShardLimits(self._monotonic) if self._enforce_limits else None
                tail = self._store.tail(document.index) if tails else None
                shards[document.index] = Shard(document, limits, tail)
        self._changed_shards(list(shards.values()))

    def _changed_shards(self, shards: list[Shard]) -> None:
        everyone = list(self._shards.values())
        self._shards = {shard.index: shard for shard in sorted(shards, key=lambda shard: shard.index)}
        self._routing = Routing([shard for shard in shards if shard.open])
        self._version += 1
        for shard in everyone:
            shard.wake()

    # -- housekeeping --------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Removes records beyond the retention period, and closed shards that hold nothing any more."""
        horizon = self._clock() - self.document.retention_hours * 3600
        for shard in self.shards:
            while self._trim_some(shard, horizon) == _TRIM_BATCHES:
                pass
        with self._lock:
            expired = [
                shard
                for shard in self.shards
                if shard.document.closed_at is not None
                and shard.document.closed_at < horizon
                and self._store.tail(shard.index) is None
            ]
            for shard in expired:
                self._store.forget_shard(shard.index)
            if expired:
                self._changed_shards([shard for shard in self.shards if shard not in expired])

    def _trim_some(self, shard: Shard, horizon: float) -> int:
        with self._lock:
            removed = self._store.trim(shard.index, horizon, _TRIM_BATCHES)
            shard.trimmed = max([shard.trimmed, *removed])
            return len(removed)

    def shrink(self) -> None:
        """Gives back the space that trimming freed where that is most of the file, a little at a time."""
        more = True
        while more:
            with self._lock:
                more = self._store.give_back()

    def checkpoint(self) -> None:
        """Moves the write-ahead log into the database file. One thread at a time may do so."""
        with self._lock:
            self.unsaved_bytes = 0
            if not self._store.lengthen_log():
                return
        if not self._store.checkpoint():
            with self._lock:
                self._store.restart_log()

    def close(self) -> None:
        """Closes the file and wakes every waiter; the state stays on disk."""
        with self._lock:
            self._closed = True
            self._store.close()
        for shard in self.shards:
            shard.wake()


def not_found(name: str) -> ServiceError:
    """The error for a stream that does not exist, or not yet, or no more."""
    return ServiceError("ResourceNotFoundException", f"Stream {name} under account {ACCOUNT} not found.")
