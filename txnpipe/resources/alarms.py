"""CloudWatch alarms: what somebody should look at, although nothing is lost yet.

All alarms of a pipeline are one resource, since they are switched on and off together. One by one they are in
`alarm_definitions`. CloudWatch evaluates them on AWS; the local cloud keeps them and evaluates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from txnpipe.resources.alarm_definitions import Alarm, alarms
from txnpipe.resources.difference import Difference
from txnpipe.resources.resource import Cloud, Observed, tags_of

OFF = "off"
"""The status of alarms that are neither wanted nor there."""


@dataclass(frozen=True)
class AlarmsState:
    """What a plan compares: alarm name → its definition, field by field."""

    alarms: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Alarms:
    """The alarms of one pipeline. Their names are the resource's name, a hyphen and what each is about."""

    cloud: Cloud
    name: str
    kind: str = "alarms"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    @property
    def alarm_names(self) -> tuple[str, ...]:
        """The names of all alarms there can be, wanted or not."""
        return tuple(alarm.name for alarm in self._all())

    def desired(self) -> AlarmsState:
        """See Resource."""
        if not self.cloud.settings.alarms.enabled:
            return AlarmsState({})
        return AlarmsState({alarm.name: _fields(alarm) for alarm in self._all()})

    def read(self) -> Observed[AlarmsState] | None:
        """See Resource. Where there are none and none are wanted, that is how it should be."""
        cloudwatch = self.cloud.client("cloudwatch")
        pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=list(self.alarm_names))
        found = [alarm for page in pages for alarm in page["MetricAlarms"]]
        for alarm in found:
            tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
            self.cloud.assert_ours("alarm", alarm["AlarmName"], tags_of(tags))
        if not found:
            # "shared": nothing here for a teardown to remove.
            nothing = Observed(AlarmsState({}), OFF, facts={"shared": True})
            return None if self.cloud.settings.alarms.enabled else nothing
        raised = sorted(alarm["AlarmName"] for alarm in found if alarm.get("StateValue") == "ALARM")
        state = AlarmsState({alarm["AlarmName"]: _described(alarm) for alarm in found})
        return Observed(state, "ALARM" if raised else "OK", facts={"raised": raised})

    def create(self, desired: AlarmsState) -> None:
        """See Resource."""
        self._put(desired, set(desired.alarms))

    def update(self, desired: AlarmsState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        changed = {difference.field.split(".")[1] for difference in differences}
        self._put(desired, changed & set(desired.alarms))
        self._delete(sorted(changed - set(desired.alarms)))

    def _put(self, desired: AlarmsState, names: set[str]) -> None:
        # Replaces an alarm of that name; its tags stay as they are then.
        cloudwatch = self.cloud.client("cloudwatch")
        for name in sorted(names):
            cloudwatch.put_metric_alarm(**request(name, desired.alarms[name]), Tags=self.cloud.tag_list)

    def _delete(self, names: list[str]) -> None:
        if names:
            self.cloud.client("cloudwatch").delete_alarms(AlarmNames=names)

    def settle(self) -> None:
        """See Resource. An alarm is there as soon as it is made."""

    def delete(self) -> None:
        """See Resource. CloudWatch deletes none of a list that names one that is not there."""
        found = self.read()
        if found is not None and found.state is not None:
            self._delete(sorted(found.state.alarms))

    def _all(self) -> list[Alarm]:
        return alarms(self.cloud.names, self.cloud.settings.alarms, self.name)


def _fields(alarm: Alarm) -> dict[str, Any]:
    return {name: value for name, value in asdict(alarm).items() if name != "name"}


def request(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of PutMetricAlarm for an alarm of the state."""
    dimensions = [{"Name": key, "Value": value} for key, value in fields["dimensions"].items()]
    return {
        "AlarmName": name,
        "AlarmDescription": fields["description"],
        "Namespace": fields["namespace"],
        "MetricName": fields["metric"],
        "Dimensions": dimensions,
        "Statistic": fields["statistic"],
        "Period": fields["period_seconds"],
        "EvaluationPeriods": fields["evaluation_periods"],
        "DatapointsToAlarm": fields["datapoints_to_alarm"],
        "ComparisonOperator": fields["comparison"],
        "Threshold": fields["threshold"],
        "TreatMissingData": fields["missing_data"],
        "ActionsEnabled": fields["actions_enabled"],
        "AlarmActions": list(fields["actions"]),
        "OKActions": list(fields["ok_actions"]),
    }


def _described(alarm: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": alarm.get("AlarmDescription", ""),
        "namespace": alarm.get("Namespace"),
        "metric": alarm.get("MetricName"),
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions", [])},
        "statistic": alarm.get("Statistic"),
        "period_seconds": alarm.get("Period"),
        "evaluation_periods": alarm.get("EvaluationPeriods"),
        "datapoints_to_alarm": alarm.get("DatapointsToAlarm"),
        "comparison": alarm.get("ComparisonOperator"),
        "threshold": alarm.get("Threshold"),
        "missing_data": alarm.get("TreatMissingData"),
        "actions_enabled": alarm.get("ActionsEnabled"),
        "actions": tuple(alarm.get("AlarmActions", [])),
        "ok_actions": tuple(alarm.get("OKActions", [])),
    }
