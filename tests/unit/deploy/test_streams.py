"""Streams: one change at a time, from ACTIVE to ACTIVE, and what Kinesis and KMS refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, settings_of
from txnpipe.deploy.plan import assess
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.stream import EVERY_METRIC, Stream

KEY_ID = "12345678-1234-1234-1234-123456789012"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"


def stream(remote: Remote, name: str = "TransactionStream", **settings: Any) -> Stream:
    found = remote.graph(settings_of(stream=settings)).resources[f"stream/{name}"]
    assert isinstance(found, Stream)
    return found


def made(remote: Remote, name: str = "TransactionStream", **settings: Any) -> Stream:
    found = stream(remote, name, **settings)
    found.create(found.desired())
    assert assess(found).change.differences == ()
    return found


def summary(remote: Remote, name: str = "TransactionStream") -> dict[str, Any]:
    answer = remote.target.client("kinesis").describe_stream_summary(StreamName=name)
    found: dict[str, Any] = answer["StreamDescriptionSummary"]
    return found


def settle_slowly(remote: Remote) -> list[str]:
    """Every change leaves the stream UPDATING for two looks. Returns the changes made meanwhile."""
    busy = [0]
    early: list[str] = []

    def begin(operation: str) -> Callable[[dict[str, Any]], None]:
        def note(_: dict[str, Any]) -> None:
            if busy[0]:
                early.append(operation)
            busy[0] = 2

        return note

    def look(parsed: dict[str, Any]) -> None:
        if busy[0]:
            busy[0] -= 1
            parsed["StreamDescriptionSummary"]["StreamStatus"] = "UPDATING"

    remote.change_answer("kinesis.DescribeStreamSummary", look)
    for operation in (
        *("CreateStream", "UpdateStreamMode", "IncreaseStreamRetentionPeriod", "StartStreamEncryption"),
        *("DecreaseStreamRetentionPeriod", "StopStreamEncryption", "EnableEnhancedMonitoring"),
        "DisableEnhancedMonitoring",
    ):
        remote.change_answer(f"kinesis.{operation}", begin(operation))
    return early


def kinesis_changes(remote: Remote) -> list[str]:
    return [call.removeprefix("kinesis.") for call in remote.recorder.changes]


def test_a_new_stream_gets_its_settings_one_by_one_while_active(remote: Remote) -> None:
    early = settle_slowly(remote)
    made(remote, retention_hours=48, shard_metrics=["IncomingBytes", "OutgoingBytes"])
    assert early == []
    assert kinesis_changes(remote) == [
        *("CreateStream", "IncreaseStreamRetentionPeriod"),
        *("StartStreamEncryption", "EnableEnhancedMonitoring"),
    ]
    assert summary(remote)["KeyId"] == "alias/aws/kinesis"
    assert summary(remote)["RetentionPeriodHours"] == 48


def test_changes_of_an_existing_stream_wait_for_each_other(remote: Remote) -> None:
    made(remote, retention_hours=48, shard_metrics=["IncomingBytes"])
    remote.recorder.taken.clear()
    early = settle_slowly(remote)
    changed = stream(remote, mode="on-demand", encryption=False, shard_metrics=["OutgoingBytes"])
    found = assess(changed)
    changed.update(found.desired, found.change.differences)
    assert early == []
    assert kinesis_changes(remote) == [
        *("UpdateStreamMode", "DecreaseStreamRetentionPeriod", "StopStreamEncryption"),
        *("EnableEnhancedMonitoring", "DisableEnhancedMonitoring"),
    ]
    assert assess(changed).change.differences == ()


def test_an_on_demand_stream_is_made_without_shards_and_alerts_stay_provisioned(remote: Remote) -> None:
    asked: list[dict[str, Any]] = []
    kinesis = remote.target.client("kinesis")
    record = lambda params, **_: asked.append(params)  # noqa: E731
    kinesis.meta.events.register("before-parameter-build.kinesis.CreateStream", record)
    try:
        made(remote, mode="on-demand", shards=7)
        made(remote, "TransactionAlerts", mode="on-demand", shards=7)
    finally:
        kinesis.meta.events.unregister("before-parameter-build.kinesis.CreateStream", record)
    assert [(item["StreamModeDetails"]["StreamMode"], item.get("ShardCount")) for item in asked] == [
        ("ON_DEMAND", None),
        ("PROVISIONED", 1),
    ]


def test_back_in_provisioned_mode_it_keeps_its_shards(remote: Remote) -> None:
    made(remote, mode="on-demand")
    before = summary(remote)["OpenShardCount"]
    changed = stream(remote, shards=1)
    found = assess(changed)
    changed.update(found.desired, found.change.differences)
    assert summary(remote)["OpenShardCount"] == before > 1
    assert "UpdateShardCount" not in kinesis_changes(remote)


def test_the_third_switch_of_a_day_is_a_limit_that_says_when_it_ends(remote: Remote) -> None:
    made(remote)
    changed = stream(remote, mode="on-demand")
    found = assess(changed)
    refused = remote.refuse("kinesis.UpdateStreamMode", "LimitExceededException", "no more", times=9)
    with pytest.raises(TxnpipeError, match="TransactionStream switch to on-demand mode") as caught:
        changed.update(found.desired, found.change.differences)
    assert caught.value.exit_code is ExitCode.LIMIT
    assert "twice in any 24 hours" in caught.value.fix
    assert "setup again" in caught.value.fix
    assert len(refused) <= 2  # a day's limit is not asked again and again


@pytest.mark.parametrize(
    ("code", "exit_code", "fix"),
    [
        ("LimitExceededException", ExitCode.LIMIT, "25 times in any 24 hours"),
        ("KMSNotFoundException", ExitCode.SERVICE, "symmetric key of this region"),
        ("KMSAccessDeniedException", ExitCode.SERVICE, "kms:DescribeKey"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_with_the_setting_that_names_it(
    remote: Remote, code: str, exit_code: ExitCode, fix: str
) -> None:
    found = stream(remote, kms_key="alias/mine")
    remote.refuse("kinesis.StartStreamEncryption", code, "no", times=9)
    with pytest.raises(TxnpipeError, match="encryption to alias/mine") as caught:
        found.create(found.desired())
    assert caught.value.exit_code is exit_code
    assert fix in caught.value.fix
    assert "stream.kms_key" in caught.value.fix


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_a_stream_that_never_settles_is_named_when_the_time_is_up(remote: Remote, status: str) -> None:
    remote.change_answer(
        "kinesis.DescribeStreamSummary",
        lambda parsed: parsed["StreamDescriptionSummary"].update(StreamStatus=status),
    )
    found = stream(remote)
    with pytest.raises(TxnpipeError, match="600 s for stream TransactionStream") as caught:
        found.create(found.desired())
    assert caught.value.exit_code is ExitCode.TIMEOUT


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        (KEY_ID, KEY_ARN),
        (KEY_ARN, KEY_ID),
        ("alias/mine", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/mine"),
        ("alias/mine", KEY_ARN),
        (KEY_ID, "alias/mine"),
    ],
)
def test_two_spellings_of_one_key_are_no_difference(remote: Remote, configured: str, told: str) -> None:
    remote.answer("kms.DescribeKey", {"KeyMetadata": {"KeyId": KEY_ID}})
    made(remote, kms_key=told)
    assert assess(stream(remote, kms_key=configured)).change.differences == ()


@pytest.mark.parametrize("told", ["alias/other", KEY_ARN.replace("1234", "9999"), "alias/aws/kinesis"])
def test_another_key_is_a_difference(remote: Remote, told: str) -> None:
    remote.answer("kms.DescribeKey", {"KeyMetadata": {"KeyId": KEY_ID}})
    made(remote, kms_key=told)
    (difference,) = assess(stream(remote, kms_key="alias/mine")).change.differences
    assert (difference.field, difference.before, difference.after) == ("kms_key", told, "alias/mine")


def test_an_alias_that_is_not_there_is_another_key(remote: Remote) -> None:
    made(remote, kms_key=KEY_ARN)
    remote.refuse("kms.DescribeKey", "NotFoundException", times=9)
    assert assess(stream(remote, kms_key="alias/mine")).change.differences


def test_all_metrics_are_every_single_one(remote: Remote) -> None:
    found = made(remote, shard_metrics=["ALL", "IncomingBytes"])
    assert found.desired().shard_metrics == EVERY_METRIC
    assert len(EVERY_METRIC) == 7
    assert assess(stream(remote, shard_metrics=list(EVERY_METRIC))).change.differences == ()


def test_calls_that_come_too_fast_are_no_limit_of_the_day(remote: Remote) -> None:
    remote.refuse("kinesis.StartStreamEncryption", "LimitExceededException", "Rate exceeded", times=20)
    with pytest.raises(TxnpipeError, match="StartStreamEncryption answered LimitExceededException") as caught:
        remote.setup(settings_of())
    assert "25 times in any 24 hours" not in caught.value.fix
