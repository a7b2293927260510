"""What the loader leaves in the tables of a real PostgreSQL."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.events import BAD, GOOD, POISON, TUTORIAL_EVENT, TUTORIAL_TRANSACTION
from tests.corpus.lambda_events import ALERT_STREAM_ARN, ARRIVED_AT, kinesis_event, kinesis_record
from tests.integration.loader.conftest import PASSWORD, Load, Warehouse
from txnpipe.functions.records import read_batch
from txnpipe.transactions import FORBIDDEN_CHARACTERS, Transaction, encode

DAY_S = 86_400


def transaction(number: int, **changes: Any) -> bytes:
    base = Transaction(
        f"t-{number:05d}",
        Decimal(number).scaleb(-2),
        "purchase",
        datetime(2024, 12, 21, 10, 0, 0, number),
        account_id=f"a-{number % 7}",
        run_id="r-1",
    )
    return encode(dataclasses.replace(base, **changes))


def alert(number: int, **changes: Any) -> bytes:
    fields = {
        "alert_id": f"large_amount:t-{number}",
        "rule": "large_amount",
        "transaction_id": f"t-{number}",
        "account_id": None,
        "amount": 12000.5,
        "event_time": "2024-12-21T10:00:00Z",
        "detected_at": "2026-01-01T00:00:01.5Z",
        "run_id": "r-1",
        "detail": "amount above 10000",
    }
    return json.dumps({**fields, **changes}).encode()


def test_the_tutorials_event_is_one_row(warehouse: Warehouse, load: Load) -> None:
    load(kinesis_event([TUTORIAL_EVENT]))
    rows = warehouse.sql(
        'SELECT transaction_id, amount::text, transaction_type, "timestamp", account_id, arrived_at,'
        " stored_at - LOCALTIMESTAMP < INTERVAL '10 s', shard_id, sequence_number FROM transactions"
    )
    assert rows == [
        (
            "txn123",
            "12000.00",
            "purchase",
            datetime(2024, 12, 21, 10),
            None,
            datetime(2026, 1, 1, 0, 0, 0, 125_000),
            True,
            "shardId-000000000000",
            "49590338271490256608559692538361571095921575989136588898",
        )
    ]


def test_every_good_event_of_the_corpus_is_stored_exactly(warehouse: Warehouse, load: Load) -> None:
    expected = []
    for number, case in enumerate(GOOD):
        assert case.transaction is not None
        unique = dataclasses.replace(case.transaction, transaction_id=f"{number}")
        expected.append(dataclasses.astuple(unique))
    load(kinesis_event(encode(Transaction(*content)) for content in expected))
    stored = warehouse.sql(
        'SELECT transaction_id, amount, transaction_type, "timestamp", account_id, merchant, country,'
        " currency, run_id FROM transactions ORDER BY transaction_id::int"
    )
    assert stored == expected


def test_every_bad_event_of_the_corpus_is_a_reject_with_its_reason(warehouse: Warehouse, load: Load) -> None:
    load(kinesis_event(case.data for case in BAD))
    stored = warehouse.sql(
        "SELECT reason, payload_bytes, payload_sha256, payload, stream FROM rejected_transactions"
        " ORDER BY sequence_number"
    )
    assert stored == [
        (
            case.reason,
            len(case.data),
            hashlib.sha256(case.data).hexdigest(),
            base64.b64encode(case.data[:32_768]).decode(),
            "TransactionStream",
        )
        for case in BAD
    ]
    assert warehouse.sql("SELECT count(*) FROM transactions") == [(0,)]


def test_a_thousand_records_with_a_hundred_poisoned_ones(warehouse: Warehouse, load: Load) -> None:
    payloads: list[bytes] = [transaction(number) for number in range(1000)]
    for position in range(0, 1000, 10):
        payloads[position] = POISON[position // 10 % len(POISON)].data
    outcome = load(kinesis_event(payloads))
    assert (outcome.stored.rows, outcome.stored.rejects_stored) == (900, 100)
    assert warehouse.sql("SELECT count(*), count(DISTINCT transaction_id) FROM transactions") == [(900, 900)]
    reasons = warehouse.sql("SELECT reason FROM rejected_transactions ORDER BY sequence_number")
    assert [reason for (reason,) in reasons] == [POISON[n % len(POISON)].reason for n in range(100)]


def test_data_that_is_not_base64_is_a_reject(warehouse: Warehouse, load: Load) -> None:
    load({"Records": [kinesis_record("%%not base64%%"), kinesis_record(transaction(1), 1)]})
    assert warehouse.sql("SELECT reason, payload_bytes FROM rejected_transactions") == [("not_base64", 14)]
    assert warehouse.sql("SELECT transaction_id FROM transactions") == [("t-00001",)]


def test_ten_thousand_records_are_one_batch(warehouse: Warehouse, load: Load) -> None:
    event = kinesis_event(transaction(number) for number in range(10_000))
    assert load(event).stored.rows == 10_000
    assert load(event).stored.repeats == 10_000
    assert warehouse.sql("SELECT count(*), count(DISTINCT transaction_id) FROM transactions") == [
        (10_000, 10_000)
    ]


def test_the_same_id_with_other_content_is_rejected(warehouse: Warehouse, load: Load) -> None:
    """Within a batch as well as against stored rows; whoever came first stays."""
    load(kinesis_event([transaction(1), transaction(1, merchant="other"), transaction(1)]))
    load(kinesis_event([transaction(1, amount=Decimal("9.99")), transaction(1)], first=10))
    assert warehouse.sql("SELECT transaction_id, amount, merchant FROM transactions") == [
        ("t-00001", Decimal("0.01"), None)
    ]
    rejects = warehouse.sql("SELECT reason, detail FROM rejected_transactions ORDER BY sequence_number")
    assert [reason for reason, _ in rejects] == ["id_reused", "id_reused"]
    assert [detail.partition("differ in ")[2] for _, detail in rejects] == ["merchant", "amount"]


def test_the_same_event_of_another_run_is_a_repeat(warehouse: Warehouse, load: Load) -> None:
    """A file that is sent again; the rows stay those of the run that came first."""
    load(kinesis_event([transaction(n) for n in range(3)]))
    again = [transaction(n, run_id=run) for n in range(4) for run in ("r-2", "r-3", None)]
    outcome = load(kinesis_event(again, first=10))
    assert (outcome.stored.rows, outcome.stored.repeats, outcome.stored.rejects) == (1, 11, [])
    assert warehouse.sql("SELECT transaction_id, run_id FROM transactions ORDER BY transaction_id") == [
        ("t-00000", "r-1"),
        ("t-00001", "r-1"),
        ("t-00002", "r-1"),
        ("t-00003", "r-2"),
    ]


def test_an_equal_event_written_differently_is_a_repeat(warehouse: Warehouse, load: Load) -> None:
    fields = json.loads(TUTORIAL_EVENT)
    again = {**fields, "amount": "12000.00", "timestamp": "2024-12-21 11:00:00+01:00", "note": "unknown"}
    outcome = load(kinesis_event([TUTORIAL_EVENT, json.dumps(again).encode(), encode(TUTORIAL_TRANSACTION)]))
    assert (outcome.stored.rows, outcome.stored.repeats, outcome.stored.rejects) == (1, 2, [])


@pytest.mark.parametrize(
    "text",
    [
        "O'Neil",
        "\\",
        "\\'",
        "'; DROP TABLE transactions; --",
        "E'\\x41'",
        "%s %(x)s %%",
        "\u2028Ä\U0001f600",
        "$$",
        "a--b",
    ],
)
def test_any_text_arrives_as_it_was(warehouse: Warehouse, load: Load, text: str) -> None:
    load(kinesis_event([transaction(1, transaction_id=text, account_id=text, merchant=text)]))
    load(kinesis_event([transaction(1, transaction_id=text, account_id=text, merchant=text)]))
    assert warehouse.sql("SELECT transaction_id, account_id, merchant FROM transactions") == [(text,) * 3]


@pytest.mark.parametrize("count", [1, 2, 500, 501, 1001])
def test_values_that_all_rows_share_and_those_that_differ_arrive_alike(
    warehouse: Warehouse, load: Load, count: int
) -> None:
    """One merchant with a quote and a percent sign for all; no country; a currency for every third."""
    payloads = [
        transaction(n, merchant="O'Neil 100% \\", currency=None if n % 3 else "E'") for n in range(count)
    ]
    assert load(kinesis_event(payloads)).stored.rows == count
    assert load(kinesis_event(payloads, first=count)).stored.repeats == count
    assert warehouse.sql(
        "SELECT transaction_id, amount, merchant, country, currency, run_id, shard_id, arrived_at"
        " FROM transactions ORDER BY transaction_id"
    ) == [
        (
            f"t-{n:05d}",
            Decimal(n).scaleb(-2),
            "O'Neil 100% \\",
            None,
            None if n % 3 else "E'",
            "r-1",
            "shardId-000000000000",
            read_batch(kinesis_event([b""], first=n)).records[0].arrived_at,
        )
        for n in range(count)
    ]


def test_a_text_too_long_for_its_column_is_an_error_and_not_cut(warehouse: Warehouse, load: Load) -> None:
    """The contract lets none through. Should it ever, a batch that fails shows, a cut id would not."""
    warehouse.sql("ALTER TABLE transactions ALTER merchant TYPE VARCHAR(4)")
    try:
        for second in ("abcd", "other"):
            with pytest.raises(psycopg2.errors.StringDataRightTruncation):
                load(kinesis_event([transaction(1, merchant="abcde"), transaction(2, merchant=second)]))
        assert warehouse.sql("SELECT count(*) FROM transactions") == [(0,)]
    finally:
        warehouse.sql("ALTER TABLE transactions ALTER merchant TYPE VARCHAR(100)")


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5).filter(
    lambda text: re.search(FORBIDDEN_CHARACTERS, text) is None
)


_SOME = st.sampled_from(["same", "it's", "100%"]) | _TEXT
"""Often a value that other rows have as well: then it may be written once for all."""
_ROW = st.tuples(
    st.sampled_from([Decimal("-99999999.99"), Decimal("0.00")]) | st.decimals(-99999999, 99999999, places=2),
    _SOME,
    st.sampled_from([datetime.min, datetime(2024, 2, 29, 23, 59, 59, 999_999)]) | st.datetimes(),
    st.none() | _SOME,
    st.none() | st.text("\\'{}% ,", max_size=9),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ROW, max_size=45))
def test_any_rows_arrive_each_as_it_was(
    warehouse: Warehouse, load: Load, rows: list[tuple[Decimal, str, datetime, str | None, str | None]]
) -> None:
    """Whatever the rows beside it hold: they travel in one statement."""
    warehouse.sql("TRUNCATE transactions")
    load(
        kinesis_event(
            transaction(
                n, amount=amount, transaction_type=kind, timestamp=moment, merchant=merchant, country=country
            )
            for n, (amount, kind, moment, merchant, country) in enumerate(rows)
        )
    )
    assert warehouse.sql(
        'SELECT transaction_id, amount, transaction_type, "timestamp", merchant, country, currency'
        " FROM transactions ORDER BY transaction_id"
    ) == [
        (f"t-{n:05d}", amount, kind, moment, merchant, country or None, None)
        for n, (amount, kind, moment, merchant, country) in enumerate(rows)
    ]


def test_a_repeat_outside_the_window_is_a_new_row(warehouse: Warehouse, load: Load) -> None:
    for days, rows in ((0, 1), (6.9, 1), (7.1, 2)):
        load(kinesis_event([transaction(1)], first=int(days * 10), arrived_at=ARRIVED_AT + days * DAY_S))
        assert warehouse.sql("SELECT count(*) FROM transactions") == [(rows,)]


def test_alerts_are_stored_once_per_alert_id(warehouse: Warehouse, load: Load) -> None:
    """An alert found again carries another time of detection; it is the same alert."""
    payloads = [alert(1), alert(2), alert(1, detected_at="2026-01-01T00:00:09Z"), b"broken"]
    load(kinesis_event(payloads, stream_arn=ALERT_STREAM_ARN))
    load(kinesis_event([alert(2)], first=9, stream_arn=ALERT_STREAM_ARN))
    assert warehouse.sql(
        "SELECT alert_id, rule, transaction_id, account_id, amount, event_time, detected_at, run_id, detail"
        " FROM alerts ORDER BY alert_id"
    ) == [
        (
            f"large_amount:t-{number}",
            "large_amount",
            f"t-{number}",
            None,
            Decimal("12000.50"),
            datetime(2024, 12, 21, 10),
            datetime(2026, 1, 1, 0, 0, 1, 500_000),
            "r-1",
            "amount above 10000",
        )
        for number in (1, 2)
    ]
    assert warehouse.sql("SELECT stream, reason FROM rejected_transactions") == [
        ("TransactionAlerts", "invalid_json")
    ]
    assert warehouse.sql("SELECT count(*) FROM transactions") == [(0,)]


def test_rejects_of_two_shards_and_streams_do_not_mix(warehouse: Warehouse, load: Load) -> None:
    for _ in range(2):
        load(kinesis_event([b"x"], shard=0))
        load(kinesis_event([b"x"], shard=1))
        load(kinesis_event([b"x"], stream_arn=ALERT_STREAM_ARN))
    assert warehouse.sql("SELECT count(*) FROM rejected_transactions") == [(3,)]


def _mixed_records() -> list[dict[str, Any]]:
    """Forty records: new ones, repeats, reused ids and bad ones."""
    payloads: list[bytes | str] = []
    for number in range(10):
        payloads += [
            transaction(number),
            transaction(number // 2, run_id="r-2"),
            transaction(number, merchant="other"),
        ]
        payloads.append(POISON[number].data if number % 2 else "no base64!")
    return [kinesis_record(data, offset) for offset, data in enumerate(payloads)]


MIXED = _mixed_records()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_redelivery_in_any_split_changes_nothing(warehouse: Warehouse, data: st.DataObject) -> None:
    """The first delivery is split anyhow; so is each of two more, and any batch may be delivered twice."""
    warehouse.sql("TRUNCATE transactions, alerts, rejected_transactions")
    loader = warehouse.loader()

    def deliver() -> None:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(MIXED) - 1), max_size=5)))
        for start, end in zip([0, *cuts], [*cuts, len(MIXED)], strict=True):
            for _ in range(data.draw(st.integers(1, 2))):
                loader.load(read_batch({"Records": MIXED[start:end]}), lambda: 60_000)

    deliver()
    first = warehouse.snapshot()
    assert len(first["transactions"]) == 10
    assert len(first["rejected"]) == 20
    deliver()
    deliver()
    assert warehouse.snapshot() == first
    loader._warehouse.drop()


def test_the_loaders_user_can_read_and_insert_and_nothing_else(warehouse: Warehouse) -> None:
    connection = psycopg2.connect(
        host="127.0.0.1", port=warehouse.port, dbname="txnpipe", user="txnpipe_loader", password=PASSWORD
    )
    for statement in (
        "DELETE FROM transactions",
        "UPDATE transactions SET amount = 0",
        "TRUNCATE transactions",
        "DROP TABLE alerts",
        "CREATE TABLE mine (a int)",
        "SELECT * FROM schema_migrations",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), connection.cursor() as cursor:
            cursor.execute(statement)
        connection.rollback()
    connection.close()
