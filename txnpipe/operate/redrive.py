"""Hands failed batches to the function that failed, once its cause is mended.

Not into the stream: its other readers have had these records. The analytics app would see each a second
time and out of order, and rules that look back would count it twice. The function itself gets the very event
that it failed on, so rows keep their shard, sequence number and time of arrival: order and latency stay
true. What a function has done already it does not do again: the loader asks by transaction_id and alert_id;
the notifier publishes the batch's alerts, and who got one before knows it by its alert_id.

An object goes only once the function has taken its whole batch. A kill in between leads to a repeat.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import Target, error_code, translated
from txnpipe.operate.dead_letters import DeadLetter, Entry, delete_dead_letter, open_dead_letter

SENT, WOULD_SEND, LEFT, GONE = "sent", "would send", "left", "gone"
FAILURES_IN_A_ROW = 3
"""A function that fails so many batches one after the other is not called again: its cause is not mended."""
ANSWER_S = 30
"""What the network may take beside the function's own time-out."""


@dataclass(frozen=True)
class Outcome:
    """What became of one batch.

    state: SENT (and its object deleted), WOULD_SEND, LEFT (its object is as it was; reason says why) or GONE
    (somebody removed it meanwhile). records: that the function took, or would get.
    """

    entry: Entry
    state: str
    function: str = ""
    records: int = 0
    reason: str = ""


def redrive(
    entries: Sequence[Entry],
    *,
    target: Target,
    bucket: str,
    functions: Collection[str],
    timeout_s: int,
    dry_run: bool = False,
) -> Iterator[Outcome]:
    """Hands over the batches, one after the other, and yields what became of each.

    functions: names of those that may be called. timeout_s: of the slowest of them. Raises TxnpipeError where
    a service fails; what was not yielded as sent is still there then.
    """
    s3 = target.client("s3")
    client = target.client("lambda", read_timeout=timeout_s + ANSWER_S)
    failures: Counter[str] = Counter()
    for entry in entries:
        letter = open_dead_letter(s3, bucket, entry)
        if letter is None:
            yield Outcome(entry, GONE)
            continue
        reason = _hindrance(letter, functions)
        if not reason and failures[letter.function] >= FAILURES_IN_A_ROW:
            reason = f"not tried: {letter.function} failed {FAILURES_IN_A_ROW} batches in a row"
        if reason:
            yield Outcome(entry, LEFT, letter.function, reason=reason)
        elif dry_run:
            yield Outcome(entry, WOULD_SEND, letter.function, len(letter.records))
        elif reason := _invoke(client, letter):
            failures[letter.function] += 1
            yield Outcome(entry, LEFT, letter.function, reason=reason)
        else:
            failures[letter.function] = 0
            delete_dead_letter(s3, bucket, entry.key)
            yield Outcome(entry, SENT, letter.function, len(letter.records))


def _hindrance(letter: DeadLetter, functions: Collection[str]) -> str:
    """Why a batch cannot be handed over, "" where it can."""
    if not letter.function:
        return "it names no function"
    if letter.function not in functions:
        return f"it is of {letter.function}, no function of this pipeline"
    if not letter.complete:
        return f"its object holds {len(letter.records):,} of {letter.batch_size:,} records"
    return ""


def _invoke(client: Any, letter: DeadLetter) -> str:
    """Calls the function and waits. Returns why it did not take the whole batch, "" where it did.

    Function errors come as `FunctionError` beside status 200, single failed records as `batchItemFailures`
    in the answer (Invoke, Lambda API reference; "Using the ReportBatchItemFailures", developer guide).
    """
    with translated("call the function", letter.function):
        try:
            answer = client.invoke(
                FunctionName=letter.function, Payload=letter.event.encode(errors="replace")
            )
        except ClientError as error:
            if error_code(error) != "RequestTooLargeException":
                raise
            return "the batch is larger than a function takes (6 MB)"
        payload = answer["Payload"].read()
    try:
        document = json.loads(payload)
    except ValueError:
        document = None
    if answer.get("FunctionError"):
        told = document if isinstance(document, dict) else {}
        text = str(told.get("errorMessage") or "").strip().partition("\n")[0]
        return f"{letter.function} failed: {told.get('errorType') or answer['FunctionError']} {text}".strip()
    failed = document.get("batchItemFailures") if isinstance(document, dict) else document
    if failed:
        return f"{letter.function} did not take all of its {len(letter.records):,} records"
    return ""
