"""Values enter SQL safely, whichever way it goes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.warehouse.parameters import expand, for_data_api, for_psycopg2, literal


def test_psycopg2_gets_named_placeholders_and_doubled_percent_signs() -> None:
    sql, values = for_psycopg2("SELECT '5%' LIKE :pattern, a::int % 2", {"pattern": "x%"})
    assert sql == "SELECT '5%%' LIKE %(pattern)s, a::int %% 2"
    assert values == {"pattern": "x%"}


def test_the_data_api_gets_strings_bound_and_the_rest_as_literals() -> None:
    sql, bound = for_data_api(
        "SELECT :s, :i, :d, :t, :day, :b, :n, :empty",
        {
            "s": "it's; DROP",
            "i": -5,
            "d": Decimal("1E+3"),
            "t": datetime(2024, 12, 21, 10, 0, 0, 5),
            "day": date(2024, 12, 21),
            "b": False,
            "n": None,
            "empty": "",
        },
    )
    assert sql == (
        "SELECT :s, -5, 1000, TIMESTAMP '2024-12-21 10:00:00.000005', DATE '2024-12-21', FALSE, NULL, ''"
    )
    assert bound == [{"name": "s", "value": "it's; DROP"}]


def test_statements_of_one_batch_do_not_share_names() -> None:
    sql, bound = for_data_api("SELECT :a", {"a": "x"}, "s3_")
    assert (sql, bound) == ("SELECT :s3_a", [{"name": "s3_a", "value": "x"}])


def test_a_tuple_becomes_a_list_of_parameters() -> None:
    sql, values = expand("a IN :ids", {"ids": ("x", 'y"; --', 3)})
    assert sql == "a IN (:ids__0, :ids__1, :ids__2)"
    assert values == {"ids__0": "x", "ids__1": 'y"; --', "ids__2": 3}


def test_a_missing_value_and_an_empty_tuple_are_refused() -> None:
    with pytest.raises(ValueError, match=":a has no value"):
        expand("SELECT :a", {})
    with pytest.raises(ValueError, match="empty"):
        expand("a IN :ids", {"ids": ()})


@pytest.mark.parametrize(
    "value", [1.5, b"x", datetime(2024, 1, 1, tzinfo=UTC), Decimal("NaN"), ["x"], "text"]
)
def test_what_has_no_exact_literal_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        literal(value)


@given(st.text(min_size=1))
def test_no_string_ever_enters_the_text_of_a_statement(value: str) -> None:
    sql, bound = for_data_api("SELECT :v", {"v": value})
    assert sql == "SELECT :v"
    assert bound == [{"name": "v", "value": value}]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_a_decimal_keeps_its_value(value: Decimal) -> None:
    assert Decimal(literal(value)) == value
