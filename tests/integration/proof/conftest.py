"""A real PostgreSQL with the pipeline's tables, and runs stored in it as the loader would."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import execute_values

from tests.integration.warehouse.conftest import ADMIN, DATABASE, PASSWORD, Installation
from tests.integration.warehouse.conftest import installation as installation
from tests.unit.traffic.fakes import FakeS3, FakeStream, spans, target_with
from txnpipe.config import Settings
from txnpipe.local.postgres.server import HOST
from txnpipe.names import Names
from txnpipe.packaging.rules import enabled_rules
from txnpipe.proof.alerts import expected_alerts
from txnpipe.proof.sources import Sources
from txnpipe.proof.verify import Proof, verify
from txnpipe.traffic.job import Job
from txnpipe.traffic.manifest import Manifest, generated_run, input_run
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, send
from txnpipe.transactions import InvalidTransaction, parse
from txnpipe.warehouse import Warehouse
from txnpipe.warehouse.migrations import apply

NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)
ARRIVED = datetime(2026, 11, 24, 5, 31, 13)


_content = attrgetter(
    "transaction_id",
    "amount",
    "transaction_type",
    "timestamp",
    "account_id",
    "merchant",
    "country",
    "currency",
    "run_id",
)


@dataclass
class Place:
    """A pipeline without its parts: a bucket in memory, and a warehouse."""

    warehouse: Warehouse
    connection: Any
    store: RunStore
    sources: Sources

    def send(self, count: int, *, run: int = 1, seed: int = 1, **asked: Any) -> Manifest:
        """Sends a synthetic run and stores its rows and alerts, as a pipeline without faults would."""
        manifest = generated_run(
            run_id=f"20261124T0531{run:02d}-4f9a1c",
            pipeline="default",
            count=count,
            seed=seed,
            now=NOW,
            **asked,
        )
        self.deliver(choose(self.store, manifest, new=True), None)
        self.alert(manifest)
        return manifest

    def deliver(self, job: Job, source: Any) -> list[bytes]:
        """Sends a job and stores each transaction_id once. Returns all payloads."""
        stream = _Remembering(spans(2))
        send(self.store, stream, job, source=source, workers=1)
        rows = []
        for sequence, payload in stream.payloads:
            arrived = ARRIVED + timedelta(milliseconds=sequence)
            try:
                t = parse(payload)
            except InvalidTransaction as error:
                self.reject(payload, error.reason, sequence, stream.shard_of[sequence], arrived)
                continue
            stored = arrived + timedelta(milliseconds=10 + sequence % 100)
            rows.append((*_content(t), arrived, stored, stream.shard_of[sequence], str(sequence)))
        known = {row[0] for row in self.rows("SELECT transaction_id FROM transactions")}
        fresh: dict[str, tuple[object, ...]] = {}
        for row in rows:
            if row[0] not in known:
                fresh.setdefault(str(row[0]), row)
        with self.connection, self.connection.cursor() as cursor:
            execute_values(cursor, "INSERT INTO transactions VALUES %s", list(fresh.values()))
        return [payload for _, payload in stream.payloads]

    def reject(
        self, payload: bytes, reason: str, sequence: int, shard_id: str = "s", arrived: datetime = ARRIVED
    ) -> None:
        """Puts a record aside as the loader would."""
        digest = hashlib.sha256(payload).hexdigest()
        data = base64.b64encode(payload).decode()
        self.change(
            "INSERT INTO rejected_transactions VALUES (%s, %s, %s, %s, 'detail', %s, %s, %s, %s, %s)",
            [
                self.sources.names.stream, shard_id, str(sequence), reason, len(payload), digest, data,
                arrived, arrived + timedelta(seconds=1),
            ],
        )  # fmt: skip

    def alert(self, manifest: Manifest) -> None:
        """Stores exactly the alerts that the rules ask for."""
        for rule in self.sources.rules:
            for alert_id, transaction_id in expected_alerts(self.warehouse, rule, manifest.run_id).items():
                self.change(
                    'INSERT INTO alerts SELECT %s, %s, transaction_id, account_id, amount, "timestamp", '
                    "stored_at, run_id, 'detail', arrived_at, stored_at + INTERVAL '100 ms', 's', '1' "
                    "FROM transactions WHERE transaction_id = %s",
                    (alert_id, rule.name, transaction_id),
                )

    def verify(self, manifest: Manifest, **options: Any) -> Proof:
        """Proves a run without waiting."""
        return verify(self.sources, manifest, **({"timeout_s": 0.0, "quiet_s": 0.0} | options))

    def rows(self, sql: str, parameters: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        """Asks the database, behind the proof's back."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def change(self, sql: str, parameters: Iterable[object] = ()) -> None:
        """Changes the database by hand."""
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters))


class _Remembering(FakeStream):
    """A stream that remembers payloads by sequence number."""

    def __init__(self, shards: Any) -> None:
        super().__init__(shards)
        self.payloads: list[tuple[int, bytes]] = []
        self.shard_of: dict[int, str] = {}

    def put(self, records: Any) -> Answer:
        answer = super().put(records)
        for (_, _, payload), entry in zip(records, answer.entries, strict=True):
            sequence = int(entry.sequence_number)
            self.payloads.append((sequence, payload))
            self.shard_of[sequence] = entry.shard_id
        return answer


@pytest.fixture(scope="session")
def tables(installation: Installation) -> Installation:
    """The server with the pipeline's tables."""
    with installation.direct() as warehouse:
        apply(warehouse)
    return installation


@pytest.fixture
def place(tables: Installation) -> Iterator[Place]:
    """An empty pipeline, its warehouse reached directly."""
    yield from _place(tables, tables.direct)


@pytest.fixture(params=["direct", "data_api"])
def place_both_ways(request: pytest.FixtureRequest, tables: Installation) -> Iterator[Place]:
    """An empty pipeline, its warehouse reached one way, then the other."""
    yield from _place(tables, getattr(tables, request.param))


def _place(tables: Installation, opened: Callable[[], Warehouse]) -> Iterator[Place]:
    connection = psycopg2.connect(
        host=HOST, port=tables.server.port, dbname=DATABASE, user=ADMIN, password=PASSWORD
    )
    s3 = FakeS3()
    target = target_with(s3=s3)
    store = RunStore(target, "bucket")
    with opened() as warehouse:
        sources = Sources(
            target=target,
            names=Names("default", target.account, target.region),
            store=store,
            warehouse=warehouse,
            rules=enabled_rules(Settings()),
            in_order=True,
            rules_in_order=True,
        )
        made = Place(warehouse, connection, store, sources)
        made.change("TRUNCATE transactions, alerts, rejected_transactions")
        yield made
    connection.close()


@pytest.fixture
def sent_input() -> Callable[..., Manifest]:
    """Sends an input of so many lines, of a few accounts with bursts and spikes, and stores what it makes."""

    def sent(place: Place, count: int) -> Manifest:
        lines = [
            {
                "transaction_id": f"in-{n}",
                "amount": 20_000 if n % 50 == 49 else 400 if n % 40 == 39 else 10 + n % 7,
                "transaction_type": "purchase",
                "timestamp": f"2026-01-02T{n // 60:02d}:{n % 60:02d}:00Z"
                if n % 100 < 80
                else "2026-01-02T23:00:00Z",
                "account_id": f"a-{n % 5}",
            }
            for n in range(count)
        ]
        manifest = input_run(run_id="20261124T053141-4f9a1c", pipeline="default", input_name="-", now=NOW)
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        place.deliver(choose(place.store, manifest, new=True), io.BytesIO(data))
        place.alert(manifest)
        return manifest

    return sent
