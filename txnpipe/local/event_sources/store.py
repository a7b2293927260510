"""Mappings and checkpoints on disk: one SQLite file, every change committed before it counts.

A killed process loses nothing that was committed (write-ahead log). After a power cut the newest checkpoints
can be missing, which repeats records; at least once is what a mapping promises.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from txnpipe.local.event_sources.mapping import Mapping

_SCHEMA = """
CREATE TABLE IF NOT EXISTS mapping (uuid TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard (
    mapping TEXT NOT NULL, shard TEXT NOT NULL,
    first_sequence TEXT NOT NULL, start_after TEXT, finished INTEGER NOT NULL,
    PRIMARY KEY (mapping, shard)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lane (
    mapping TEXT NOT NULL, shard TEXT NOT NULL, lanes INTEGER NOT NULL, lane INTEGER NOT NULL,
    position TEXT NOT NULL,
    PRIMARY KEY (mapping, shard, lanes, lane)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class ShardRow:
    """A shard that a mapping knows.

    first_sequence: the shard's first sequence number, which tells a stream from one made later under its
    name. start_after: where to begin (None: TRIM_HORIZON). finished: closed, and delivered to the end.
    """

    shard_id: str
    first_sequence: str
    start_after: str | None
    finished: bool = False


class Store:
    """Thread-safe. Methods raise sqlite3.Error when the disk refuses."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Further calls raise sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _write(self, *statements: tuple[str, Sequence[Any]]) -> None:
        """All in one transaction."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements:
                    self._connection.execute(sql, values)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def mappings(self) -> list[Mapping]:
        """Every mapping, oldest first."""
        rows = self._rows("SELECT document FROM mapping")
        found = [msgspec.json.decode(document, type=Mapping) for (document,) in rows]
        return sorted(found, key=lambda mapping: (mapping.created_at, mapping.uuid))

    def save(self, mapping: Mapping, shards: Sequence[ShardRow] = ()) -> None:
        """Saves a mapping, and with it where its shards begin."""
        self._write(
            ("INSERT OR REPLACE INTO mapping VALUES (?, ?)", (mapping.uuid, msgspec.json.encode(mapping))),
            *(_put_shard(mapping.uuid, row) for row in shards),
        )

    def delete(self, uuid: str) -> None:
        """Removes a mapping with its checkpoints."""
        self._write(("DELETE FROM mapping WHERE uuid = ?", (uuid,)), *_forget(uuid))

    def shards(self, uuid: str) -> dict[str, ShardRow]:
        """The shards a mapping knows, by id."""
        rows = self._rows(
            "SELECT shard, first_sequence, start_after, finished FROM shard WHERE mapping = ?", (uuid,)
        )
        return {row[0]: ShardRow(row[0], row[1], row[2], bool(row[3])) for row in rows}

    def put_shard(self, uuid: str, row: ShardRow) -> None:
        """Adds a shard or changes it."""
        self._write(_put_shard(uuid, row))

    def forget_shards(self, uuid: str, shard_ids: Sequence[str] | None = None) -> None:
        """Drops shards with their checkpoints: the given ones, or all."""
        self._write(*_forget(uuid, shard_ids))

    def positions(self, uuid: str, shard_id: str) -> dict[tuple[int, int], str]:
        """Checkpoints of a shard: (number of lanes, lane) → sequence number up to which all is delivered."""
        rows = self._rows(
            "SELECT lanes, lane, position FROM lane WHERE mapping = ? AND shard = ?", (uuid, shard_id)
        )
        return {(lanes, lane): position for lanes, lane, position in rows}

    def set_position(self, uuid: str, shard_id: str, lanes: int, lane: int, position: str) -> None:
        """Moves one lane's checkpoint."""
        self._write(
            ("INSERT OR REPLACE INTO lane VALUES (?, ?, ?, ?, ?)", (uuid, shard_id, lanes, lane, position))
        )

    def relane(self, uuid: str, shard_id: str, lanes: int, position: str | None) -> None:
        """Gives a shard another number of lanes, all at one position (None: where the shard starts)."""
        self._write(
            ("DELETE FROM lane WHERE mapping = ? AND shard = ?", (uuid, shard_id)),
            *(
                ("INSERT INTO lane VALUES (?, ?, ?, ?, ?)", (uuid, shard_id, lanes, lane, position))
                for lane in range(lanes)
                if position is not None
            ),
        )


def _put_shard(uuid: str, row: ShardRow) -> tuple[str, Sequence[Any]]:
    return (
        "INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?, ?)",
        (uuid, row.shard_id, row.first_sequence, row.start_after, int(row.finished)),
    )


def _forget(uuid: str, shard_ids: Sequence[str] | None = None) -> list[tuple[str, Sequence[Any]]]:
    if shard_ids is None:
        return [(f"DELETE FROM {table} WHERE mapping = ?", (uuid,)) for table in ("shard", "lane")]  # noqa: S608
    return [
        (f"DELETE FROM {table} WHERE mapping = ? AND shard = ?", (uuid, shard_id))  # noqa: S608
        for table in ("shard", "lane")
        for shard_id in shard_ids
    ]
