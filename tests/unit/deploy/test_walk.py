"""Every variant from nothing to nothing: each setting changed on the way, and every call looked at."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest

from tests.unit.deploy.facts import violations
from tests.unit.deploy.places import REGION
from tests.unit.deploy.remote import Remote, tear_down
from tests.unit.deploy.scenarios import assert_nothing_is_left, changes_of, settings_for
from tests.unit.deploy.variants import CHANGED, NOT_CHANGED, REPLACING, VARIANTS, change
from tests.unit.deploy.wire import Call
from txnpipe.config import Settings
from txnpipe.deploy.apply import apply
from txnpipe.deploy.inspection import inspect
from txnpipe.deploy.lock import SetupLock
from txnpipe.deploy.plan import Action, make_plan
from txnpipe.scaling import reshard


@pytest.fixture(autouse=True)
def _subscribers(remote: Remote) -> None:
    remote.target.client("sqs").create_queue(QueueName="alerts")
    remote.target.client("sns").create_topic(Name="operators")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_from_nothing_to_nothing(remote: Remote, variant: str) -> None:
    settings = settings_for(variant)
    remote.recorder.taken.clear()
    plan = remote.plan(settings)
    assert {item.action for item in plan.changes} <= {Action.CREATE, Action.UNCHANGED}
    assert len(plan.work) > 20
    inspect(remote.graph(settings))
    assert remote.recorder.changes == []

    remote.setup(settings)
    made = len(remote.recorder.changes)
    assert remote.plan(settings).empty
    assert remote.setup(settings).changes == ()
    assert all(finding.ready for finding in inspect(remote.graph(settings)))
    lock(remote, settings).check()
    assert remote.recorder.changes[made:] == []

    so_far: list[dict[str, Any]] = []
    for setting in changes_of(variant):
        if change(setting).items() <= VARIANTS[variant].items():
            continue
        so_far.append(change(setting))
        apply_change(remote, settings_for(variant, *so_far), setting)
    if settings.stream.mode == "provisioned" and not so_far:
        client = remote.target.client("kinesis")
        assert reshard.walk(client, remote.graph(settings).cloud.names.stream, 4, sleep=remote.clock.sleep)

    assert remote.plan(settings_for(variant, *so_far)).empty
    tear_down(remote, settings_for(variant, *so_far))
    assert_nothing_is_left(remote, settings)
    assert sorted({told for call in remote.recorder.taken for told in violations(call)}) == []
    print(f"{variant}: {len(remote.recorder.taken)} calls, {len(remote.recorder.changes)} of them change")


def apply_change(remote: Remote, changed: Settings, setting: str) -> None:
    """The plan shows the fields of this setting and no others, so the one before is as it should be."""
    before = len(remote.recorder.changes)
    graph = remote.graph(changed)
    plan = make_plan(graph)
    assert remote.recorder.changes[before:] == []
    wanted = CHANGED[setting][1]
    shown = {difference.field for item in plan.work for difference in item.differences}
    assert shown, setting
    if wanted != {"*"}:
        assert {field for field in shown if not is_wanted(field, wanted)} == set(), setting
        allowed = {Action.UPDATE, Action.CREATE} | ({Action.REPLACE} if setting in REPLACING else set())
        assert {item.action for item in plan.work} <= allowed, setting
    apply(graph, plan, lock=lambda: remote.lock(graph))


def is_wanted(field: str, wanted: set[str]) -> bool:
    return field in wanted or field.partition(".")[0] in wanted


def lock(remote: Remote, settings: Settings) -> SetupLock:
    return remote.lock(remote.graph(settings))


def test_every_setting_is_changed_here_or_it_is_said_why_not() -> None:
    known = {*CHANGED, *NOT_CHANGED}
    for section, kind in get_type_hints(Settings).items():
        names = [section]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and section not in known:
            names = [f"{section}.{field.name}" for field in msgspec.structs.fields(kind)]
        for name in names:
            assert name in known, f"{name}: add it to CHANGED or NOT_CHANGED in variants.py"


def call(remote: Remote, service: str, operation: str, **parameters: Any) -> Call:
    model = remote.target.client(service).meta.service_model.operation_model(operation)
    return Call(service, operation, parameters, model)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "told"),
    [
        ("redshift", "CreateCluster", {"NodeType": "dc2.large"}, "has ended"),
        ("redshift", "CreateCluster", {"PubliclyAccessible": True}, "PubliclyAccessible"),
        ("redshift", "ModifyCluster", {"Encrypted": False}, "Encrypted"),
        ("redshift", "CreateCluster", {"Port": 5439}, "Tags is not sent"),
        ("kinesisanalyticsv2", "CreateApplication", {"RuntimeEnvironment": "SQL-1_0"}, "has ended"),
        ("lambda", "CreateFunction", {"Runtime": "python4.0"}, "none of"),
        ("lambda", "CreateFunction", {"MemorySize": 99_999}, "above"),
        ("lambda", "CreateFunction", {"Layers": None}, "is None"),
        ("kinesis", "CreateStream", {"StreamName": "two words"}, "does not fit"),
        ("s3", "CreateBucket", {"Bucket": "b"}, "Tags is not sent"),
        ("secretsmanager", "CreateSecret", {"Name": "a"}, "ClientRequestToken is not sent"),
        ("ec2", "CreateVpcEndpoint", {"VpcId": f"vpc-{REGION}"}, "ClientToken is not sent"),
    ],
)
def test_what_must_not_be_sent_is_noticed(
    remote: Remote, service: str, operation: str, parameters: dict[str, Any], told: str
) -> None:
    assert any(told in violation for violation in violations(call(remote, service, operation, **parameters)))
