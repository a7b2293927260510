"""The two Kinesis calls that sending needs, and what their failures mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from botocore.exceptions import (
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from txnpipe.aws import Target, error_code, translated
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.put_records import Answer, PutRecords, UnreadableAnswer
from txnpipe.traffic.queues import Outgoing

TRANSIENT = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalFailureException",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
    }
)

MAX_WORKERS = 64
"""Calls that are made at the same time, at most: each needs a thread and a connection."""


class CallFailed(Exception):  # noqa: N818 - not an error of the program: the call is made again
    """A call failed as a whole, for a reason that may pass: the network, the service, its rate."""


class Stream(Protocol):
    """What the sender needs of a stream."""

    def open_shards(self) -> tuple[Span, ...]:
        """The shards that take records."""
        ...

    def put(self, records: Sequence[Outgoing]) -> Answer:
        """One PutRecords call. Raises CallFailed where trying again makes sense."""
        ...


class KinesisStream:
    """A stream on the target. Safe to be used from several threads."""

    def __init__(self, target: Target, name: str, *, connections: int = MAX_WORKERS) -> None:
        self._name = name
        self._revive = target.revive
        # The dispatcher retries, per record and knowing the shards; botocore must not retry behind its back.
        client = target.client(
            "kinesis",
            retries={"mode": "standard", "total_max_attempts": 1},
            parameter_validation=False,
            read_timeout=20,
            max_pool_connections=connections,
        )
        self._put_records = PutRecords(client, name)
        # Nobody tries again to list the shards, so here botocore does.
        self._lister = target.client("kinesis")

    def open_shards(self) -> tuple[Span, ...]:
        """Lists the shards. Raises TxnpipeError: NOT_FOUND without the stream, SERVICE."""
        spans: list[Span] = []
        request: dict[str, Any] = {"StreamName": self._name, "ShardFilter": {"Type": "AT_LATEST"}}
        while True:
            page = self._listed(request)
            for shard in page["Shards"]:
                if "EndingSequenceNumber" not in shard["SequenceNumberRange"]:
                    hashes = shard["HashKeyRange"]
                    spans.append(Span(shard["ShardId"], hashes["StartingHashKey"], hashes["EndingHashKey"]))
            if not page.get("NextToken"):
                return tuple(spans)
            request = {"NextToken": page["NextToken"]}

    def _listed(self, request: dict[str, Any]) -> dict[str, Any]:
        with translated("list the shards of", self._name):
            try:
                page: dict[str, Any] = self._lister.list_shards(**request)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    raise _no_stream(self._name) from error
                raise
            except (BotoConnectionError, HTTPClientError):
                if self._revive is None:
                    raise
                self._revive()
                page = self._lister.list_shards(**request)
        return page

    def put(self, records: Sequence[Outgoing]) -> Answer:
        """One PutRecords call."""
        try:
            return self._put_records(records)
        except UnreadableAnswer as error:
            raise CallFailed(str(error)) from error
        except (BotoConnectionError, HTTPClientError) as error:
            if self._revive is not None:
                self._revive()
            raise CallFailed(str(error)) from error
        except ClientError as error:
            code = error_code(error)
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in TRANSIENT or status >= 500:
                raise CallFailed(f"{code}: {error}") from error
            if code == "ResourceNotFoundException":
                raise _no_stream(self._name) from error
            with translated("put records into", self._name):
                raise


def _no_stream(name: str) -> TxnpipeError:
    return TxnpipeError(
        f"There is no stream {name}.", "Run txnpipe setup, then the same command again.", ExitCode.NOT_FOUND
    )
