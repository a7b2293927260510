"""One stream on disk: a SQLite file that holds its document, its shards and its records.

Records are kept in batches, one row for up to BATCH_RECORDS neighbours of one shard, as one JSON text
`[[partition keys], [data]]`: a fifth of the cost of a row per record, for writing and for reading. The row's
key is the counter of its last record, so that one index range finds any position.

Durability: write-ahead log, one transaction per PutRecords call, committed before the answer. What is
committed is in the operating system's page cache and survives a kill -9 of the process; a power failure can
lose the last second, but not tear the file (synchronous=NORMAL). The log is moved into the file by the
housekeeper, never by a writer, whose latency would suffer from the disk's.

The writing connection belongs to whoever holds the stream's lock. Readers take connections from a pool and
never wait for a writer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from txnpipe.local.kinesis import sequence
from txnpipe.local.kinesis.model import ShardDocument, StoredRecord, StreamDocument
from txnpipe.local.service import ServiceError

FILE = "stream.sqlite"
FORMAT = 1
"""`PRAGMA user_version` of the files this code writes."""
BATCH_RECORDS = 100
BATCH_CHARACTERS = 256 * 1024
"""A row holds no more, so that a reader of few records unpacks few others."""

_BUSY_TIMEOUT_S = 30.0
"""How long a connection waits for another's lock, all held for microseconds. Python's five seconds can pass
on a machine that has stopped a thread in between."""
_ROWS_PER_STATEMENT = 100
_POOLED_READERS = 4
_SHRINK_PAGES = 256
"""1 MiB cut off the file in one go, so that a writer does not wait long."""
_KEPT_PAGES = 4096
"""16 MiB of free pages are kept."""
_LONG_LOG_PAGES = 16_384
"""64 MiB of log: the writers did not leave the housekeeper a gap, so it asks for one."""

_SCHEMA = """
CREATE TABLE document (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL);
CREATE TABLE shards (shard INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE batches (
    last INTEGER PRIMARY KEY,  -- counter of the last record; the first is last - count + 1
    shard INTEGER NOT NULL,
    count INTEGER NOT NULL,
    arrived REAL NOT NULL,     -- epoch seconds, of every record in the batch
    peak REAL NOT NULL,        -- latest arrival in the shard so far: ascending even when the clock steps back
    body TEXT NOT NULL
);
CREATE INDEX batches_by_shard ON batches (shard);
CREATE INDEX batches_by_peak ON batches (shard, peak);
"""


class Batch(NamedTuple):
    """A row of `batches`."""

    last: int
    shard: int
    size: int
    arrived: float
    peak: float
    body: str


class Reading(NamedTuple):
    """Records in order, and where reading them ended: the counter of the last one."""

    records: list[StoredRecord]
    position: int
    size: int
    """Bytes of data, decoded."""


@contextmanager
def _reported(action: str) -> Iterator[None]:
    """A file that cannot be used (disk full, medium gone) is the service's internal failure."""
    try:
        yield
    except sqlite3.Error as error:
        raise ServiceError(
            "InternalFailure", f"Could not {action} the stream's file: {error}.", 500
        ) from error


def pack(keys: Sequence[str], data: Sequence[str]) -> list[tuple[int, str]]:
    """(count, body) of the batches that hold these records of one shard, in order."""
    if len(keys) <= BATCH_RECORDS and sum(map(len, data)) <= BATCH_CHARACTERS:
        return [(len(keys), orjson.dumps([keys, data]).decode())]
    batches = []
    start = size = 0
    for index, text in enumerate(data):
        if index > start and (index - start == BATCH_RECORDS or size + len(text) > BATCH_CHARACTERS):
            batches.append((start, index))
            start, size = index, 0
        size += len(text)
    batches.append((start, len(keys)))
    return [
        (end - begin, orjson.dumps([keys[begin:end], data[begin:end]]).decode()) for begin, end in batches
    ]


class Store:
    """The file of one stream."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / FILE
        self._writer = self._connect()
        self._readers: list[sqlite3.Connection] = []
        self._logged_changes = -1
        """Rows changed by the writing connection when `lengthen_log` was last asked."""
        self._pool = threading.Lock()
        self._closed = False

    @classmethod
    def create(cls, directory: Path, document: StreamDocument) -> Store:
        """Makes the file of a new stream in `directory`, which appears only once the file is whole."""
        building = directory.with_name(f".new-{directory.name}")
        with _reported("create"):
            building.mkdir(mode=0o700)
            # SQLite gives its log files the mode of the file, so this is the one place that sets it.
            os.close(os.open(building / FILE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(building / FILE, isolation_level=None)) as connection:
                # So that the file can shrink; it counts only before the first table.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
                connection.execute("INSERT INTO document VALUES (1, ?)", [_text(document)])
            building.rename(directory)
            return cls(directory)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_ROWS_PER_STATEMENT + 28,
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {8 << 20}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != FORMAT:
            connection.close()
            raise sqlite3.DatabaseError(f"{self._file} has format {version}, this version reads {FORMAT}")
        return connection

    def close(self) -> None:
        """Closes the file. Readers at work finish; later calls raise ServiceUnavailable."""
        with self._pool:
            self._closed = True
            readers, self._readers = self._readers, []
        for connection in [*readers, self._writer]:
            connection.close()

    # -- what the holder of the stream's lock does ---------------------------------------------------------

    def document(self) -> StreamDocument:
        """The saved document."""
        (body,) = self._writer.execute("SELECT body FROM document").fetchone()
        return msgspec.json.decode(body, type=StreamDocument)

    def shards(self) -> list[ShardDocument]:
        """All shards that have not expired, by index."""
        rows = self._writer.execute("SELECT body FROM shards ORDER BY shard").fetchall()
        return [msgspec.json.decode(body, type=ShardDocument) for (body,) in rows]

    def tail(self, shard: int) -> tuple[int, float] | None:
        """(counter, peak) of the newest record of a shard."""
        self._open()
        with _reported("read"):
            row: tuple[int, float] | None = self._writer.execute(
                "SELECT last, peak FROM batches WHERE shard = ? ORDER BY last DESC LIMIT 1", [shard]
            ).fetchone()
        return row

    def save(self, document: StreamDocument, shards: Sequence[ShardDocument] = ()) -> None:
        """Saves the document, and the shards that are new or changed, in one transaction."""
        self._open()
        with self._transaction():
            self._writer.execute("UPDATE document SET body = ?", [_text(document)])
            self._writer.executemany(
                "INSERT OR REPLACE INTO shards VALUES (?, ?)",
                [(shard.index, _text(shard)) for shard in shards],
            )

    def append(self, batches: Sequence[Batch]) -> None:
        """Commits batches, all or none.

        One statement is one transaction and one release of the interpreter lock; each further one could cost
        a writer a scheduling interval while it holds the stream's lock.
        """
        self._open()
        if len(batches) <= _ROWS_PER_STATEMENT:
            with _reported("write"):
                self._insert(batches)
            return
        with self._transaction():
            for start in range(0, len(batches), _ROWS_PER_STATEMENT):
                self._insert(batches[start : start + _ROWS_PER_STATEMENT])

    def _insert(self, batches: Sequence[Batch]) -> None:
        # The text holds question marks only.
        rows = ",".join(["(?,?,?,?,?,?)"] * len(batches))
        values = [value for batch in batches for value in batch]
        self._writer.execute(f"INSERT INTO batches VALUES {rows}", values)  # noqa: S608

    def trim(self, shard: int, before: float, limit: int) -> list[int]:
        """Removes up to `limit` batches that arrived before `before` (epoch seconds); their last counters."""
        self._open()
        with _reported("trim"):
            rows = self._writer.execute(
                "DELETE FROM batches WHERE last IN"
                " (SELECT last FROM batches WHERE shard = ? AND peak < ? ORDER BY peak LIMIT ?)"
                " RETURNING last",
                [shard, before, limit],
            ).fetchall()
            return [last for (last,) in rows]

    def give_back(self, pages: int = _SHRINK_PAGES, least: int = _KEPT_PAGES) -> bool:
        """Cuts up to `pages` free pages off the file; whether more than enough are left.

        Enough are half of the file, or `least`: records to come need them again. The file itself shrinks
        with the next checkpoint; one of an earlier version of this code never does.
        """
        self._open()
        with _reported("shrink"):
            if not self._too_many_free(least):
                return False
            self._writer.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
            return self._too_many_free(least)

    def _too_many_free(self, least: int) -> bool:
        (can_shrink,) = self._writer.execute("PRAGMA auto_vacuum").fetchone()
        (free,) = self._writer.execute("PRAGMA freelist_count").fetchone()
        (all_pages,) = self._writer.execute("PRAGMA page_count").fetchone()
        return bool(can_shrink) and free > least and free * 2 > all_pages

    def forget_shard(self, shard: int) -> None:
        """Removes an expired shard, which has no records left."""
        self._open()
        with _reported("trim"):
            self._writer.execute("DELETE FROM shards WHERE shard = ?", [shard])

    def lengthen_log(self) -> bool:
        """Adds a page to the log, to be called before `checkpoint`. False: nothing is new, there is no need.

        A checkpoint that begins just when a writer begins a wholly moved log anew can take what is new for
        moved, and lose it, up to SQLite 3.51.2 (sqlite.org/wal.html, "The WAL-Reset Bug"). Nobody begins a
        log anew that has a page that is not moved.
        """
        self._open()
        if self._writer.total_changes == self._logged_changes:
            return False
        self._logged_changes = self._writer.total_changes
        with _reported("write"):
            self._writer.execute(f"PRAGMA user_version = {FORMAT}")
        return True

    def restart_log(self) -> None:
        """Moves the whole log into the file, so that the next writer begins it anew."""
        self._open()
        with _reported("checkpoint"):
            self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _reported("write"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk may have rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    def _open(self) -> None:
        if self._closed:
            raise ServiceError("ServiceUnavailable", "The stream is being closed.", 503)

    # -- what any thread may do ----------------------------------------------------------------------------

    def read(self, shard: int, after: int, limit: int, max_bytes: int) -> Reading:
        """Up to `limit` records, and up to `max_bytes` of data, with counters above `after`; at least one."""
        records: list[StoredRecord] = []
        position, size = after, 0
        with self._reader() as connection, _reported("read"):
            rows = connection.execute(
                "SELECT last, count, arrived, body FROM batches WHERE shard = ? AND last > ? ORDER BY last",
                [shard, after],
            )
            try:
                for last, count, arrived, body in rows:
                    keys, data = orjson.loads(body)
                    counter = last - count
                    number = sequence.encode(shard, counter)
                    for key, text in zip(keys, data, strict=True):
                        counter += 1
                        number += sequence.STEP
                        if counter <= after:
                            continue
                        weight = len(text) * 3 // 4
                        if records and size + weight > max_bytes:
                            return Reading(records, position, size)
                        size += weight
                        records.append(StoredRecord(str(number), key, text, arrived))
                        position = counter
                        if len(records) >= limit:
                            return Reading(records, position, size)
            finally:
                rows.close()  # ends the read transaction, so that the log can be restarted
        return Reading(records, position, size)

    def before_first_since(self, shard: int, timestamp: float) -> int | None:
        """The counter before the first record that arrived at `timestamp` or later; None: no such record."""
        with self._reader() as connection, _reported("read"):
            row = connection.execute(
                "SELECT last - count FROM batches WHERE shard = ? AND peak >= ? ORDER BY peak, last LIMIT 1",
                [shard, timestamp],
            ).fetchone()
        return None if row is None else int(row[0])

    def checkpoint(self) -> bool:
        """Moves the log into the file beside the writers. False: it is long and needs `restart_log`."""
        with self._reader() as connection, _reported("checkpoint"):
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages) < _LONG_LOG_PAGES

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        with self._pool:
            self._open()
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            with _reported("open"):
                connection = self._connect()
        try:
            yield connection
        finally:
            with self._pool:
                keep = not self._closed and len(self._readers) < _POOLED_READERS
                if keep:
                    self._readers.append(connection)
            if not keep:
                connection.close()


def _text(document: StreamDocument | ShardDocument) -> str:
    return msgspec.json.encode(document).decode()
