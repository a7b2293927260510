"""Metrics in log lines: what CloudWatch finds there."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from tests.corpus.embedded_metrics import extracted
from txnpipe.functions.metrics import LOADER, NAMESPACE, NOTIFIER, Metrics, custom_metrics
from txnpipe.functions.records import StreamRecord, age_ms

NOW = datetime(2026, 1, 1)
AT_MS = 1_767_225_600_000
BOTH = {"Pipeline": "default", "Stream": "TransactionStream"}


def record(arrived_at: datetime) -> StreamRecord:
    return StreamRecord("shardId-000000000000", "1", arrived_at, b"", intact=True)


@pytest.mark.parametrize("metrics", [LOADER, NOTIFIER])
def test_a_document_is_valid_and_has_every_metric_in_every_set(metrics: Metrics) -> None:
    values = {name: float(number) for number, name in enumerate(metrics.units)}
    document = metrics.document(AT_MS, BOTH, values)
    found = extracted(json.dumps({"level": "INFO", **document}))
    assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == NAMESPACE
    sets = [tuple((name, BOTH[name]) for name in each) for each in metrics.dimensions]
    assert found == {(name, each): values[name] for name in values for each in sets}


def test_the_two_functions_never_write_to_one_metric() -> None:
    def keys(metrics: Metrics, stream: str) -> set[object]:
        values = dict.fromkeys(metrics.units, 1.0)
        dimensions = {"Pipeline": "default", "Stream": stream}
        return set(extracted(json.dumps(metrics.document(AT_MS, dimensions, values))))

    loader = keys(LOADER, "TransactionStream") | keys(LOADER, "TransactionAlerts")
    notifier = keys(NOTIFIER, "TransactionAlerts")
    assert loader & notifier == set()
    assert len(loader | notifier) == custom_metrics() == 22


def test_no_dimension_grows_with_the_traffic() -> None:
    names = {name for metrics in (LOADER, NOTIFIER) for each in metrics.dimensions for name in each}
    assert names == {"Pipeline", "Stream"}


def test_the_age_is_that_of_the_oldest_record_wherever_it_is() -> None:
    records = [record(NOW - timedelta(seconds=age)) for age in (1, 3, 2)]
    assert age_ms(records, NOW) == 3000


def test_a_record_from_a_clock_ahead_has_no_age() -> None:
    assert age_ms([record(NOW + timedelta(seconds=1))], NOW) == 0
