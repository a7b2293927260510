"""The alarms of a pipeline, one by one.

| alarm | raised when |
| --- | --- |
| loader-iterator-age, notifier-iterator-age | a function is too far behind its stream for 3 minutes |
| loader-errors, notifier-errors | an invocation failed (its batch is tried again) within 5 minutes |
| loader-throttles, notifier-throttles | an invocation was refused for want of concurrency within 5 minutes |
| loader-undelivered, notifier-undelivered | records given up did not even reach the on-failure bucket |
| rejects | records broke the event contract within 5 minutes |
| notifier-refused | the topic refused an alert for good |

The first eight are Lambda's own metrics, by function, so the loader's cover both of its streams
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html). The other two are the functions'
own (`txnpipe.functions.metrics`). Missing data is fine: without traffic there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txnpipe.config.settings import AlarmSettings
from txnpipe.functions.metrics import NAMESPACE, PIPELINE, REFUSED, REJECTS
from txnpipe.names import Names

LAMBDA = "AWS/Lambda"
AT_LEAST = "GreaterThanOrEqualToThreshold"
MINUTE = 60
FIVE_MINUTES = 300


@dataclass(frozen=True)
class Alarm:
    """One alarm; the fields are those of PutMetricAlarm."""

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    threshold: float
    actions: tuple[str, ...]
    ok_actions: tuple[str, ...]
    statistic: str = "Sum"
    period_seconds: int = FIVE_MINUTES
    evaluation_periods: int = 1
    datapoints_to_alarm: int = 1
    comparison: str = AT_LEAST
    missing_data: str = "notBreaching"
    actions_enabled: bool = True


def alarms(names: Names, settings: AlarmSettings, prefix: str) -> list[Alarm]:
    """All alarms of a pipeline; their names begin with the prefix and a hyphen."""
    actions = (settings.topic_arn,) if settings.topic_arn else ()

    def of_function(function: str, role: str, what: str, metric: str, description: str) -> Alarm:
        dimensions = {"FunctionName": function}
        name = f"{prefix}-{role}-{what}"
        return Alarm(name, description, LAMBDA, metric, dimensions, 1.0, actions, actions)

    def of_pipeline(what: str, metric: str, threshold: float, description: str) -> Alarm:
        dimensions = {PIPELINE: names.pipeline}
        return Alarm(
            f"{prefix}-{what}", description, NAMESPACE, metric, dimensions, threshold, actions, actions
        )

    found = []
    for role, function in (("loader", names.loader), ("notifier", names.notifier)):
        found += [
            Alarm(
                f"{prefix}-{role}-iterator-age",
                f"{function} is behind its stream.",
                LAMBDA,
                "IteratorAge",
                {"FunctionName": function},
                settings.iterator_age_seconds * 1000.0,
                actions,
                actions,
                statistic="Maximum",
                period_seconds=MINUTE,
                evaluation_periods=3,
                datapoints_to_alarm=3,
            ),
            of_function(
                function,
                role,
                "errors",
                "Errors",
                f"Invocations of {function} fail; their batches are retried.",
            ),
            of_function(
                function,
                role,
                "throttles",
                "Throttles",
                f"{function} lacks concurrent executions of the account.",
            ),
            of_function(
                function,
                role,
                "undelivered",
                "DestinationDeliveryFailures",
                f"Records that {function} gave up did not reach the on-failure bucket.",
            ),
        ]
    return [
        *found,
        of_pipeline(
            "rejects", REJECTS, settings.rejects, "Records break the event contract: txnpipe rejects."
        ),
        of_pipeline("notifier-refused", REFUSED, 1.0, "The topic refused alerts for good."),
    ]
