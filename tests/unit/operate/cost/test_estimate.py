"""What a pipeline costs: sums worked out by hand, and what must hold whatever the settings are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.config import Settings
from txnpipe.operate.cost.bill import Line, money, total
from txnpipe.operate.cost.estimate import Cost, cost_of_shards, estimate, in_a_sentence
from txnpipe.operate.cost.footprint import FunctionPrint, ServerlessPrint, footprint
from txnpipe.operate.cost.prices import HOURS_PER_MONTH, load_prices
from txnpipe.operate.cost.standing import standing
from txnpipe.operate.cost.traffic import Traffic, invocations_per_hour, traffic

HOUR = Decimal(1)
ROUNDING = Decimal("1e-15")
"""What 28 digits of a quotient may be off."""
PRICES = load_prices()


def settings_of(**sections: Any) -> Settings:
    return msgspec.convert(sections, Settings)


def dollars(lines: list[Line], hours: Decimal = HOUR) -> dict[str, Decimal]:
    """Item → dollars, added up."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        cost = line.cost(hours)
        assert cost is not None
        sums[line.item] = sums.get(line.item, Decimal(0)) + cost
    return sums


def test_the_default_pipeline_standing_still() -> None:
    found = dollars(standing(footprint(Settings()), PRICES), HOURS_PER_MONTH)
    assert found == {
        "kinesis_shard_hour": Decimal("21.90"),  # 2 × 0.015 × 730
        "redshift_rg.large": Decimal("277.473"),
        "flink_kpu": Decimal("160.60"),  # 2 × 0.11 × 730
        "flink_storage": Decimal("5.00"),
        "endpoint_zone": Decimal("7.30"),
        "secret": Decimal("0.80"),
        "alarm": Decimal("1.00"),
    }
    assert estimate(Settings()).total(HOURS_PER_MONTH) == sum(found.values())


def test_traffic_of_a_thousand_records_a_second() -> None:
    shape = footprint(settings_of(loader={"batch_size": 500}))
    found = dollars(traffic(shape, Traffic(Decimal(1000), 300), PRICES))
    # 3.6 M records and 36,000 alerts are a payload unit each.
    assert found["kinesis_put_units"] == Decimal("3.636") * Decimal("0.014")
    # Batches of 500 fill twice a second, alerts go once a second, to the loader and to the notifier.
    calls = 7200 + 3600 + 3600
    assert found["lambda_requests"] == calls * Decimal("0.20") / 1_000_000
    loader = (10_800 * Decimal("0.1") + 3_636_000 * Decimal("0.0002")) * 512 / 1024
    notifier = (3600 * Decimal("0.1") + 36_000 * Decimal("0.0002")) * 256 / 1024
    assert found["lambda_arm64"] == (loader + notifier) * Decimal("0.0000133334")
    assert found["sns_requests"] == Decimal("0.018")
    assert found["logs_in"] == calls * 1000 * Decimal("0.50") / 1024**3


def test_a_record_of_more_than_25_kb_is_two_payload_units() -> None:
    shape = footprint(Settings())
    small, large = (
        dollars(traffic(shape, Traffic(Decimal(100), size), PRICES))["kinesis_put_units"]
        for size in (25 * 1024, 25 * 1024 + 1)
    )
    alerts = Decimal("0.0036") * Decimal("0.014")
    assert large - alerts == 2 * (small - alerts)


def test_an_on_demand_stream_costs_by_the_gb_and_each_record_by_the_whole_kb() -> None:
    shape = footprint(settings_of(stream={"mode": "on-demand"}), shards=8)
    assert dollars(standing(shape, PRICES))["kinesis_on_demand_stream"] == Decimal("0.040")
    found = dollars(traffic(shape, Traffic(Decimal(100), 300), PRICES))
    written = Decimal(360_000) * 1024 / 1024**3
    assert found["kinesis_on_demand_in"] == written * Decimal("0.08")
    assert found["kinesis_on_demand_out"] == 2 * written * Decimal("0.04")


@pytest.mark.parametrize(
    ("hours", "extended", "longer"), [(24, 0, 0), (48, 1, 0), (168, 1, 0), (169, 1, 1), (8760, 1, 1)]
)
def test_longer_retention_costs_by_the_shard_and_beyond_a_week_by_the_gb(
    hours: int, extended: int, longer: int
) -> None:
    shape = footprint(settings_of(stream={"retention_hours": hours, "shards": 3}))
    by_shard = [line for line in standing(shape, PRICES) if line.item == "kinesis_extended_retention"]
    assert [line.quantity for line in by_shard] == [Decimal(3), Decimal(1)][: 2 * extended]
    by_gb = [
        line
        for line in traffic(shape, Traffic(Decimal(10), 300), PRICES)
        if line.item == "kinesis_long_retention"
    ]
    assert len(by_gb) == 2 * longer


