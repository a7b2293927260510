"""Getting one batch through a function: retries, bisecting, partial failures, age, and giving up.

What the rules are (AWS documentation, "Using Lambda with Kinesis", unless said otherwise):

| the invocation | then |
|---|---|
| succeeds | the batch is done |
| reports failed items (ReportBatchItemFailures) | what comes before the lowest one is done, the rest fails |
| has a report of another shape, or with an unknown item | the whole batch fails |
| fails, BisectBatchOnFunctionError, several records | both halves are tried in order; no retry is spent |
| fails otherwise | a retry is spent; without one left the records are discarded |
| does not run (throttled, no such function) | tried again; no retry is spent |

Before every invocation, records older than MaximumRecordAgeInSeconds, and records that the stream itself no
longer keeps, are discarded. Discarded records go to the on-failure destination. Unlike Lambda, which drops
them when the destination refuses, this waits for it. With bisecting, a report of failed items splits the
batch at the lowest one instead of in the middle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import msgspec

from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.events import Record, event_of, too_large
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.service import ServiceError

BASE_PAUSE_S = 0.1
MAX_PAUSE_S = 5.0
"""A pause between tries doubles from BASE_PAUSE_S to this. Lambda's own grows to minutes."""

SHORTEST_RETENTION_S = 24 * 3600
"""No stream drops a record that is younger (Kinesis: 24 hours at least)."""

Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


class Result(Protocol):
    """The end of an invocation, as the Lambda runtime gives it."""

    @property
    def kind(self) -> str: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def request_id(self) -> str: ...

    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class Discard:
    """Records that are given up. result: the last invocation; None: there was none."""

    records: Sequence[Record]
    condition: Condition
    invocations: int
    result: Result | None


class DestinationError(Exception):
    """The on-failure destination did not take the records."""


@dataclass(frozen=True)
class Surroundings:
    """What a delivery needs of the world.

    invoke: runs the function; ServiceError: it did not run. discard: hands records to the on-failure
    destination, raises DestinationError. checkpoint: everything up to this sequence number is done.
    clock: epoch seconds. random: 0..1. pause: waits that many seconds, less if stopped. stopped: whether the
    mapping is being stopped or changed. expired: whether the stream no longer keeps a record.
    """

    invoke: Callable[[bytes], Result]
    discard: Callable[[Discard], None]
    checkpoint: Callable[[str], None]
    clock: Callable[[], float]
    random: Callable[[], float]
    pause: Callable[[float], object]
    stopped: Callable[[], bool]
    expired: Callable[[Record], bool]


@dataclass(frozen=True)
class _Piece:
    """Part of a batch.

    retries: spent so far. invocations: those that contained these records. tries: in a row, for the pause.
    """

    records: Sequence[Record]
    retries: int = 0
    invocations: int = 0
    tries: int = 0
    result: Result | None = field(default=None, repr=False)


def deliver(records: Sequence[Record], mapping: Mapping, tally: Tally, world: Surroundings) -> bool:
    """Delivers a batch, in order. False: stopped before its end; the rest is not checkpointed."""
    return _Delivery(mapping, tally, world).run(records)


def first_failure(payload: bytes, records: Sequence[Record]) -> int | None:
    """Index of the first record that a ReportBatchItemFailures response calls failed; None: none failed.

    0 (the whole batch failed) also for a response of the wrong shape or about an unknown record.
    """
    try:
        response = msgspec.json.decode(payload or b"null")
    except (msgspec.DecodeError, RecursionError):
        return 0
    if response is None:
        return None
    if not isinstance(response, dict):
        return 0
    failures = response.get("batchItemFailures")
    if failures is None or failures == []:
        return None
    if not isinstance(failures, list):
        return 0
    index_of = {record.sequence_number: index for index, record in enumerate(records)}
    lowest = len(records)
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in index_of:
            return 0
        lowest = min(lowest, index_of[identifier])
    return lowest


def pause_s(tries: int, random: float) -> float:
    """How long to wait after that many failed tries in a row: exponential, with up to half of it jitter."""
    return min(MAX_PAUSE_S, BASE_PAUSE_S * 2.0 ** min(tries - 1, 10)) * (0.5 + random / 2)


