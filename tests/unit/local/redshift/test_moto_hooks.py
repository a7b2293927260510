"""The contract with moto's Redshift: every place we reach into is there, and does what we take it to do.

moto runs here inside the test's process; PostgreSQL is a double.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.redshift.models import Cluster, RedshiftBackend, Snapshot, redshift_backends
from moto.redshift.responses import RedshiftResponse

from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.redshift import clusters as clusters_module
from txnpipe.local.redshift import managed_secrets, moto_hooks
from txnpipe.local.redshift.clusters import Clusters
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.transitions import Latencies, Transitions

REPLACED = (
    "create_cluster",
    "modify_cluster",
    "delete_cluster",
    "pause_cluster",
    "resume_cluster",
    "get_cluster_credentials",
    "create_cluster_snapshot",
    "delete_cluster_snapshot",
    "restore_from_cluster_snapshot",
)
LOADER = create_loader()
"""Shared, since reading the service models takes longer than most tests here."""
ADDED = (
    *("reboot_cluster", "get_cluster_credentials_with_iam", "describe_orderable_cluster_options"),
    "modify_cluster_subnet_group",
)


class Servers:
    """Stands for the PostgreSQL servers."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.fail = False
        self.kept: set[str] = set()
        self.snapshots = SimpleNamespace(
            has=self.kept.__contains__,
            remove=self.kept.discard,
            copy=lambda _server, name: self.kept.add(name),
        )

    def start(self, name: str, database: str, admin: str, password: str | None, preferred_port: int) -> int:
        if self.fail:
            raise OSError("no space")
        self.events.append(("start", name, database, admin, password))
        return preferred_port + 1

    def stop(self, name: str) -> None:
        self.events.append(("stop", name))

    def remove(self, name: str) -> None:
        self.events.append(("remove", name))

    def keep(self, name: str, snapshot: str) -> None:
        self.kept.add(snapshot)

    def restore(self, snapshot: str, name: str) -> None:
        self.events.append(("restore", snapshot, name))

    def port(self, _name: str) -> int:
        return 0

    def server(self, name: str) -> object:
        return SimpleNamespace(name=name)


class Redshift:
    """moto's Redshift with the hooks in place."""

    def __init__(self) -> None:
        self.servers = Servers()
        self.transitions = Transitions()
        instances = cast(Instances, self.servers)
        self.clusters = Clusters(instances, self.transitions, Latencies(), nullcontext, retry_s=0.01)
        self.uninstall = moto_hooks.install(self.clusters, instances)
        session = botocore.session.get_session()
        session.register_component("data_loader", LOADER)
        self.client: Any = session.create_client("redshift", region_name="us-east-1")
        self.secrets: Any = session.create_client("secretsmanager", region_name="us-east-1")

    def create(self, **changes: Any) -> dict[str, Any]:
        request: dict[str, Any] = {
            "ClusterIdentifier": "wh",
            "NodeType": "rg.large",
            "ClusterType": "single-node",
            "DBName": "txnpipe",
            "MasterUsername": "adm",
            "ManageMasterPassword": True,
        }
        request = {key: value for key, value in (request | changes).items() if value is not None}
        made: dict[str, Any] = self.client.create_cluster(**request)["Cluster"]
        return made

    def settled(self, identifier: str = "wh") -> dict[str, Any]:
        assert self.transitions.wait_idle(PATIENCE_S)
        found: dict[str, Any] = self.client.describe_clusters(ClusterIdentifier=identifier)["Clusters"][0]
        return found

    def refused(self, operation: str, **request: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as raised:
            getattr(self.client, operation)(**request)
        return dict(raised.value.response["Error"])


@pytest.fixture
def redshift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redshift]:
    monkeypatch.setattr(clusters_module, "ACCOUNT", DEFAULT_ACCOUNT_ID)
    monkeypatch.setattr(managed_secrets, "ACCOUNT", DEFAULT_ACCOUNT_ID)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        made = Redshift()
        yield made
        made.transitions.stop()
        made.uninstall()


def test_what_we_replace_exists_and_what_we_add_does_not() -> None:
    for name in REPLACED:
        assert name in RedshiftResponse.__dict__, name
    for name in ADDED:
        assert not hasattr(RedshiftResponse, name), f"moto has {name} now"
    assert isinstance(Cluster.__dict__["endpoint"], property)
    for name in ("delete_automated_snapshots", "create_cluster_snapshot", "describe_cluster_snapshots"):
        assert hasattr(RedshiftBackend, name), name


