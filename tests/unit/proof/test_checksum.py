"""Checksums: equal exactly where the rows are, whatever their order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.traffic.test_generator import manifest
from txnpipe.proof.checksum import bucket_query, row_content, total_query
from txnpipe.proof.generated_rows import GeneratedRows, run_of
from txnpipe.traffic.content import Checksum, Content, content_of_transaction, digest, micros_of, parts
from txnpipe.traffic.generator import Generator
from txnpipe.warehouse.interface import Dialect

ROW = Content("t-1", 1250, "purchase", 1_767_323_045_000_000, "a", "m", "DE", "EUR")
text = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20
)
contents = st.builds(
    Content,
    text,
    st.integers(-(10**10) + 1, 10**10 - 1),
    text,
    st.datetimes().map(micros_of),
    st.none() | text,
    st.none() | text,
    st.none() | text,
    st.none() | text,
)


@given(contents, contents)
def test_digests_are_equal_exactly_where_rows_are(one: Content, other: Content) -> None:
    assert (digest(one) == digest(other)) == (one == other)


@pytest.mark.parametrize("position", range(4, 8))
def test_an_absent_field_is_not_an_empty_one(position: int) -> None:
    absent, empty = list(ROW), list(ROW)
    absent[position], empty[position] = None, ""
    assert digest(Content._make(absent)) != digest(Content._make(empty))


def test_a_character_that_moves_to_the_next_field_is_noticed() -> None:
    assert digest(ROW._replace(country="DE", currency="EUR")) != digest(
        ROW._replace(country="D", currency="EEUR")
    )


@given(contents)
def test_both_parts_fit_a_bigint(content: Content) -> None:
    assert all(0 <= part < 2**60 for part in parts(digest(content)))


def test_a_row_of_the_warehouse_becomes_its_content() -> None:
    row = ("t-1", Decimal("12.50"), "purchase", datetime(2026, 1, 2, 3, 4, 5), "a", "m", "DE", "EUR")
    assert row_content(row) == ROW


@given(st.integers(0, 99_999))
def test_an_event_and_its_transaction_make_the_same_row(index: int) -> None:
    generator = Generator(manifest())
    assert Content(*generator.event(index)) == content_of_transaction(generator.transaction(index))


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_buckets_hold_every_row_once(count: int) -> None:
    rows = GeneratedRows(manifest(count))
    sums = rows.checksums()
    members = dict(rows.members(list(sums)))
    assert sum(each.rows for each in sums.values()) == count
    assert {bucket: len(each) for bucket, each in members.items()} == {
        bucket: each.rows for bucket, each in sums.items()
    }
    for bucket, each in members.items():
        high, low = (sum(column) for column in zip(*(parts(digest(c)) for c in each.values()), strict=True))
        assert sums[bucket] == Checksum(len(each), high, low)


def test_a_bucket_of_strange_ids_has_no_members() -> None:
    rows = GeneratedRows(manifest(1000))
    run = manifest().run_id
    strange = ["", "x", f"{run}-", f"{run}-00000x", f"{run}-000001", f"{run}-0", "\N{SUPERSCRIPT TWO}"]
    assert dict(rows.members(strange)) == {bucket: {} for bucket in strange}


def test_only_ids_of_the_run_are_found() -> None:
    rows = GeneratedRows(manifest(1000))
    run = manifest().run_id
    assert rows.find([f"{run}-000000999"]).keys() == {f"{run}-000000999"}
    for other in (f"{run}-000001000", f"{run}-1", "x", f"{run}-00000000\N{SUPERSCRIPT TWO}"):
        assert rows.find([other]) == {}


def test_an_id_tells_its_run() -> None:
    run = manifest().run_id
    assert run_of(f"{run}-000000001") == run
    assert run_of("txn123") is None
    assert run_of(f"{run}-1") is None
    assert msgspec.structs.asdict(manifest())["run_id"] == run


@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
def test_the_sql_is_read_by_its_dialect(dialect: Dialect) -> None:
    for sql in (total_query(dialect), bucket_query(dialect, "SUBSTRING(transaction_id, 1, 3)")):
        sqlglot.parse_one(sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        others = ("EPOCH", "BIT(", "::") if dialect == "redshift" else ("DATEDIFF", "STRTOL", "::")
        assert not [word for word in others if word in sql.upper()]
