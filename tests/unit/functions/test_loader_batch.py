"""From records to statements, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.events import BAD, GOOD, TUTORIAL_EVENT
from tests.corpus.lambda_events import kinesis_event, kinesis_record
from txnpipe.functions.loader import sql
from txnpipe.functions.loader.decode import TRANSACTIONS, Reject, Row, Table, decode
from txnpipe.functions.loader.insert import insert_rows
from txnpipe.functions.loader.settle import settle
from txnpipe.functions.records import StreamRecord, read_batch

ARRIVED = datetime(2026, 1, 1)
STORED = datetime(2026, 1, 1, 0, 0, 1, 250_000)


def record(number: int = 0, data: bytes = b"x") -> StreamRecord:
    return StreamRecord("shardId-000000000000", str(10**55 + number), ARRIVED, data, intact=True)


def quote(text: str) -> str:
    return f"<{text}>"


class TestDecode:
    def test_splits_a_batch_into_rows_and_rejects_in_order(self) -> None:
        cases = [case for pair in zip(GOOD, BAD, strict=False) for case in pair]
        rows, rejects = decode(TRANSACTIONS, read_batch(kinesis_event(case.data for case in cases)).records)
        assert [row.content[0] for row in rows] == [
            case.transaction.transaction_id for case in cases if case.transaction
        ]
        assert [reject.reason for reject in rejects] == [case.reason for case in cases if not case.is_valid]

    def test_a_row_has_the_columns_of_its_table(self) -> None:
        rows, _ = decode(TRANSACTIONS, read_batch(kinesis_event([TUTORIAL_EVENT])).records)
        assert dict(zip(TRANSACTIONS.columns, rows[0].content, strict=True)) == {
            "transaction_id": "txn123",
            "amount": Decimal("12000.00"),
            "transaction_type": "purchase",
            "timestamp": datetime(2024, 12, 21, 10),
            "account_id": None,
            "merchant": None,
            "country": None,
            "currency": None,
            "run_id": None,
        }

    def test_broken_base64_is_a_reject_even_where_its_text_is_an_event(self) -> None:
        batch = read_batch({"Records": [kinesis_record(TUTORIAL_EVENT.decode())]})
        rows, rejects = decode(TRANSACTIONS, batch.records)
        assert (rows, [reject.reason for reject in rejects]) == ([], ["not_base64"])


class TestSettle:
    def rows(self, *contents: tuple[str, int]) -> list[Row]:
        return [Row(content, record(n)) for n, content in enumerate(contents)]

    table = Table("t", ("id", "value"), lambda data: (data,), ids_bind=True)
    loose = Table("t", ("id", "value"), lambda data: (data,), ids_bind=False)

    def test_the_first_of_an_id_is_new_and_the_next_a_repeat(self) -> None:
        rows = self.rows(("a", 1), ("b", 1), ("a", 1), ("a", 1))
        settled = settle(self.table, rows, [])
        assert (settled.new, settled.repeats, settled.reused) == (rows[:2], 2, [])

    def test_what_is_stored_is_a_repeat(self) -> None:
        settled = settle(self.table, self.rows(("a", 1), ("b", 1)), [("a", 1)])
        assert ([row.content for row in settled.new], settled.repeats) == ([("b", 1)], 1)

    def test_an_id_with_other_content_is_a_reject_that_names_the_columns(self) -> None:
        settled = settle(self.table, self.rows(("a", 2), ("b", 1), ("b", 2)), [("a", 1)])
        assert [row.content for row in settled.new] == [("b", 1)]
        assert [reject.reason for reject in settled.reused] == ["id_reused", "id_reused"]
        assert settled.reused[0].detail == "'a' was stored before; they differ in value"

    def test_what_need_not_be_equal_is_neither_compared_nor_named(self) -> None:
        rows = self.rows(("a", 1), ("a", 2))
        apart = replace(self.table, apart_from=frozenset({"value"}))
        assert settle(apart, rows, [("a", 3)]) == ([], 2, [])
        three = Table("t", ("id", "run", "value"), lambda data: (data,), True, frozenset({"run"}))
        reused = settle(three, [Row(("a", "r-2", 2), record())], [("a", "r-1", 1)]).reused
        assert [each.detail for each in reused] == ["'a' was stored before; they differ in value"]

    def test_any_of_several_stored_contents_is_a_repeat(self) -> None:
        """As after a repeat outside the window."""
        settled = settle(self.table, self.rows(("a", 1), ("a", 2)), [("a", 1), ("a", 2)])
        assert (settled.new, settled.repeats) == ([], 2)

    def test_ids_of_alerts_do_not_bind_their_content(self) -> None:
        settled = settle(self.loose, self.rows(("a", 2), ("b", 1), ("b", 2)), [("a", 1)])
        assert ([row.content for row in settled.new], settled.repeats, settled.reused) == ([("b", 1)], 2, [])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2))), st.data())
    def test_split_anywhere_the_outcome_is_the_same(
        self, contents: list[tuple[str, int]], data: st.DataObject
    ) -> None:
        rows = self.rows(*contents)
        whole = settle(self.table, rows, [])
        cut = data.draw(st.integers(0, len(rows)))
        first = settle(self.table, rows[:cut], [])
        second = settle(self.table, rows[cut:], [row.content for row in first.new])
        assert first.new + second.new == whole.new
        assert first.repeats + second.repeats == whole.repeats
        assert first.reused + second.reused == whole.reused
        again = settle(self.table, rows, [row.content for row in whole.new])
        assert (again.new, again.reused) == ([], whole.reused)


class TestStatements:
    def test_begin_takes_the_lock_before_anything_that_takes_a_snapshot(self) -> None:
        assert sql.begin(1500) == "BEGIN;SET statement_timeout TO 1500;LOCK TABLE loader_mutex;"

    def test_commit_is_one_message(self) -> None:
        assert sql.commit(["A", "B"], 7) == "SET statement_timeout TO 7;A;B;COMMIT"

    def test_asks_for_each_id_once_and_within_the_window(self) -> None:
        rows = [Row((name, 1), record()) for name in ("a", "b", "a")]
        table = Table("t", ("id", "value"), lambda data: (data,), ids_bind=True)
        assert sql.select_stored(table, rows, ARRIVED, quote) == (
            'SELECT "id", "value" FROM t WHERE arrived_at >= \'2026-01-01 00:00:00\' AND id IN (<a>,<b>)'
        )

    def test_a_reject_keeps_the_first_32_kb_and_describes_the_whole(self) -> None:
        data = bytes(range(256)) * 200
        text = sql.insert_rejects("S", [Reject(record(data=data), "reason", "d" * 600)], STORED, quote)
        assert ",51200,'" in text
        assert f"'{Reject(record(data=data), '', '').sha256}'" in text
        assert f"<{'d' * 500}>" in text
        payload = text.split("'")[3]
        assert len(payload) == 43_692 < 65_535

    def test_a_batch_of_lambdas_largest_size_stays_within_redshifts_largest_statement(self) -> None:
        """6 MB of records that quoting doubles: rows and rejects of quotes, ten thousand of them."""
        event = (
            b'{"transaction_id":"%d","amount":1,"transaction_type":"' + b"'" * 20 + b'","timestamp":'
            b'"2024-12-21T10:00:00Z","merchant":"' + b"'" * 100 + b'"}'
        )
        batch = read_batch(kinesis_event(event % n for n in range(10_000)))
        rows, _ = decode(TRANSACTIONS, batch.records)
        assert len(rows) == 10_000
        for constant_tables in (False, True):
            doubled = insert_rows(
                TRANSACTIONS,
                rows,
                STORED,
                lambda text: "'" + text.replace("'", "''") + "'",
                constant_tables=constant_tables,
            )
            assert sum(map(len, doubled)) < 16 * 1024 * 1024
        rejects = [Reject(each, "reason", "d" * 300) for each in batch.records]
        assert len(sql.insert_rejects("S" * 128, rejects, STORED, quote)) < 16 * 1024 * 1024


def test_statements_hold_nothing_that_redshift_does_not_know() -> None:
    rows = [Row(("a", Decimal(1), "p", ARRIVED, *[None] * 5), record())]
    rejects = [Reject(record(), "reason", "detail")]
    text = " ".join(
        [
            sql.begin(1),
            sql.select_stored(TRANSACTIONS, rows, ARRIVED, quote),
            sql.select_rejected("S", rejects, quote),
            sql.commit(
                [
                    *insert_rows(TRANSACTIONS, rows, STORED, quote, constant_tables=False),
                    sql.insert_rejects("S", rejects, STORED, quote),
                ],
                1,
            ),
        ]
    ).upper()
    forbidden: list[Any] = [
        "ON CONFLICT",
        "RETURNING",
        "MERGE",
        "GETDATE",
        "::",
        "ANY(",
        " MODE",
        "SET LOCAL",
        "E'",
        "FROM (VALUES",
    ]
    assert [word for word in forbidden if word in text] == []
