"""The handler that Lambda calls, and the one line it logs, which carries the batch's metrics.

Environment: PIPELINE (its name, a dimension of the metrics), WAREHOUSE_HOST, WAREHOUSE_PORT,
WAREHOUSE_DATABASE, WAREHOUSE_SSLMODE, WAREHOUSE_SECRET_ARN (a secret {"username", "password"}),
ALERT_STREAM_ARN (every other stream carries transactions), DEDUPE_WINDOW_DAYS.

Lambda loads this module in its init phase, with a whole processor and before a record waits. So the loader
and its client of Secrets Manager are made there. The secret is read and the connection opened by the first
batch: both can fail while the warehouse is paused or moves, and a failed init costs the worker, where a
failed batch is logged and retried.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any, Protocol

import psycopg2

from txnpipe.functions.loader.connection import (
    Endpoint,
    WarmConnection,
    secret_reader,
    secrets_manager,
)
from txnpipe.functions.loader.loader import Loader, Outcome, utc_now
from txnpipe.functions.log import write_line
from txnpipe.functions.metrics import LOADER, PIPELINE, REJECTS, STREAM
from txnpipe.functions.records import Batch, age_ms, read_batch


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


_warm: list[Loader] = []
"""The loader of this process."""


def handler(event: Mapping[str, Any], context: Context) -> dict[str, list[dict[str, str]]]:
    """Loads one batch. Never reports single items: a batch is stored as a whole, or an error is raised."""
    batch = read_batch(event)
    pipeline = os.environ["PIPELINE"]
    if batch.records:
        try:
            outcome = _warm[0].load(batch, context.get_remaining_time_in_millis)
        except psycopg2.Error as error:
            write_line(
                "ERROR",
                "batch not loaded, it will be retried",
                request_id=context.aws_request_id,
                **_identity(batch),
                error=type(error).__name__,
                code=error.pgcode,
                detail=error.diag.message_primary or str(error).partition("\n")[0],  # no row's contents
            )
            raise
        _log(pipeline, batch, outcome, context.aws_request_id)
    return {"batchItemFailures": []}


def loader_from_environment(environment: Mapping[str, str]) -> Loader:
    """A loader as the environment describes it. Raises KeyError that names a missing variable."""
    endpoint = Endpoint(
        environment["WAREHOUSE_HOST"],
        int(environment["WAREHOUSE_PORT"]),
        environment["WAREHOUSE_DATABASE"],
        environment["WAREHOUSE_SSLMODE"],
    )
    return Loader(
        WarmConnection(endpoint, secret_reader(environment["WAREHOUSE_SECRET_ARN"], secrets_manager())),
        environment["ALERT_STREAM_ARN"],
        timedelta(days=int(environment["DEDUPE_WINDOW_DAYS"])),
    )


def _log(pipeline: str, batch: Batch, outcome: Outcome, request_id: str) -> None:
    stored = outcome.stored
    now = utc_now()
    age = age_ms(batch.records, now)
    commit_ms = round(stored.commit_ms, 1)
    write_line(
        "INFO",
        "batch loaded",
        request_id=request_id,
        **_identity(batch),
        stored=stored.rows,
        duplicates=stored.repeats,
        rejected=len(stored.rejects),
        reasons=dict(Counter(reject.reason for reject in stored.rejects)),
        attempts=outcome.attempts,
        ask_ms=round(stored.ask_ms, 1),
        commit_ms=commit_ms,
        iterator_age_ms=age,
        **LOADER.document(
            round(now.replace(tzinfo=UTC).timestamp() * 1000),
            {PIPELINE: pipeline, STREAM: batch.stream},
            {
                "Records": len(batch.records),
                "Rows": stored.rows,
                "Duplicates": stored.repeats,
                # A batch delivered again has its rejects stored already.
                REJECTS: stored.rejects_stored,
                "CommitTime": commit_ms,
                "IteratorAge": age,
            },
        ),
    )


def _identity(batch: Batch) -> dict[str, Any]:
    first, last = batch.records[0], batch.records[-1]
    return {
        "stream": batch.stream,
        "shard_id": first.shard_id,
        "first_sequence_number": first.sequence_number,
        "last_sequence_number": last.sequence_number,
        "records": len(batch.records),
    }


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # in a worker of Lambda, not in a test
    _warm.append(loader_from_environment(os.environ))
    # Modules stay for good. With boto3's among them, a full collection takes nearly 20 ms instead of one.
    gc.collect()
    gc.freeze()
