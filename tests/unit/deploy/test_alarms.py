"""The CloudWatch alarms: which there are, how they change, and that nobody else's are touched."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, changed_fields, settings_of, tear_down
from txnpipe.deploy.plan import Action, assess
from txnpipe.deploy.teardown import sweep, take_inventory
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Resource

DEFAULT = settings_of()
OFF = settings_of(alarms={"enabled": False})
KEY = "alarms/txnpipe-default"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:operators"
NAMES = {
    *("loader-iterator-age", "loader-errors", "loader-throttles", "loader-undelivered"),
    *("notifier-iterator-age", "notifier-errors", "notifier-throttles", "notifier-undelivered"),
    *("rejects", "notifier-refused"),
}


def alarms(remote: Remote) -> dict[str, dict[str, Any]]:
    """Alarm name → what CloudWatch says of it."""
    found = remote.target.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: alarm for alarm in found}


def overlooked(remote: Remote, settings: Any = DEFAULT) -> list[str]:
    """Alarms that carry the pipeline's tag and none of its names."""
    return [arn for arn in take_inventory(remote.graph(settings)).tagged if ":alarm:" in arn]


def made(remote: Remote, settings: Any = DEFAULT) -> Resource[Any]:
    resource = remote.graph(settings).resources[KEY]
    resource.create(resource.desired())
    return resource


def brought(remote: Remote, settings: Any) -> list[str]:
    """Brings the alarms, and nothing else, to these settings; returns the fields that differed."""
    resource = remote.graph(settings).resources[KEY]
    found = assess(resource)
    if found.change.differences:
        resource.update(found.desired, found.change.differences)
    assert assess(resource).change.action is Action.UNCHANGED
    return [item.field for item in found.change.differences]


def test_there_is_one_for_whatever_can_go_wrong(remote: Remote) -> None:
    made(remote)
    found = alarms(remote)
    assert set(found) == {f"txnpipe-default-{name}" for name in NAMES}
    for alarm in found.values():
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["AlarmActions"] == alarm["OKActions"] == []
        assert alarm["ActionsEnabled"] is True
        tags = remote.target.client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])
        assert tags["Tags"] == [{"Key": "txnpipe:pipeline", "Value": "default"}]


def test_an_age_is_watched_in_milliseconds_by_function(remote: Remote) -> None:
    made(remote, settings_of(alarms={"iterator_age_seconds": 90}))
    alarm = alarms(remote)["txnpipe-default-loader-iterator-age"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "IteratorAge")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 90_000.0)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": "TransactionLoader"}]
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (60, 3, 3)


def test_rejects_are_the_functions_own_metric_of_the_pipeline(remote: Remote) -> None:
    made(remote, settings_of(alarms={"rejects": 100}))
    alarm = alarms(remote)["txnpipe-default-rejects"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("txnpipe", "Rejects", "Sum")
    assert alarm["Dimensions"] == [{"Name": "Pipeline", "Value": "default"}]
    assert (alarm["Period"], alarm["Threshold"]) == (300, 100.0)


def test_a_changed_setting_shows_its_fields_only(remote: Remote) -> None:
    made(remote)
    changed = settings_of(alarms={"iterator_age_seconds": 60})
    assert brought(remote, changed) == [
        f"alarms.txnpipe-default-{role}-iterator-age.threshold" for role in ("loader", "notifier")
    ]
    assert alarms(remote)["txnpipe-default-loader-iterator-age"]["Threshold"] == 60_000.0


def test_a_topic_is_told_when_an_alarm_is_raised_and_when_it_is_over(remote: Remote) -> None:
    made(remote)
    fields = brought(remote, settings_of(alarms={"topic_arn": TOPIC}))
    assert {field.rpartition(".")[2] for field in fields} == {"actions", "ok_actions"}
    for alarm in alarms(remote).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_one_that_somebody_muted_changed_or_removed_comes_back(remote: Remote) -> None:
    made(remote)
    cloudwatch = remote.target.client("cloudwatch")
    cloudwatch.disable_alarm_actions(AlarmNames=["txnpipe-default-loader-errors"])
    cloudwatch.delete_alarms(AlarmNames=["txnpipe-default-rejects"])
    fields = brought(remote, DEFAULT)
    assert fields[0] == "alarms.txnpipe-default-loader-errors.actions_enabled"
    assert {field.split(".")[1] for field in fields[1:]} == {"txnpipe-default-rejects"}
    assert len(alarms(remote)) == len(NAMES)


def test_switched_off_they_go(remote: Remote) -> None:
    made(remote)
    assert {field.split(".")[1] for field in brought(remote, OFF)} == {f"txnpipe-default-{n}" for n in NAMES}
    assert alarms(remote) == {}


def test_where_there_are_none_and_none_are_wanted_nothing_is_to_do(remote: Remote) -> None:
    assert changed_fields(remote.plan(OFF)).keys().isdisjoint({KEY})
    assert KEY not in take_inventory(remote.graph(OFF)).present
    remote.graph(OFF).resources[KEY].delete()


def test_a_stranger_s_alarm_of_that_name_stays(remote: Remote) -> None:
    remote.target.client("cloudwatch").put_metric_alarm(
        AlarmName="txnpipe-default-rejects",
        Namespace="theirs",
        MetricName="Theirs",
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
    )
    with pytest.raises(TxnpipeError, match="alarm txnpipe-default-rejects exists already") as caught:
        remote.plan(DEFAULT)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert alarms(remote)["txnpipe-default-rejects"]["Namespace"] == "theirs"


@pytest.mark.parametrize("settings", [DEFAULT, OFF])
def test_a_teardown_removes_them_whatever_the_settings_say(remote: Remote, settings: Any) -> None:
    remote.setup(DEFAULT)
    remote.setup(settings_of(pipeline="default-loader"))
    assert overlooked(remote, settings) == []
    tear_down(remote, settings)
    assert sweep(remote.graph(settings), clock=remote.clock.time).empty
    assert set(alarms(remote)) == {f"txnpipe-default-loader-{name}" for name in NAMES}


def test_one_of_an_older_version_is_not_overlooked(remote: Remote) -> None:
    made(remote)
    remote.target.client("cloudwatch").put_metric_alarm(
        AlarmName="txnpipe-default-of-old",
        Namespace="txnpipe",
        MetricName="Old",
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1.0,
        Tags=[{"Key": "txnpipe:pipeline", "Value": "default"}],
    )
    (left,) = overlooked(remote)
    assert left.endswith(":alarm:txnpipe-default-of-old")


def test_no_two_pipelines_can_have_an_alarm_of_one_name() -> None:
    """Pipelines a and a-b: txnpipe-a-b-X is an alarm of one of them only if X is none of b-X."""
    assert not [(one, other) for one, other in permutations(NAMES, 2) if one.endswith(f"-{other}")]
