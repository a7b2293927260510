"""The account of these tests: what it keeps, and how its time passes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.deploy.clock import VirtualClock
from tests.unit.deploy.remote import Remote
from tests.waiting import PATIENCE_S
from txnpipe.deploy import scheduler
from txnpipe.local.redshift.transitions import Latencies


def test_steps_that_wait_side_by_side_take_as_long_as_the_longest_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = VirtualClock(0.0)
    for name, module in clock.modules().items():
        monkeypatch.setattr(scheduler, name, module)
    seconds = {"a": 240.0, "b": 10.0, "c": 90.0, "d": 15.0}
    requirements = {"a": set[str](), "b": {"a"}, "c": set[str](), "d": {"c"}}
    ended: dict[str, float] = {}

    def step(key: str) -> None:
        for _ in range(10):
            clock.sleep(seconds[key] / 10)
        ended[key] = clock.now

    scheduler.run(requirements, step)
    assert ended == pytest.approx({"a": 240, "b": 250, "c": 90, "d": 105})
    assert clock.now == pytest.approx(250)


def test_time_stands_still_while_anybody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(0.0)
    for name, module in clock.modules().items():
        monkeypatch.setattr(scheduler, name, module)
    asleep, seen = threading.Event(), list[float]()

    def step(key: str) -> None:
        if key == "sleeper":
            asleep.set()
            clock.sleep(5.0)
        else:
            assert asleep.wait(PATIENCE_S)
            seen.append(clock.now)

    scheduler.run({"sleeper": set(), "worker": set()}, step)
    assert seen == [0.0]
    assert clock.now == 5.0


def names_at(remote: Remote) -> tuple[str, str]:
    serverless = remote.target.client("redshift-serverless")
    namespace = serverless.get_namespace(namespaceName="warehouse")["namespace"]
    return namespace["status"], namespace["adminPasswordSecretArn"]


def test_redshift_serverless_answers_with_its_states_and_latencies(remote: Remote) -> None:
    remote.own.slow({}, Latencies(), Latencies(create=60, delete=30))
    serverless = remote.target.client("redshift-serverless")
    subnets = remote.target.client("ec2").describe_subnets()["Subnets"]
    tags = [{"key": "txnpipe:pipeline", "value": "default"}]
    made = serverless.create_namespace(namespaceName="warehouse", manageAdminPassword=True, tags=tags)
    assert names_at(remote)[0] == "AVAILABLE"
    serverless.create_workgroup(
        workgroupName="warehouse",
        namespaceName="warehouse",
        baseCapacity=4,
        subnetIds=[subnet["SubnetId"] for subnet in subnets],
        tags=tags,
    )
    seen: list[tuple[float, str, Any]] = []
    started = remote.now
    while not seen or seen[-1][1] != "AVAILABLE":
        found = serverless.get_workgroup(workgroupName="warehouse")["workgroup"]
        seen.append((remote.now - started, found["status"], found.get("endpoint", {}).get("port")))
        remote.clock.sleep(20)
    # The namespace's database comes first, the workgroup's endpoint after it.
    assert (seen[0], seen[-1]) == ((0, "CREATING", None), (120, "AVAILABLE", 5439))
    arn = made["namespace"]["namespaceArn"]
    assert serverless.list_tags_for_resource(resourceArn=arn)["tags"] == tags
    with pytest.raises(serverless.exceptions.ConflictException):
        serverless.create_namespace(namespaceName="warehouse")


def test_an_account_that_is_brought_back_has_what_was_under_way_as_well(remote: Remote) -> None:
    remote.own.slow({}, Latencies(create=240), Latencies(create=60))
    redshift = remote.target.client("redshift")
    redshift.create_cluster(
        ClusterIdentifier="one",
        NodeType="rg.large",
        MasterUsername="boss",
        ManageMasterPassword=True,
    )
    remote.target.client("redshift-serverless").create_namespace(
        namespaceName="warehouse", manageAdminPassword=True
    )
    bring_back = remote.keep()
    for _ in range(2):
        remote.clock.sleep(300)
        assert redshift.describe_clusters()["Clusters"][0]["ClusterStatus"] == "available"
        redshift.delete_cluster(ClusterIdentifier="one", SkipFinalClusterSnapshot=True)
        bring_back()
        # Its time goes on: what was due meanwhile has happened.
        assert redshift.describe_clusters()["Clusters"][0]["ClusterStatus"] == "available"
        assert names_at(remote)[1].startswith("arn:aws:secretsmanager:")
