"""Takes a batch through decoding and storing, and tries again where that helps.

| error | what happens |
| --- | --- |
| serialization failure (40001; Redshift's 1023), deadlock (40P01) | again after a random pause, 6 attempts |
| connection lost, before or during the batch | again at once on a new connection, twice |
| password refused | the secret is read anew, once (`connection`) |
| anything else, or no time left | raised: the event source mapping retries the batch |

Trying again is always safe, even where a lost connection leaves open whether the commit took place: the next
attempt asks what is stored.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2
import psycopg2.errors

from txnpipe.functions.loader.connection import WarmConnection
from txnpipe.functions.loader.decode import ALERTS, TRANSACTIONS, Table, decode
from txnpipe.functions.loader.store import Stored, store
from txnpipe.functions.records import Batch

MAX_CONFLICTS = 5
MAX_RECONNECTS = 2
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
_CONFLICTS = (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected)
RESERVE_MS = 500
"""Kept of the invocation's time for everything but statements."""


@dataclass(frozen=True)
class Outcome:
    """A loaded batch and how often it was tried."""

    stored: Stored
    attempts: int


def utc_now() -> datetime:
    """The clock of `stored_at`: UTC without a zone, to the microsecond."""
    return datetime.now(UTC).replace(tzinfo=None)


class Loader:
    """Loads batches over one warm connection."""

    def __init__(
        self,
        warehouse: WarmConnection,
        alert_stream_arn: str,
        window: timedelta,
        *,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._warehouse = warehouse
        self._alert_stream_arn = alert_stream_arn
        self._window = window
        self._now = now
        self._sleep = sleep
        self._jitter = jitter

    def load(self, batch: Batch, remaining_ms: Callable[[], int]) -> Outcome:
        """Stores a batch. `remaining_ms` is the invocation's time left. Raises psycopg2.Error."""
        table = self._table(batch.stream_arn)
        rows, rejects = decode(table, batch.records)
        conflicts = reconnects = 0
        while True:
            connected = False
            try:
                connection = self._warehouse.get((remaining_ms() - RESERVE_MS) / 1000)
                connected = True
                stored = store(
                    connection,
                    table,
                    batch.stream,
                    rows,
                    rejects,
                    window=self._window,
                    statement_timeout_ms=lambda: statement_timeout_ms(remaining_ms()),
                    now=self._now,
                )
                return Outcome(stored, 1 + conflicts + reconnects)
            except psycopg2.Error as error:
                lost = connected and not self._warehouse.recover()
                pause = 0.0
                if lost and reconnects < MAX_RECONNECTS:
                    reconnects += 1
                elif is_conflict(error) and conflicts < MAX_CONFLICTS:
                    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**conflicts) * self._jitter()
                    conflicts += 1
                else:
                    raise
                if remaining_ms() < RESERVE_MS * 2 + pause * 1000:
                    raise
                self._sleep(pause)

    def _table(self, stream_arn: str) -> Table:
        return ALERTS if stream_arn == self._alert_stream_arn else TRANSACTIONS


def is_conflict(error: psycopg2.Error) -> bool:
    """Whether another transaction was in the way, so that trying again may succeed.

    Redshift says "ERROR: 1023 DETAIL: Serializable isolation violation on table ...", under another code.
    """
    text = str(error)
    return isinstance(error, _CONFLICTS) or ("1023" in text and "isolation violation" in text)


def statement_timeout_ms(remaining_ms: int) -> int:
    """What one statement may take: half of the time left, since each message holds two that can take long."""
    return max(1, (remaining_ms - RESERVE_MS) // 2)