class _Delivery:
    def __init__(self, mapping: Mapping, tally: Tally, world: Surroundings) -> None:
        self._mapping = mapping
        self._tally = tally
        self._world = world
        self._work: deque[_Piece] = deque()

    def run(self, records: Sequence[Record]) -> bool:
        self._work.append(_Piece(records))
        while self._work:
            if self._world.stopped():
                return False
            piece = self._work.popleft()
            expired = self._expired(piece.records)
            if expired:
                if not self._give_up(replace(piece, records=piece.records[:expired]), "RecordAgeExceeded"):
                    return False
                if expired < len(piece.records):
                    self._work.appendleft(replace(piece, records=piece.records[expired:]))
            elif too_large(piece.records[0]):
                # No invocation can carry it, now or later. It is alone: `fitting` made it so.
                if not self._give_up(piece, "RetryAttemptsExhausted"):
                    return False
            elif not self._try(piece):
                return False
        return True

    def _expired(self, records: Sequence[Record]) -> int:
        """How many of the first records are too old. Records arrive in order, so the others are not."""
        now, longest = self._world.clock(), self._mapping.max_record_age_s
        for index, record in enumerate(records):
            age = now - record.arrived_at
            beyond_its_age = 0 <= longest < age
            if not beyond_its_age and (age < SHORTEST_RETENTION_S or not self._world.expired(record)):
                return index
        return len(records)

    def _try(self, piece: _Piece) -> bool:
        """One invocation and what follows from it. False: stopped."""
        world = self._world
        try:
            result = world.invoke(event_of(piece.records))
        except ServiceError as error:
            if world.stopped():
                return False
            self._tally.problem(_not_run(error))
            self._again(replace(piece, tries=piece.tries + 1))
            return True
        piece = replace(piece, invocations=piece.invocations + 1, result=result)
        failed_from = self._failed_from(piece, result)
        if failed_from is None:
            self._done(piece.records)
            return True
        if world.stopped() and result.kind != "ok":
            # The stop itself may have ended the function: that says nothing about the records.
            return False
        self._tally.failed(_PROBLEMS.get(result.kind, "Function call failed"))
        if failed_from > 0:
            self._done(piece.records[:failed_from])
            piece = replace(piece, records=piece.records[failed_from:], tries=0)
            if self._mapping.bisect:
                self._work.appendleft(piece)
                return True
        return self._failed(piece)

    def _failed_from(self, piece: _Piece, result: Result) -> int | None:
        if result.kind != "ok":
            return 0
        return first_failure(result.payload, piece.records) if self._mapping.report_failures else None

    def _failed(self, piece: _Piece) -> bool:
        piece = replace(piece, tries=piece.tries + 1)
        if self._mapping.bisect and len(piece.records) > 1:
            middle = len(piece.records) // 2
            self._work.appendleft(replace(piece, records=piece.records[middle:]))
            self._again(replace(piece, records=piece.records[:middle]))
            return True
        if 0 <= self._mapping.max_retries <= piece.retries:
            return self._give_up(piece, "RetryAttemptsExhausted")
        self._again(replace(piece, retries=piece.retries + 1))
        return True

    def _again(self, piece: _Piece) -> None:
        self._work.appendleft(piece)
        self._world.pause(pause_s(piece.tries, self._world.random()))

    def _done(self, records: Sequence[Record]) -> None:
        self._world.checkpoint(records[-1].sequence_number)
        self._tally.delivered(len(records))

    def _give_up(self, piece: _Piece, condition: Condition) -> bool:
        """Hands the records to the destination, however long that takes. False: stopped."""
        tries = 0
        while True:
            try:
                self._world.discard(Discard(piece.records, condition, piece.invocations, piece.result))
                break
            except DestinationError as error:
                tries += 1
                self._tally.problem(f"The on-failure destination refused: {error}")
                self._world.pause(pause_s(tries, self._world.random()))
                if self._world.stopped():
                    return False
        self._tally.gave_up(len(piece.records))
        self._world.checkpoint(piece.records[-1].sequence_number)
        return True


_PROBLEMS = {
    "timeout": "Function call failed: it timed out",
    "crash": "Function call failed: the runtime exited",
    "init_error": "Function call failed: the function could not be loaded",
    "ok": "Function reported failed items",
}


def _not_run(error: ServiceError) -> str:
    if error.code == "ResourceNotFoundException":
        return "Function not found"
    if error.code == "TooManyRequestsException":
        return "Function was throttled"
    return f"Function could not be called: {error.message}"
