"""The timeline's widths, and its SQL as both dialects read it; a real PostgreSQL tests what it counts."""

from __future__ import annotations

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.proof.timeline import MAX_BUCKETS, bucket_width, queries
from txnpipe.warehouse.interface import Dialect


@given(st.floats(0, 1e9))
def test_no_run_makes_more_buckets_than_a_page_can_hold(span_s: float) -> None:
    # A run may begin in the last moment of one bucket.
    assert span_s // bucket_width(span_s) + 2 <= MAX_BUCKETS


def test_widths_are_round() -> None:
    assert [bucket_width(s) for s in (0, 1, 30, 100, 3600, 86_400, 10**7)] == [
        0.1,
        0.1,
        0.5,
        1,
        60,
        900,
        86_400,
    ]


@pytest.mark.parametrize("name", ["rows", "alerts", "stored", "shards"])
@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
def test_the_sql_is_read_by_its_dialect(name: str, dialect: Dialect) -> None:
    sqlglot.parse_one(queries(dialect)[name], read=dialect, error_level=sqlglot.ErrorLevel.RAISE)


@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
def test_what_the_other_dialect_has_is_not_used(dialect: Dialect) -> None:
    # Redshift has no date_bin, no FILTER, no generate_series on its nodes; PostgreSQL has no DATEDIFF.
    upper = " ".join(queries(dialect).values()).upper()
    others = (
        ("DATE_BIN", "FILTER", "GENERATE_SERIES", "::", "EPOCH") if dialect == "redshift" else ("DATEDIFF",)
    )
    assert not [word for word in others if word in upper]