@pytest.mark.parametrize(
    ("limit", "monthly"),
    [
        ({}, 120 * Decimal(730) / 24),  # the default bounds a day
        ({"usage_limit_rpu_hours": 700, "usage_limit_period": "weekly"}, 100 * Decimal(730) / 24),
        ({"usage_limit_rpu_hours": 500, "usage_limit_period": "monthly"}, Decimal(500)),
        ({"usage_limit_action": "log"}, None),
    ],
)
def test_only_a_limit_that_turns_it_off_bounds_a_serverless_warehouse(
    limit: dict[str, Any], monthly: Decimal | None
) -> None:
    found = footprint(settings_of(warehouse={"kind": "serverless", **limit})).warehouse
    assert isinstance(found, ServerlessPrint)
    bound = found.monthly_limit_rpu_hours
    assert (bound if bound is None else round(bound, 6)) == (
        monthly if monthly is None else round(monthly, 6)
    )


def serverless(limit: Decimal | None) -> Line:
    shape = replace(footprint(Settings()), warehouse=ServerlessPrint(8, limit))
    return next(line for line in standing(shape, PRICES) if line.item == "redshift_serverless_rpu")


@pytest.mark.parametrize(
    ("limit", "monthly", "note"),
    [
        (None, 8 * 730 * Decimal("0.375"), "no usage limit bounds what scaling adds"),
        (Decimal(1000), Decimal(375), "turns it off at 1,000 RPU-hours a month, $375"),
        (Decimal(10_000), 8 * 730 * Decimal("0.375"), "turns it off at 10,000 RPU-hours a month, $3,750"),
    ],
)
def test_serverless_is_shown_awake_and_never_above_its_usage_limit(
    limit: Decimal | None, monthly: Decimal, note: str
) -> None:
    line = serverless(limit)
    cost = line.cost(HOURS_PER_MONTH)
    assert cost is not None
    assert round(cost, 9) == monthly
    assert line.note.endswith(note)


def test_alarms_and_custom_metrics_cost_by_the_month() -> None:
    shape = footprint(settings_of(stream={"shard_metrics": ["IncomingBytes"]}))
    found = dollars(standing(replace(shape, alarms=6), PRICES), HOURS_PER_MONTH)
    assert (found["alarm"], found["custom_metric"]) == (Decimal("0.60"), Decimal("0.60"))


@pytest.mark.parametrize(
    ("stream", "metrics"),
    [
        ({"shards": 2, "shard_metrics": ["IncomingBytes"]}, 3),
        ({"shards": 2, "shard_metrics": ["ALL"]}, 21),
        ({"mode": "on-demand", "shard_metrics": ["IncomingBytes"]}, 5),
    ],
)
def test_a_shard_s_metrics_are_custom_metrics_of_both_streams(stream: dict[str, Any], metrics: int) -> None:
    assert footprint(settings_of(stream=stream)).shard_metrics == metrics


def test_an_endpoint_that_is_not_made_costs_nothing() -> None:
    existing = settings_of(network={"secrets_endpoint": "existing"})
    assert "endpoint_zone" not in dollars(standing(footprint(existing), PRICES))


@pytest.mark.parametrize(("parallelism", "per_kpu", "kpus"), [(1, 1, 1), (4, 1, 4), (4, 4, 1), (5, 4, 2)])
def test_so_many_tasks_share_a_kpu(parallelism: int, per_kpu: int, kpus: int) -> None:
    shape = footprint(settings_of(analytics={"parallelism": parallelism, "parallelism_per_kpu": per_kpu}))
    assert dollars(standing(shape, PRICES))["flink_kpu"] == (kpus + 1) * Decimal("0.11")


def test_auto_scaling_is_told_to_cost_more_under_load() -> None:
    assert "auto scaling" in " ".join(estimate(settings_of(analytics={"auto_scaling": True})).notes)
    assert "auto scaling" not in " ".join(estimate(Settings()).notes)


def test_alarms_that_are_off_cost_nothing() -> None:
    off = settings_of(alarms={"enabled": False})
    assert "alarm" not in dollars(standing(footprint(off), PRICES))


def test_the_functions_metrics_cost_only_while_records_flow() -> None:
    shape = footprint(Settings())
    assert "custom_metric" not in dollars(standing(shape, PRICES))
    found = dollars(traffic(shape, Traffic(Decimal(1), 300), PRICES), HOURS_PER_MONTH)
    # The loader's six for the pipeline and for each of two streams, the notifier's four.
    assert found["custom_metric"] == 22 * Decimal("0.30")


def test_a_short_life_costs_the_shortest_time_that_is_billed() -> None:
    found = dollars(standing(footprint(Settings()), PRICES), Decimal("0.05"))
    assert found["flink_kpu"] == 2 * Decimal("0.11") * Decimal(10) / 60
    assert found["endpoint_zone"] == Decimal("0.01")
    assert found["redshift_rg.large"] == Decimal("0.3801") * Decimal("0.05")


def test_no_time_costs_nothing() -> None:
    assert total(standing(footprint(Settings()), PRICES), Decimal(0)) == 0