def test_taking_the_hooks_out_leaves_moto_as_it_was(redshift: Redshift) -> None:
    redshift.uninstall()
    for name in ADDED:
        assert not hasattr(RedshiftResponse, name)
    assert (
        redshift.create(MasterUserPassword="Secret123", ManageMasterPassword=None)["ClusterStatus"]
        == "creating"
    )
    assert redshift.servers.events == []
    redshift.uninstall = lambda: None


def test_a_cluster_is_created_with_its_database_and_its_secret(redshift: Redshift) -> None:
    made = redshift.create()
    assert made["ClusterStatus"] == "creating"
    assert made["Encrypted"] is True
    found = redshift.settled()
    assert found["ClusterStatus"] == "available"
    assert found["ClusterAvailabilityStatus"] == "Available"
    assert found["Endpoint"] == {"Address": "127.0.0.1", "Port": 5440}
    arn = found["MasterPasswordSecretArn"]
    assert arn.startswith(f"arn:aws:secretsmanager:us-east-1:{DEFAULT_ACCOUNT_ID}:secret:redshift!wh-adm-")
    secret = json.loads(redshift.secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert secret["username"] == "adm"
    assert redshift.servers.events == [
        ("remove", "us-east-1.wh"),
        ("start", "us-east-1.wh", "txnpipe", "adm", secret["password"]),
    ]
    described = redshift.secrets.describe_secret(SecretId=arn)
    assert described["OwningService"] == "redshift"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"NodeType": "dc2.large"}, "InvalidParameterValue", "Invalid node type: dc2.large"),
        ({"ClusterIdentifier": "a--b"}, "InvalidParameterValue", "identifier"),
        ({"Encrypted": False}, "InvalidParameterCombination", "Unencrypted"),
        ({"Port": 1234}, "InvalidParameterValue", "5431-5455"),
        ({"MasterUserPassword": "Secret123"}, "InvalidParameterCombination", "either"),
        ({"ManageMasterPassword": None}, "InvalidParameterCombination", "either"),
        ({"ManageMasterPassword": None, "MasterUserPassword": "weak"}, "InvalidParameterValue", "8-64"),
        ({"MasterUsername": "Admin User"}, "InvalidParameterValue", "MasterUsername"),
    ],
)
def test_what_redshift_refuses_is_refused_and_nothing_is_made(
    redshift: Redshift, change: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as raised:
        redshift.create(**change)
    assert raised.value.response["Error"]["Code"] == code
    assert message in raised.value.response["Error"]["Message"]
    assert redshift.client.describe_clusters()["Clusters"] == []
    assert redshift.servers.events == []


def test_a_name_is_taken_once(redshift: Redshift) -> None:
    redshift.create()
    with pytest.raises(ClientError) as raised:
        redshift.create()
    assert raised.value.response["Error"]["Code"] == "ClusterAlreadyExists"


def test_pause_and_resume_stop_and_start_the_database(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    assert redshift.client.pause_cluster(ClusterIdentifier="wh")["Cluster"]["ClusterStatus"] == "pausing"
    assert redshift.settled()["ClusterStatus"] == "paused"
    assert redshift.servers.events[-1] == ("stop", "us-east-1.wh")
    assert redshift.refused("pause_cluster", ClusterIdentifier="wh")["Code"] == "InvalidClusterState"
    assert redshift.refused("reboot_cluster", ClusterIdentifier="wh")["Code"] == "InvalidClusterState"
    assert redshift.client.resume_cluster(ClusterIdentifier="wh")["Cluster"]["ClusterStatus"] == "resuming"
    assert redshift.settled()["ClusterStatus"] == "available"
    assert redshift.refused("resume_cluster", ClusterIdentifier="wh")["Code"] == "InvalidClusterState"


def test_reboot(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    assert redshift.client.reboot_cluster(ClusterIdentifier="wh")["Cluster"]["ClusterStatus"] == "rebooting"
    assert redshift.settled()["ClusterStatus"] == "available"
    assert [event[0] for event in redshift.servers.events[-2:]] == ["stop", "start"]


def test_deleting_needs_a_word_on_the_final_snapshot(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    for flags in ({}, {"SkipFinalClusterSnapshot": True, "FinalClusterSnapshotIdentifier": "last"}):
        error = redshift.refused("delete_cluster", ClusterIdentifier="wh", **flags)
        assert error["Code"] == "InvalidParameterCombination"
    assert redshift.settled()["ClusterStatus"] == "available"


def test_deleting_takes_database_and_secret(redshift: Redshift) -> None:
    redshift.create()
    arn = redshift.settled()["MasterPasswordSecretArn"]
    deleting = redshift.client.delete_cluster(ClusterIdentifier="wh", SkipFinalClusterSnapshot=True)
    assert deleting["Cluster"]["ClusterStatus"] == "deleting"
    assert redshift.transitions.wait_idle(PATIENCE_S)
    assert redshift.refused("describe_clusters", ClusterIdentifier="wh")["Code"] == "ClusterNotFound"
    assert redshift.servers.events[-1] == ("remove", "us-east-1.wh")
    assert redshift.client.describe_cluster_snapshots()["Snapshots"] == []
    with pytest.raises(ClientError):
        redshift.secrets.get_secret_value(SecretId=arn)


def test_a_final_snapshot_keeps_the_data_and_can_be_restored(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    redshift.client.delete_cluster(ClusterIdentifier="wh", FinalClusterSnapshotIdentifier="last")
    assert redshift.transitions.wait_idle(PATIENCE_S)
    (snapshot,) = redshift.client.describe_cluster_snapshots(SnapshotIdentifier="last")["Snapshots"]
    assert snapshot["Status"] == "available"
    assert redshift.servers.kept == {"us-east-1.last"}
    redshift.client.restore_from_cluster_snapshot(
        ClusterIdentifier="again", SnapshotIdentifier="last", ManageMasterPassword=True
    )
    assert redshift.settled("again")["ClusterStatus"] == "available"
    assert ("restore", "us-east-1.last", "us-east-1.again") in redshift.servers.events
    redshift.client.delete_cluster_snapshot(SnapshotIdentifier="last")
    assert redshift.servers.kept == set()


def test_a_snapshot_of_a_running_cluster(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    made = redshift.client.create_cluster_snapshot(ClusterIdentifier="wh", SnapshotIdentifier="now")
    assert made["Snapshot"]["Status"] in ("creating", "available")
    assert redshift.transitions.wait_idle(PATIENCE_S)
    assert redshift.servers.kept == {"us-east-1.now"}


def test_an_automated_snapshot_holds_no_data_to_restore(redshift: Redshift) -> None:
    redshift.create()
    redshift.settled()
    (automated,) = redshift.client.describe_cluster_snapshots()["Snapshots"]
    error = redshift.refused(
        "restore_from_cluster_snapshot",
        ClusterIdentifier="again",
        SnapshotIdentifier=automated["SnapshotIdentifier"],
    )
    assert error["Code"] == "InvalidClusterSnapshotState"


def test_managing_the_password_can_be_turned_on_and_off(
    redshift: Redshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(
        "txnpipe.local.postgres.database.set_password",
        lambda _server, _user, password: given.append(password),
    )
    redshift.create(ManageMasterPassword=None, MasterUserPassword="Secret123")
    assert "MasterPasswordSecretArn" not in redshift.settled()
    changing = redshift.client.modify_cluster(ClusterIdentifier="wh", ManageMasterPassword=True)["Cluster"]
    assert changing["ClusterStatus"] == "modifying"
    arn = redshift.settled()["MasterPasswordSecretArn"]
    secret = json.loads(redshift.secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert given == [secret["password"]]
    alone = redshift.refused("modify_cluster", ClusterIdentifier="wh", ManageMasterPassword=False)
    assert alone["Code"] == "InvalidParameterCombination"
    redshift.client.modify_cluster(
        ClusterIdentifier="wh", ManageMasterPassword=False, MasterUserPassword="Other1234"
    )
    assert "MasterPasswordSecretArn" not in redshift.settled()
    assert given[-1] == "Other1234"


def test_a_database_that_cannot_run_shows_and_is_tried_again(redshift: Redshift) -> None:
    redshift.servers.fail = True
    redshift.create()
    shown: set[str] = set()

    def look() -> bool:
        found = redshift.client.describe_clusters(ClusterIdentifier="wh")["Clusters"][0]
        shown.add(found["ClusterStatus"])
        redshift.servers.fail = "hardware-failure" not in shown
        return {"hardware-failure", "available"} <= shown

    eventually(look, "cluster that has failed and become available", interval_s=0.002)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("creating", "available"),
        ("available", "available"),
        ("modifying", "available"),
        ("rebooting", "available"),
        ("resuming", "available"),
        ("hardware-failure", "available"),
        ("pausing", "paused"),
        ("paused", "paused"),
        ("deleting", None),
    ],
)
def test_after_a_kill_every_cluster_gets_where_it_was_going(
    redshift: Redshift, was: str, becomes: str | None
) -> None:
    redshift.create()
    redshift.settled()
    backend = redshift_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
    backend.clusters["wh"].status = was
    # What persistence does: only what pickle carries comes back.
    backend.clusters["wh"].__dict__.update(pickle.loads(pickle.dumps(_state(backend.clusters["wh"]))))
    redshift.servers.events.clear()
    assert redshift.clusters.reconcile() == {"us-east-1.wh"}
    if becomes is None:
        assert redshift.transitions.wait_idle(PATIENCE_S)
        assert redshift.client.describe_clusters()["Clusters"] == []
    else:
        assert redshift.settled()["ClusterStatus"] == becomes
    assert ("remove", "us-east-1.wh") not in redshift.servers.events or becomes is None


def test_a_secret_that_was_lost_is_made_again_with_a_new_password(redshift: Redshift) -> None:
    redshift.create()
    arn = redshift.settled()["MasterPasswordSecretArn"]
    managed_secrets.remove("us-east-1", "wh", "adm")
    redshift.clusters.reconcile()
    again = redshift.settled()["MasterPasswordSecretArn"]
    assert again != arn
    secret = json.loads(redshift.secrets.get_secret_value(SecretId=again)["SecretString"])
    assert redshift.servers.events[-1] == ("start", "us-east-1.wh", "txnpipe", "adm", secret["password"])


def test_orderable_options_say_which_nodes_make_a_single_node_cluster(redshift: Redshift) -> None:
    options = redshift.client.describe_orderable_cluster_options()["OrderableClusterOptions"]
    single = {option["NodeType"] for option in options if option["ClusterType"] == "single-node"}
    assert {"rg.large", "ra3.large"} <= single
    assert not any(option["NodeType"].startswith("dc2") for option in options)
    only = redshift.client.describe_orderable_cluster_options(NodeType="rg.large")["OrderableClusterOptions"]
    assert {option["NodeType"] for option in only} == {"rg.large"}
    assert len(only[0]["AvailabilityZones"]) == 3


def test_a_subnet_group_gets_other_subnets(redshift: Redshift) -> None:
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    ec2: Any = session.create_client("ec2", region_name="us-east-1")
    first, second = (item["SubnetId"] for item in ec2.describe_subnets()["Subnets"][:2])
    group = {"ClusterSubnetGroupName": "g"}
    redshift.client.create_cluster_subnet_group(**group, Description="d", SubnetIds=[first])

    def subnets() -> list[str]:
        found = redshift.client.describe_cluster_subnet_groups(**group)["ClusterSubnetGroups"][0]["Subnets"]
        return [subnet["SubnetIdentifier"] for subnet in found]

    changed = redshift.client.modify_cluster_subnet_group(**group, SubnetIds=[second])
    assert changed["ClusterSubnetGroup"]["ClusterSubnetGroupName"] == "g"
    assert subnets() == [second]
    with pytest.raises(ClientError, match="subnet"):
        redshift.client.modify_cluster_subnet_group(**group, SubnetIds=[first, "subnet-01234567"])
    assert subnets() == [second]


def test_snapshots_carry_what_we_name_their_data_by() -> None:
    assert {"region"} <= set(vars(Snapshot(_any_cluster(), "s", DEFAULT_ACCOUNT_ID, "us-east-1")))


def _state(cluster: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(cluster).items() if key != "redshift_backend"}


def _any_cluster() -> Any:
    fields = (
        "cluster_identifier port availability_zone master_username master_user_password cluster_version"
        " node_type number_of_nodes db_name enhanced_vpc_routing encrypted"
    )
    return SimpleNamespace(**dict.fromkeys(fields.split()))
