"""What a stream is, apart from its records: the document that is saved with every change."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from txnpipe.local.part import ACCOUNT

DEFAULT_RETENTION_HOURS = 24
DEFAULT_RECORD_KIB = 1024

StreamStatus = Literal["CREATING", "ACTIVE", "UPDATING", "DELETING"]
StreamMode = Literal["PROVISIONED", "ON_DEMAND"]


class StoredRecord(NamedTuple):
    """A record as it is read back. `data` is base64 text, as it came; `arrived_at` is epoch seconds."""

    sequence_number: str
    partition_key: str
    data: str
    arrived_at: float


class Change(msgspec.Struct, frozen=True):
    """What a stream that is not ACTIVE is about to become. Saved, so that a restart completes it.

    kind: "create" (`target` shards), "scale" (to `target` shards), "split" (`shard` at hash key `at`),
    "merge" (`shard` with `other`), "delete", or "settle" (nothing left to do but to become ACTIVE).
    """

    kind: Literal["create", "scale", "split", "merge", "delete", "settle"]
    target: int = 0
    shard: int = 0
    other: int = 0
    at: str = ""
    """A hash key, as text: JSON readers cut integers of this size."""


class Consumer(msgspec.Struct, frozen=True):
    """A registered enhanced fan-out consumer."""

    name: str
    arn: str
    status: Literal["CREATING", "ACTIVE", "DELETING"]
    created_at: float
    tags: dict[str, str] = {}


class StreamDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A stream's settings and state. Changed by `msgspec.structs.replace`, then saved, then used.

    counter_reserved: no sequence number at or above this counter has been given out; after a restart the
    counter continues here, so that numbers stay unique without a look at the records.
    scalings, mode_switches, key_starts, key_stops: epoch seconds of the UpdateShardCount, UpdateStreamMode,
    StartStreamEncryption and StopStreamEncryption calls of the last day.
    policies: resource policies by ARN (the stream's and its consumers').
    """

    name: str
    region: str
    created_at: float
    status: StreamStatus
    change: Change | None
    counter_reserved: int
    next_shard: int = 0
    mode: StreamMode = "PROVISIONED"
    retention_hours: int = DEFAULT_RETENTION_HOURS
    max_record_kib: int = DEFAULT_RECORD_KIB
    kms_key: str | None = None
    metrics: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    consumers: tuple[Consumer, ...] = ()
    policies: dict[str, str] = {}
    scalings: tuple[float, ...] = ()
    mode_switches: tuple[float, ...] = ()
    key_starts: tuple[float, ...] = ()
    key_stops: tuple[float, ...] = ()

    @property
    def arn(self) -> str:
        """The stream's ARN."""
        return stream_arn(self.region, self.name)


class ShardDocument(msgspec.Struct, frozen=True):
    """A shard as it is saved. `parents` holds one index after a split, two after a merge (the first is
    ParentShardId, the second AdjacentParentShardId). Counters as in `sequence`; times in epoch seconds."""

    index: int
    start_key: str
    end_key: str
    parents: tuple[int, ...]
    start_counter: int
    created_at: float
    end_counter: int | None = None
    closed_at: float | None = None


def stream_arn(region: str, name: str) -> str:
    """The ARN of a stream of the local cloud."""
    partition = (
        "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    )
    return f"arn:{partition}:kinesis:{region}:{ACCOUNT}:stream/{name}"