def test_e_mail_and_https_subscriptions_cost_by_the_alert() -> None:
    subscriptions = [
        {"protocol": "email", "endpoint": "a@example.com"},
        {"protocol": "https", "endpoint": "https://example.com"},
        {"protocol": "sqs", "endpoint": "arn:aws:sqs:us-east-1:1:q"},
    ]
    shape = footprint(settings_of(topic={"subscriptions": subscriptions}))
    found = dollars(traffic(shape, Traffic(Decimal(100), 300), PRICES))
    assert found["sns_email"] == 3600 * Decimal("2.00") / 100_000
    assert found["sns_https"] == 3600 * Decimal("0.06") / 100_000


def test_without_traffic_only_what_stands_costs() -> None:
    assert {line.kind for line in estimate(Settings()).lines} == {"standing"}


def test_an_unpriced_node_type_is_said_and_the_sum_is_a_lower_bound() -> None:
    found = estimate(settings_of(warehouse={"node_type": "rg.4xlarge"}))
    assert found.unpriced == ("redshift_rg.4xlarge",)
    assert "No price is known for redshift_rg.4xlarge" in " ".join(found.notes)
    assert "at least $0.27 an hour" in in_a_sentence(found)


def test_another_region_is_told_whose_prices_these_are() -> None:
    assert "prices of us-east-1" in " ".join(estimate(settings_of(region="eu-west-1")).notes)
    assert "prices of us-east-1" not in " ".join(estimate(Settings()).notes)


def test_whoever_prices_every_item_is_not_told_of_another_region() -> None:
    items = {line.item: 1.0 for line in estimate(Settings()).lines}
    found = estimate(settings_of(region="eu-west-1", prices=items))
    assert "us-east-1" not in " ".join(found.notes)


def test_an_unverified_price_is_said() -> None:
    assert "†" in " ".join(estimate(Settings()).notes)
    assert "†" not in " ".join(estimate(settings_of(prices={"redshift_rg.large": 0.3})).notes)


def test_what_more_shards_cost() -> None:
    assert cost_of_shards(Settings(), 4, HOURS_PER_MONTH) == Decimal("43.80")
    kept = settings_of(stream={"retention_hours": 48})
    assert cost_of_shards(kept, 4, HOURS_PER_MONTH) == 4 * 730 * Decimal("0.035")


def loader(batch_size: int, window_s: int = 1) -> FunctionPrint:
    return FunctionPrint("loader", 512, batch_size, window_s)


@pytest.mark.parametrize(
    ("rate", "batch", "window", "shards", "calls"),
    [
        ("0.1", 1000, 1, 1, 360),  # fewer than one a second: each record by itself
        ("100", 1000, 1, 1, 3600),  # the window ends before the batch is full
        ("100", 1000, 10, 1, 360),
        ("100", 1000, 0, 1, 3600),  # no window: Lambda looks once a second
        ("100", 10, 1, 1, 36_000),  # full batches
        ("100", 1000, 1, 4, 14_400),  # each shard has batches of its own
    ],
)
def test_how_often_lambda_is_called(rate: str, batch: int, window: int, shards: int, calls: int) -> None:
    load = Traffic(Decimal(rate), 300)
    assert invocations_per_hour(loader(batch, window), load, shards) == calls


def test_a_batch_ends_at_six_megabytes() -> None:
    load = Traffic(Decimal(100), 100_000)
    assert round(invocations_per_hour(loader(1000, 300), load, 1), 6) == round(360_000 / Decimal(44), 6)


rates = st.decimals(min_value=0, max_value=1_000_000, places=3)
sizes = st.integers(min_value=1, max_value=1_048_576)
shard_counts = st.integers(min_value=1, max_value=1000)
spans = st.decimals(min_value=0, max_value=10_000, places=2)


def of(rate: Decimal, size: int, shards: int) -> Cost:
    return estimate(settings_of(stream={"shards": shards}), Traffic(rate, size))


@given(rates, rates, sizes, shard_counts, spans)
def test_more_records_never_cost_less(
    rate: Decimal, more: Decimal, size: int, shards: int, hours: Decimal
) -> None:
    assert of(rate, size, shards).total(hours) <= of(rate + more, size, shards).total(hours) + ROUNDING


@given(rates, sizes, shard_counts, spans, spans)
def test_a_longer_time_never_costs_less(
    rate: Decimal, size: int, shards: int, hours: Decimal, more: Decimal
) -> None:
    found = of(rate, size, shards)
    assert found.total(hours) <= found.total(hours + more) + ROUNDING


@given(rates, sizes, shard_counts, spans)
def test_the_whole_is_what_stands_and_what_flows(
    rate: Decimal, size: int, shards: int, hours: Decimal
) -> None:
    found = of(rate, size, shards)
    parts = found.total(hours, "standing") + found.total(hours, "traffic")
    assert abs(found.total(hours) - parts) < ROUNDING


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "$0.00"), ("0.004", "<$0.01"), ("0.01", "$0.01"), ("1234.567", "$1,234.57")],
)
def test_money_never_reads_as_nothing(value: str, text: str) -> None:
    assert money(Decimal(value), 2) == text
