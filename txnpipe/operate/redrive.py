"""Sends failed batches again, to the stream they came from.

A batch's records come from its object in the on-failure bucket; where that does not hold them all, from the
stream, as long as it keeps them. The object goes only once every record was acknowledged: a kill in between
leads to a repeat, which the loader drops by transaction_id and alert_id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import error_code, translated
from txnpipe.operate.dead_letters import (
    DeadLetter,
    Entry,
    FailedRecord,
    delete_dead_letter,
    open_dead_letter,
)
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.sender import CHUNK, Sender
from txnpipe.traffic.stream import Stream

MAX_READ_BYTES = 64 * 1024 * 1024
"""More than this between a batch's first and last record is not read from the stream into memory. A batch
has 6 MB; beside it may lie those of nine others (a parallelization factor is 10 at most, Lambda's quota)."""
READ_S = 60.0
"""How long the stream is read for one batch."""
PAUSE_S = 0.25
"""Between two reads: all readers of a shard share five reads a second (GetRecords API reference)."""
SENT, WOULD_SEND, LEFT, GONE = "sent", "would send", "left", "gone"


class NotThere(Exception):  # noqa: N818 - no error of the program: told as the outcome of one batch
    """A batch's records cannot be had, with the reason as a clause."""


@dataclass(frozen=True)
class Outcome:
    """What became of one batch.

    state: SENT (and its object deleted), WOULD_SEND, LEFT (its object is as it was; reason says why) or GONE
    (somebody removed it meanwhile). records: sent, or that would be. source: "payload" or "stream".
    """

    entry: Entry
    state: str
    stream: str = ""
    records: int = 0
    source: str = ""
    reason: str = ""


def redrive(
    entries: Sequence[Entry],
    *,
    s3: Any,
    bucket: str,
    kinesis: Any,
    streams: Mapping[str, Stream],
    dry_run: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Outcome]:
    """Sends the batches again, one after the other, and yields what became of each.

    streams: by name, those that may be written. kinesis: reads; it should not retry by itself. Raises
    TxnpipeError where a service fails; what was not yielded as sent is still there then.
    """
    for entry in entries:
        letter = open_dead_letter(s3, bucket, entry)
        if letter is None:
            yield Outcome(entry, GONE)
            continue
        stream = streams.get(letter.stream)
        if stream is None:
            reason = f"it came from {letter.stream}, no stream of this pipeline"
            yield Outcome(
                entry, LEFT, letter.stream, reason=reason if letter.stream else "it names no stream"
            )
            continue
        try:
            records, source = records_of(letter, kinesis, clock=clock, sleep=sleep)
        except NotThere as missing:
            yield Outcome(entry, LEFT, letter.stream, reason=str(missing))
            continue
        if dry_run:
            yield Outcome(entry, WOULD_SEND, letter.stream, len(records), source)
            continue
        unsent = send_again(stream, [(each.partition_key, each.data) for each in records])
        if unsent:
            reason = f"{unsent:,} of {len(records):,} records were not acknowledged"
            yield Outcome(entry, LEFT, letter.stream, len(records) - unsent, source, reason)
            continue
        delete_dead_letter(s3, bucket, entry.key)
        yield Outcome(entry, SENT, letter.stream, len(records), source)


def send_again(stream: Stream, records: Sequence[tuple[str, bytes]]) -> int:
    """Sends partition keys with payloads. Returns how many were not acknowledged. Raises TxnpipeError."""
    outgoing: list[Outgoing] = [(n, key, data) for n, (key, data) in enumerate(records)]
    chunks = [outgoing[first : first + CHUNK] for first in range(0, len(outgoing), CHUNK)]
    progress = Sender(stream, stream.open_shards()).run(iter(chunks))
    return len(records) - progress.acknowledged


def records_of(
    letter: DeadLetter,
    kinesis: Any,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[tuple[FailedRecord, ...], str]:
    """All records of a batch, and where they are from: "payload" or "stream". Raises NotThere, TxnpipeError.

    From the stream come all between the batch's first and last, which with a parallelization factor above 1
    are those of other batches, too: repeats.
    """
    if letter.complete:
        return letter.records, "payload"
    held = f"its object holds {len(letter.records):,} of {letter.batch_size:,} records"
    if not (letter.shard_id and letter.first_sequence_number and letter.last_sequence_number):
        raise NotThere("its object does not say which records it had")
    with translated("read from the stream", letter.stream):
        try:
            found = _between(letter, kinesis, clock() + READ_S, clock, sleep)
        except ClientError as error:
            if error_code(error) not in {"ResourceNotFoundException", "InvalidArgumentException"}:
                raise
            found = []
    ends = {found[0].sequence_number, found[-1].sequence_number} if found else set()
    if ends != {letter.first_sequence_number, letter.last_sequence_number}:
        raise NotThere(f"{held}, and the stream no longer has the rest")
    return tuple(found), "stream"


def _between(
    letter: DeadLetter,
    kinesis: Any,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[FailedRecord]:
    iterator = kinesis.get_shard_iterator(
        StreamName=letter.stream,
        ShardId=letter.shard_id,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=letter.first_sequence_number,
    )["ShardIterator"]
    found: list[FailedRecord] = []
    size, last = 0, int(letter.last_sequence_number)
    while iterator:
        if clock() > deadline:
            raise NotThere(f"its records could not be read from the stream within {READ_S:.0f} s")
        try:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=1000)
        except ClientError as error:
            if error_code(error) != "ProvisionedThroughputExceededException":
                raise
            sleep(PAUSE_S)
            continue
        for record in answer["Records"]:
            if int(record["SequenceNumber"]) > last:
                return found
            found.append(FailedRecord(record["PartitionKey"], record["SequenceNumber"], record["Data"]))
            size += len(record["Data"])
            if size > MAX_READ_BYTES:
                raise NotThere(f"more than {MAX_READ_BYTES >> 20} MB lie between its first and last record")
        if found and found[-1].sequence_number == letter.last_sequence_number:
            return found
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            return found
        iterator = answer.get("NextShardIterator")
        sleep(PAUSE_S)
    return found
