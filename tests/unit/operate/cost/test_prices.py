"""The price table, and a company's own prices over it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.operate.cost.prices import load_prices


def test_the_table_is_dated_and_every_item_has_a_source() -> None:
    prices = load_prices()
    assert (prices.as_of, prices.region) == ("2026-11-24", "us-east-1")
    for price in prices.items.values():
        assert price.per in {"hour", "month", "use"}
        assert price.amount > 0
        assert set(price.source.split(", ")) <= {"aws", "pricelist", "secondary"}


def test_a_single_secondary_source_verifies_nothing() -> None:
    unverified = [item for item, price in load_prices().items.items() if not price.verified]
    assert unverified == ["redshift_rg.large"]


def test_a_price_is_for_so_many_units() -> None:
    price = load_prices().of("kinesis_put_units")
    assert price is not None
    assert price.each == Decimal("0.000000014")


def test_an_own_price_keeps_unit_and_rules_of_the_item() -> None:
    prices = load_prices({"flink_kpu": 0.09, "kinesis_put_units": 0.012})
    kpu, units = prices.of("flink_kpu"), prices.of("kinesis_put_units")
    assert kpu is not None
    assert units is not None
    assert (kpu.amount, kpu.least_hours, kpu.source) == (Decimal("0.09"), Decimal(10) / 60, "configuration")
    assert units.each == Decimal("0.000000012")
    assert prices.own == {"flink_kpu", "kinesis_put_units"}


def test_an_own_price_is_verified_by_whoever_set_it() -> None:
    price = load_prices({"redshift_rg.large": 0.3}).of("redshift_rg.large")
    assert price is not None
    assert price.verified


def test_a_node_type_that_the_table_does_not_know_can_be_priced() -> None:
    price = load_prices({"redshift_rg.xlarge": 0.76}).of("redshift_rg.xlarge")
    assert price is not None
    assert (price.amount, price.per, price.unit) == (Decimal("0.76"), "hour", "node")


@pytest.mark.parametrize(
    ("overrides", "fix"),
    [
        ({"kinesis_shard_hors": 1}, "kinesis_shard_hour"),
        ({"xyz": 1}, "--json"),
        ({"alarm": float("inf")}, ""),
    ],
)
def test_a_price_of_nothing_is_wrong_usage(overrides: dict[str, float], fix: str) -> None:
    with pytest.raises(TxnpipeError) as caught:
        load_prices(overrides)
    assert caught.value.exit_code is ExitCode.USAGE
    assert fix in caught.value.fix
