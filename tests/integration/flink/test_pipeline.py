"""The analytics app's statements in a real Flink: the contract, the rules, reshards, kill -9."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.corpus.events import CASES
from tests.integration.flink.events import accepted, random_records
from tests.integration.flink.rig import NAMES, OBSERVED, Rig, event, ids
from txnpipe.config import Settings
from txnpipe.functions.alerts import parse_alert
from txnpipe.packaging.rules import enabled_rules
from txnpipe.transactions import Transaction
from txnpipe.warehouse.interface import Warehouse

pytestmark = pytest.mark.timeout(900)  # several waits of PATIENCE_S

RULES = enabled_rules(Settings())


def store(warehouse: Warehouse, rows: list[tuple[Transaction, str, str]]) -> None:
    """Puts transactions into the warehouse as the loader would."""
    now = datetime(2026, 1, 1)
    for transaction, shard, sequence in rows:
        warehouse.execute(
            'INSERT INTO transactions (transaction_id, amount, transaction_type, "timestamp", account_id,'
            " merchant, country, currency, run_id, arrived_at, stored_at, shard_id, sequence_number)"
            " VALUES (:id, :amount, :type, :time, :account, NULL, NULL, NULL, :run, :now, :now, :shard,"
            " :sequence)",
            {
                "id": transaction.transaction_id,
                "amount": transaction.amount,
                "type": transaction.transaction_type,
                "time": transaction.timestamp,
                "account": transaction.account_id,
                "run": transaction.run_id,
                "now": now,
                "shard": shard,
                "sequence": sequence,
            },
        )


def expected(warehouse: Warehouse, run_id: str) -> set[str]:
    """What sql/verify says."""
    return {
        str(alert_id)
        for rule in RULES
        for alert_id, _ in warehouse.query(rule.verify_sql, {"run_id": run_id}).rows
    }


def test_the_view_accepts_what_the_contract_accepts_and_reads_the_same_from_it(pipeline: Rig) -> None:
    marker = "end-of-case-"
    records = []
    for number, case in enumerate(CASES):
        records += [("corpus", case.data), ("corpus", event(transaction_id=f"{marker}{number}"))]
    pipeline.put(NAMES.stream, records)
    last = f"{marker}{len(CASES) - 1}"
    pipeline.wait_until(lambda: any(row["transaction_id"] == last for row in pipeline.read(OBSERVED)))

    seen: list[list[Transaction]] = [[]]
    for row in pipeline.read(OBSERVED):
        if row["transaction_id"].startswith(marker):
            seen.append([])
        else:
            seen[-1].append(_transaction(row))

    differences = [
        (case.name, got)
        for case, got in zip(CASES, seen, strict=False)
        if got != ([case.transaction] if case.transaction else [])
    ]
    assert differences == []
    assert len(seen) == len(CASES) + 1


def test_rules_find_what_the_independent_queries_find(pipeline: Rig, warehouse: Warehouse) -> None:
    records = random_records("run-rules", seed=1, count=1500)
    places = pipeline.put(NAMES.stream, records)
    store(warehouse, accepted(records, places))
    pipeline.settle()

    alerts = pipeline.alerts("run-rules")
    wanted = expected(warehouse, "run-rules")
    assert ids(alerts) == wanted
    assert len(alerts) == len(wanted), "an alert was written twice"
    assert {alert.split(":")[0] for alert in wanted} == {rule.name for rule in RULES}


def test_alerts_are_what_the_loader_reads(pipeline: Rig) -> None:
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
    pipeline.client.put_record(
        StreamName=NAMES.stream,
        PartitionKey="a-1",
        Data=event(
            transaction_id="t-read",
            amount=12_000.5,
            account_id="a-1",
            run_id="run-read",
            timestamp="2024-12-21T11:00:00.25+01:00",
        ),
    )
    pipeline.settle()

    [record] = [a for a in pipeline.read(NAMES.alert_stream) if a["run_id"] == "run-read"]
    alert = parse_alert(json.dumps(record).encode())
    assert alert.alert_id == "large_amount:t-read"
    assert str(alert.amount) == "12000.50"
    assert alert.event_time == datetime(2024, 12, 21, 10, 0, 0, 250_000)
    after = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1)
    assert before < alert.detected_at < after
    assert alert.detail == "amount 12000.50 is above 10000"


def test_a_reshard_loses_nothing_and_keeps_each_accounts_order(pipeline: Rig, warehouse: Warehouse) -> None:
    run_id = "run-reshard"
    records = random_records(run_id, seed=2, count=1200)
    places = []
    for step, shards in enumerate((4, 3, 2, 1)):
        places += pipeline.put(NAMES.stream, records[step * 240 : (step + 1) * 240])
        pipeline.reshard(NAMES.stream, shards)
    places += pipeline.put(NAMES.stream, records[960:])
    store(warehouse, accepted(records, places))
    pipeline.settle()

    alerts = pipeline.alerts(run_id)
    assert ids(alerts) == expected(warehouse, run_id)
    assert len(alerts) == len(ids(alerts)), "an alert was written twice"


def test_after_kill_9_of_the_jvm_alerts_go_on_and_none_is_lost(pipeline: Rig, warehouse: Warehouse) -> None:
    run_id = "run-kill"
    assert pipeline.job is not None
    first = pipeline.job.pid
    assert first is not None
    records = random_records(run_id, seed=3, count=1200)
    places = pipeline.put(NAMES.stream, records[:600])
    os.kill(first, signal.SIGKILL)
    places += pipeline.put(NAMES.stream, records[600:])
    store(warehouse, accepted(records, places))
    pipeline.settle()

    assert ids(pipeline.alerts(run_id)) == expected(warehouse, run_id)
    assert pipeline.job.pid not in (None, first)


def _transaction(row: dict[str, str | None]) -> Transaction:
    def text(name: str) -> str:
        value = row[name]
        assert value is not None
        return value

    return Transaction(
        text("transaction_id"),
        Decimal(text("amount")),
        text("transaction_type"),
        datetime.fromisoformat(text("event_time")),
        row["account_id"],
        row["merchant"],
        row["country"],
        row["currency"],
        row["run_id"],
    )
