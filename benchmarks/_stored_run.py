"""A synthetic run as a pipeline without faults would have stored it, in a real PostgreSQL, and its bucket.

Nothing is sent: rows are computed from the manifest and copied into the table, alerts are the ones that the
rules ask for. What is a benchmark's alone begins after that.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from _local import ADMIN, DATABASE, PASSWORD, local_target, postgres

from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.local.postgres.server import HOST
from txnpipe.names import Names
from txnpipe.packaging.rules import enabled_rules
from txnpipe.proof.sources import Sources
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest, generated_run
from txnpipe.traffic.runs import RunResult, RunStore
from txnpipe.warehouse import migrations
from txnpipe.warehouse.direct import DirectWarehouse, connector

ARRIVED = datetime(2026, 11, 24, 5, 31, 13)
SHARDS = ("shardId-000000000000", "shardId-000000000001")
PER_SECOND = 2000
_FIRST_SEQUENCE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
"""Of a real stream: 56 digits."""
_COPIED_AT_ONCE = 50_000


@dataclass(frozen=True)
class Place:
    """The database and the bucket that a proof looks at."""

    port: int
    home: Path
    objects: dict[str, tuple[bytes, datetime]]

    def connect(self) -> Any:
        """An administrator's connection."""
        return psycopg2.connect(
            host=HOST, port=self.port, dbname=DATABASE, user=ADMIN, password=PASSWORD, sslmode="prefer"
        )

    def sources(self) -> Sources:
        """What `verify` takes."""
        target = _target(_Bucket(self.objects))
        return Sources(
            target=target,
            names=Names("default", target.account, target.region),
            store=RunStore(target, "bucket"),
            warehouse=DirectWarehouse(
                connector(HOST, self.port, DATABASE, ADMIN, lambda: PASSWORD, "prefer")
            ),
            rules=enabled_rules(Settings()),
            in_order=True,
            rules_in_order=True,
        )


class _NoSuchKeyError(Exception):
    """What boto3 raises for an object that is not there."""


class _Bucket:
    """get_object, put_object and list_objects_v2 of one bucket, in memory."""

    class exceptions:  # noqa: N801 - boto3's name
        NoSuchKey = _NoSuchKeyError

    def __init__(self, objects: dict[str, tuple[bytes, datetime]]) -> None:
        self._objects = objects

    def put_object(self, **request: Any) -> dict[str, Any]:
        self._objects[request["Key"]] = (request["Body"], datetime.now(UTC))
        return {"ETag": '""'}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self._objects:
            raise _NoSuchKeyError
        data, written_at = self._objects[request["Key"]]
        return {
            "Body": io.BytesIO(data),
            "LastModified": written_at,
            "ETag": '""',
            "ResponseMetadata": {"HTTPHeaders": {}},
        }

    def get_paginator(self, _name: str) -> _Bucket:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        keys = [key for key in sorted(self._objects) if key.startswith(request["Prefix"])]
        return [{"Contents": [{"Key": key, "LastModified": self._objects[key][1]} for key in keys]}]


def _target(bucket: _Bucket) -> Target:
    class InMemory(Target):
        def client(self, service: str, **_options: Any) -> Any:
            return {"s3": bucket}[service]

    return local_target(InMemory)


def manifest_of(count: int) -> Manifest:
    """The run that is stored, of each length one."""
    return generated_run(
        run_id=f"20261124T053112-{count % 0xFFFFFF:06x}",
        pipeline="default",
        count=count,
        seed=1,
        now=datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC),
    )


def store_run(place: Place, manifest: Manifest) -> None:
    """Stores a run whole: manifest and result, rows and alerts."""
    count = manifest.count or 0
    sources = place.sources()
    sources.store.create(manifest)
    generator = Generator(manifest)
    connection = place.connect()
    marks: dict[str, str] = {}
    with connection, connection.cursor() as cursor:
        for start in range(0, count, _COPIED_AT_ONCE):
            indexes = range(start, min(start + _COPIED_AT_ONCE, count))
            lines = [_line(generator, index, marks) for index in indexes]
            cursor.copy_expert("COPY transactions FROM STDIN", io.StringIO("".join(lines)))
    with connection, connection.cursor() as cursor:
        cursor.execute("ANALYZE transactions")
        for rule in sources.rules:
            cursor.execute(
                f"INSERT INTO alerts SELECT e.alert_id, '{rule.name}', t.transaction_id, t.account_id, "
                "t.amount, t.\"timestamp\", t.stored_at, t.run_id, 'detail', t.arrived_at, "
                "t.stored_at + INTERVAL '100 ms', t.shard_id, t.sequence_number "
                f"FROM ({rule.verify_sql.replace(':run_id', '%(run_id)s')}) AS e "
                "JOIN transactions AS t ON t.transaction_id = e.transaction_id WHERE t.run_id = %(run_id)s",
                {"run_id": manifest.run_id},
            )
    # As autovacuum leaves a table some time after it was filled.
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE transactions, alerts")
    connection.close()
    ended = ARRIVED + timedelta(seconds=count / PER_SECOND)
    sources.store.write_result(
        RunResult(
            run_id=manifest.run_id,
            count=count,
            attempts=count,
            throttled=0,
            failed=0,
            invalid=0,
            invalid_lines=(),
            started_at=ARRIVED.replace(tzinfo=UTC),
            finished_at=ended.replace(tzinfo=UTC),
            marks=marks,
        )
    )


def latency_us(index: int) -> int:
    """From a row's arrival to its commit: 40 to 130 milliseconds."""
    return 40_000 + index * 7919 % 90_000


def _line(generator: Generator, index: int, marks: dict[str, str]) -> str:
    e = generator.event(index)
    # A record's account decides about its shard, as its MD5 does in Kinesis.
    shard = SHARDS[hashlib.md5(e.account_id.encode(), usedforsecurity=False).digest()[0] >> 7]
    sequence = marks[shard] = str(_FIRST_SEQUENCE + index * 1_000_003)
    arrived = ARRIVED + timedelta(microseconds=index * 1_000_000 // PER_SECOND)
    stored = arrived + timedelta(microseconds=latency_us(index))
    seconds, micros = divmod(e.micros, 1_000_000)
    when = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{micros:06d}"
    return (
        f"{e.transaction_id}\t{e.cents // 100}.{e.cents % 100:02d}\t{e.transaction_type}\t{when}"
        f"\t{e.account_id}\t{e.merchant}\t{e.country}\t{e.currency}\t{generator.manifest.run_id}\t{arrived}\t{stored}\t{shard}"
        f"\t{sequence}\n"
    )


@contextmanager
def place() -> Iterator[Place]:
    """A PostgreSQL as the local cloud runs it, with the pipeline's tables, and an empty bucket."""
    with postgres() as server:
        made = Place(server.port, server.directory.parent.parent, {})
        with made.sources().warehouse as warehouse:
            migrations.apply(warehouse)
        yield made
