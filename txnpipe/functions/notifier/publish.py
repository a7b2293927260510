"""Publishes messages in order, ten at a time, and says where to go on after a failure.

| what fails | what happens |
| --- | --- |
| an entry that SNS finds invalid | given up: trying again would block the shard |
| an entry for another reason (throttling, a key that may not be used) | again, 4 attempts with pauses |
| such an entry, even so | nothing after its batch is published; delivery resumes at that alert |
| the whole call | raised if nothing was published yet, else delivery resumes there |

An event source mapping resumes at the lowest failed record, and delivers everything after it again. That is
why publishing stops at a failure, instead of publishing what would come once more.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from txnpipe.functions.notifier.message import size

MAX_ENTRIES = 10
MAX_BATCH_BYTES = 262_144
"""Both are limits of SNS PublishBatch; the bytes are those of all entries together."""
MAX_ATTEMPTS = 4
FIRST_PAUSE_S = 0.1
_HOPELESS = frozenset({"InvalidParameter", "InvalidParameterValue", "ValidationException"})


@dataclass
class Published:
    """Ids of entries by what became of them. `resume_at` is the first one that is still to be published."""

    delivered: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Given up, with SNS's code and message."""
    resume_at: str | None = None
    error: str = ""
    """Why publishing stopped at `resume_at`."""


def publish(
    client: Any,
    topic_arn: str,
    entries: list[dict[str, Any]],
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> Published:
    """Publishes entries (see `message.batch_entry`), whose ids are unique.

    Raises what boto3 raises where the first call fails altogether.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    result = Published()
    for batch in batches(entries):
        waiting = batch
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                sleep(FIRST_PAUSE_S * 2**attempt * jitter())
            try:
                response = client.publish_batch(TopicArn=topic_arn, PublishBatchRequestEntries=waiting)
            except (BotoCoreError, ClientError) as error:
                if not result.delivered:
                    raise
                result.error = str(error)
                result.resume_at = waiting[0]["Id"]
                return result
            result.delivered += [entry["Id"] for entry in response.get("Successful", ())]
            texts = {}
            for failure in response.get("Failed", ()):
                texts[failure["Id"]] = text = f"{failure['Code']}: {failure.get('Message', '')}"
                if failure["Code"] in _HOPELESS:
                    result.refused[failure["Id"]] = text
            waiting = [e for e in waiting if e["Id"] in texts and e["Id"] not in result.refused]
            if not waiting:
                break
            result.error = texts[waiting[0]["Id"]]
        else:
            result.resume_at = waiting[0]["Id"]
            return result
        result.error = ""
    return result


def batches(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The entries in order, in batches that PublishBatch takes."""
    batch: list[dict[str, Any]] = []
    total = 0
    for entry in entries:
        entry_size = size(entry)
        if batch and (len(batch) == MAX_ENTRIES or total + entry_size > MAX_BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(entry)
        total += entry_size
    if batch:
        yield batch
