"""Metrics without a call to anybody: the log line of a batch is their document as well.

CloudWatch Logs takes metric values out of lines in the embedded metric format: a member `_aws` says which
members of the line are values and which are dimensions. A value is one of each of its dimension sets, and
CloudWatch bills each of those (`billed`), so the sets hold nothing that grows, such as shards.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NAMESPACE = "txnpipe"
PIPELINE = "Pipeline"
STREAM = "Stream"
"""The dimensions."""
REJECTS = "Rejects"
REFUSED = "Refused"
"""The metrics that have an alarm."""

Unit = Literal["Count", "Milliseconds"]


@dataclass(frozen=True)
class Metrics:
    """What one function measures: name → unit, and the sets of dimensions that each value counts for."""

    units: Mapping[str, Unit]
    dimensions: tuple[tuple[str, ...], ...]

    def document(
        self, at_ms: int, dimensions: Mapping[str, str], values: Mapping[str, float]
    ) -> dict[str, Any]:
        """The members of a log line that make it a metric document.

        at_ms: epoch milliseconds. dimensions: a value for every dimension of the sets. values: a number for
        every metric.
        """
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": self.dimensions,
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in self.units.items()],
        }
        return {"_aws": {"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **dimensions, **values}

    def billed(self, streams: int) -> int:
        """How many metrics CloudWatch bills for one pipeline whose function reads so many streams."""
        return len(self.units) * sum(streams if STREAM in each else 1 for each in self.dimensions)


LOADER = Metrics(
    {
        "Records": "Count",
        "Rows": "Count",
        "Duplicates": "Count",
        REJECTS: "Count",
        "CommitTime": "Milliseconds",
        "IteratorAge": "Milliseconds",
    },
    ((PIPELINE,), (PIPELINE, STREAM)),
)
"""Rows, Duplicates, Rejects: what was new, known, put aside. IteratorAge: of the batch's oldest record."""
NOTIFIER = Metrics(
    {
        "Published": "Count",
        REFUSED: "Count",
        "Invalid": "Count",
        # The loader reads the alert stream too: under one name the two ages would be one metric.
        "NotifierIteratorAge": "Milliseconds",
    },
    ((PIPELINE,),),
)
"""The notifier reads one stream. Refused: alerts the topic does not take; Invalid: records without one."""


def custom_metrics() -> int:
    """How many custom metrics a pipeline has: the loader reads two streams, the notifier one."""
    return LOADER.billed(2) + NOTIFIER.billed(1)
