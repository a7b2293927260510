"""The records of one shard that wait to be sent, in one of two orders.

`Fifo` keeps the order of arrival and lets a call carry a key more than once. `ByKey` gives out a key again
only once its last record is stored.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

Outgoing = tuple[int, str, bytes]
"""Index, partition key, payload."""


class Taken(NamedTuple):
    """Records that leave a queue. payload: bytes of data; size: partition keys included."""

    records: list[Outgoing]
    payload: int
    size: int


class Queue(Protocol):
    """What the dispatcher needs. Records are appended in ascending order of their index."""

    def __len__(self) -> int:
        """How many wait."""
        ...

    @property
    def ready(self) -> int:
        """How many of them a call could carry now, were it large enough."""
        ...

    def append(self, record: Outgoing) -> None:
        """A new record, at the end."""
        ...

    def take(self, count: int, room: float, budget: float) -> Taken:
        """Up to `count` records and `room` bytes; beyond `budget` bytes only a first record goes."""
        ...

    def stored(self, records: Sequence[Outgoing]) -> None:
        """These were taken and are stored."""
        ...

    def back(self, records: Sequence[Outgoing]) -> None:
        """These were taken and are not stored: they go first again, in this order."""
        ...

    def drop(self, key: str) -> list[Outgoing]:
        """Forgets a key, one of whose records was taken and will not come back; returns what waited."""
        ...

    def lowest(self) -> int | None:
        """The lowest index that waits."""
        ...

    def __iter__(self) -> Iterator[Outgoing]:
        """Everything that waits, in no certain order. Nothing may be taken meanwhile."""
        ...


class Fifo:
    """First in, first out."""

    def __init__(self) -> None:
        self._records: deque[Outgoing] = deque()
        self.append = self._records.append

    def __len__(self) -> int:
        return len(self._records)

    @property
    def ready(self) -> int:
        """All of them."""
        return len(self._records)

    def take(self, count: int, room: float, budget: float) -> Taken:
        """From the front, as far as they fit."""
        queue = self._records
        popleft = queue.popleft
        taken = measured([popleft() for _ in range(min(count, len(queue)))])
        if taken.size > room or taken.size > budget:
            fitting = _fitting(taken.records, room, budget)
            self.back(taken.records[fitting:])
            taken = measured(taken.records[:fitting])
        return taken

    def stored(self, records: Sequence[Outgoing]) -> None:
        """Nothing waits for them."""

    def back(self, records: Sequence[Outgoing]) -> None:
        """To the front."""
        self._records.extendleft(reversed(records))

    def drop(self, key: str) -> list[Outgoing]:
        """Nothing: records of a key do not wait for each other."""
        del key
        return []

    def lowest(self) -> int | None:
        """The front: what comes back has lower indexes than what it overtakes."""
        return self._records[0][0] if self._records else None

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(self._records)


class ByKey:
    """At most one record of a key is out. A key whose record came back goes before all others."""

    def __init__(self) -> None:
        self._next: OrderedDict[str, Outgoing] = OrderedDict()
        self._behind: dict[str, deque[Outgoing]] = {}
        self._out: set[str] = set()
        self._waiting_behind = 0

    def __len__(self) -> int:
        return len(self._next) + self._waiting_behind

    @property
    def ready(self) -> int:
        """As many as there are keys with nothing out."""
        return len(self._next)

    def append(self, record: Outgoing) -> None:
        """Behind the others of its key."""
        key = record[1]
        if key in self._next or key in self._out:
            self._behind.setdefault(key, deque()).append(record)
            self._waiting_behind += 1
        else:
            self._next[key] = record

    def take(self, count: int, room: float, budget: float) -> Taken:
        """One record a key."""
        taken = measured([self._next.popitem(last=False)[1] for _ in range(min(count, len(self._next)))])
        if taken.size > room or taken.size > budget:
            fitting = _fitting(taken.records, room, budget)
            self._first(taken.records[fitting:])
            taken = measured(taken.records[:fitting])
        self._out.update(record[1] for record in taken.records)
        return taken

    def stored(self, records: Sequence[Outgoing]) -> None:
        """The next record of each key may go."""
        for _, key, _ in records:
            self._out.remove(key)
            behind = self._behind.get(key)
            if behind:
                self._next[key] = behind.popleft()
                self._waiting_behind -= 1
                if not behind:
                    del self._behind[key]

    def back(self, records: Sequence[Outgoing]) -> None:
        """Each is its key's next again."""
        self._out.difference_update(record[1] for record in records)
        self._first(records)

    def drop(self, key: str) -> list[Outgoing]:
        """What waits behind the record that is out."""
        self._out.remove(key)
        dropped = list(self._behind.pop(key, ()))
        self._waiting_behind -= len(dropped)
        return dropped

    def lowest(self) -> int | None:
        """The lowest of the keys' next: what is behind came later than what is next or out."""
        return min((record[0] for record in self._next.values()), default=None)

    def __iter__(self) -> Iterator[Outgoing]:
        yield from self._next.values()
        for behind in self._behind.values():
            yield from behind

    def _first(self, records: Sequence[Outgoing]) -> None:
        for record in reversed(records):
            self._next[record[1]] = record
            self._next.move_to_end(record[1], last=False)


def measured(records: list[Outgoing]) -> Taken:
    """Records with their sizes in bytes."""
    payload = sum([len(data) for _, _, data in records])
    keys = "".join([key for _, key, _ in records])
    return Taken(records, payload, payload + (len(keys) if keys.isascii() else len(keys.encode())))


def _fitting(records: Sequence[Outgoing], room: float, budget: float) -> int:
    """How many records from the front stay within `room`, and within `budget` but for the first."""
    size = 0
    for position, (_, key, data) in enumerate(records):
        size += len(data) + len(key.encode())
        if size > room or (position and size > budget):
            return position
    return len(records)
