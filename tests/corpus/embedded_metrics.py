"""The rules of CloudWatch's embedded metric format, as far as a document can break them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any

UNITS = {
    *("Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
    *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "None"),
    *("Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second"),
    *("Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second"),
    "Count/Second",
}
Extracted = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""(metric, dimensions) → value."""


def extracted(line: str) -> Extracted:
    """What CloudWatch makes of a line. AssertionError that names the rule where it would not take it."""
    assert len(line.encode()) <= 256 * 1024, "a document is smaller than 256 KB"
    root = json.loads(line)
    assert isinstance(root, dict), "the root is an object"
    metadata = root["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}, "no other members"
    timestamp = metadata["Timestamp"]
    assert isinstance(timestamp, int), "the timestamp is a number"
    assert 1_500_000_000_000 < timestamp < 10_000_000_000_000, "of milliseconds"
    assert metadata["CloudWatchMetrics"], "there is a directive"
    values: Extracted = {}
    for directive in metadata["CloudWatchMetrics"]:
        values |= _of_directive(directive, root)
    return values


def _of_directive(directive: dict[str, Any], root: dict[str, Any]) -> Extracted:
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}, "no other members"
    assert _is_text(directive["Namespace"], 1024), "a namespace has 1 to 1024 characters"
    assert directive["Dimensions"], "there is a dimension set"
    assert 1 <= len(directive["Metrics"]) <= 100, "1 to 100 metrics"
    values: Extracted = {}
    for metric in directive["Metrics"]:
        assert set(metric) <= {"Name", "Unit", "StorageResolution"}, "no other members"
        assert metric.get("Unit", "None") in UNITS, "a unit of MetricDatum"
        assert metric.get("StorageResolution", 60) in {1, 60}
        name = metric["Name"]
        assert _is_text(name, 1024), "a metric's name has 1 to 1024 characters"
        value = root[name]
        assert isinstance(value, int | float), "a target member of a metric is a number"
        assert not isinstance(value, bool), "and no truth value"
        for dimension_set in directive["Dimensions"]:
            assert len(dimension_set) <= 30, "30 dimensions a set"
            assert len(set(dimension_set)) == len(dimension_set), "each of them once"
            for dimension in dimension_set:
                assert _is_text(dimension, 250), "a dimension's name has 1 to 250 characters"
                assert _is_text(root[dimension], 1024), "its value is text of 1 to 1024 characters"
                assert dimension not in {each["Name"] for each in directive["Metrics"]}
            key = name, tuple((dimension, root[dimension]) for dimension in dimension_set)
            assert key not in values, "no metric twice"
            values[key] = value
    return values


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= longest
