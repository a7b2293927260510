"""What services refuse in normal life: names that are not free yet, things in motion, things in use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, settings_of
from txnpipe.deploy.plan import Action, assess
from txnpipe.deploy.teardown import take_inventory, teardown
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Resource

DEFAULT = settings_of()
BUCKET = f"bucket/txnpipe-default-{ACCOUNT}-{REGION}"
GROUP = "security group/transaction-endpoint"
SUBNETS = "subnet group/transaction-warehouse"
ENDPOINT = "vpc endpoint/transaction-warehouse"
WAREHOUSE = "warehouse/transaction-warehouse"
APP = "analytics app/TransactionAnalytics"


def resource(remote: Remote, key: str, **sections: Any) -> Resource[Any]:
    return remote.graph(settings_of(**sections)).resources[key]


def made(remote: Remote, key: str) -> Resource[Any]:
    found = resource(remote, key)
    found.create(found.desired())
    assert assess(found).change.action is Action.UNCHANGED
    return found


@pytest.mark.parametrize("key", [GROUP, SUBNETS])
def test_what_was_made_by_a_call_whose_answer_was_lost_is_taken(remote: Remote, key: str) -> None:
    made(remote, key)
    made(remote, key)


@pytest.mark.parametrize(
    ("key", "operation", "code", "message"),
    [
        (BUCKET, "s3.CreateBucket", "OperationAborted", "A conflicting conditional operation"),
        (
            "secret/txnpipe/default/loader",
            "secrets-manager.CreateSecret",
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        ),
        (
            "log group//aws/lambda/TransactionLoader",
            "cloudwatch-logs.CreateLogGroup",
            "OperationAbortedException",
            "A conflicting operation is currently in progress against this resource.",
        ),
        (
            "log group//aws/lambda/TransactionLoader",
            "cloudwatch-logs.PutRetentionPolicy",
            "OperationAbortedException",
            "A conflicting operation is currently in progress against this resource.",
        ),
        (
            "role/TransactionLoaderRole",
            "iam.PutRolePolicy",
            "NoSuchEntity",
            "The role with name TransactionLoaderRole cannot be found.",
        ),
        (GROUP, "ec2.AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", "does not exist"),
    ],
)
def test_a_name_that_is_not_free_or_not_known_yet_is_awaited(
    remote: Remote, key: str, operation: str, code: str, message: str
) -> None:
    refused = remote.refuse(operation, code, message, times=3)
    made(remote, key)
    assert len(refused) == 3


def test_another_refusal_is_told_at_once(remote: Remote) -> None:
    refused = remote.refuse("secrets-manager.CreateSecret", "InvalidRequestException", "no such key", times=9)
    found = resource(remote, "secret/txnpipe/default/loader")
    with pytest.raises(Exception, match="no such key"):
        found.create(found.desired())
    assert len(refused) == 1


@pytest.mark.parametrize(
    ("key", "operation", "code"),
    [
        ("function/TransactionLoader", "lambda.DeleteFunction", "ResourceConflictException"),
        (WAREHOUSE, "redshift.DeleteCluster", "InvalidClusterState"),
        (SUBNETS, "redshift.DeleteClusterSubnetGroup", "InvalidClusterSubnetGroupStateFault"),
        (GROUP, "ec2.DeleteSecurityGroup", "DependencyViolation"),
        (GROUP, "ec2.DeleteSecurityGroup", "InvalidGroup.InUse"),
        (
            "log group//aws/lambda/TransactionLoader",
            "cloudwatch-logs.DeleteLogGroup",
            "OperationAbortedException",
        ),
        (APP, "kinesis-analytics-v2.DeleteApplication", "ResourceInUseException"),
        ("role/TransactionLoaderRole", "iam.DeleteRole", "ConcurrentModification"),
        (BUCKET, "s3.DeleteBucket", "OperationAborted"),
        ("topic/TransactionAlerts", "sns.DeleteTopic", "ConcurrentAccess"),
    ],
)
def test_what_is_in_motion_or_in_use_is_deleted_a_little_later(
    remote: Remote, key: str, operation: str, code: str
) -> None:
    found = resource(remote, key)
    if found.requires:
        remote.setup(DEFAULT)
    else:
        found.create(found.desired())
    refused = remote.refuse(operation, code, "not now", times=2)
    found.delete()
    assert len(refused) == 2
    assert found.read() is None


def test_a_broken_warehouse_can_be_removed(remote: Remote) -> None:
    remote.setup(DEFAULT)

    def broken(parsed: dict[str, Any]) -> None:
        for cluster in parsed.get("Clusters", []):
            cluster["ClusterStatus"] = "hardware-failure"

    remote.change_answer("redshift.DescribeClusters", broken)
    before = remote.now
    resource(remote, WAREHOUSE).delete()
    assert remote.now - before < 60
    assert remote.target.client("redshift").describe_clusters()["Clusters"] == []


def test_a_warehouse_that_is_pausing_is_awaited_and_then_resumed(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.target.client("redshift").pause_cluster(ClusterIdentifier="transaction-warehouse")
    seen: list[str] = []

    def pausing(parsed: dict[str, Any]) -> None:
        for cluster in parsed.get("Clusters", []):
            seen.append(cluster["ClusterStatus"])
            if len(seen) < 12 and cluster["ClusterStatus"] == "paused":
                cluster["ClusterStatus"] = "pausing"

    remote.change_answer("redshift.DescribeClusters", pausing)
    remote.setup(DEFAULT)
    clusters = remote.target.client("redshift").describe_clusters()["Clusters"]
    assert [cluster["ClusterStatus"] for cluster in clusters] == ["available"]


def test_an_endpoint_that_is_leaving_is_awaited_before_a_new_one_is_made(remote: Remote) -> None:
    remote.setup(DEFAULT)
    ec2 = remote.target.client("ec2")
    identifier = ec2.describe_vpc_endpoints()["VpcEndpoints"][0]["VpcEndpointId"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])
    seen: list[str] = []

    def leaving(parsed: dict[str, Any]) -> None:
        for endpoint in parsed["VpcEndpoints"]:
            if endpoint["VpcEndpointId"] == identifier and len(seen) < 8:
                seen.append(identifier)
                endpoint["State"] = "deleting"

    remote.change_answer("ec2.DescribeVpcEndpoints", leaving)
    changes = {change.resource: change for change in remote.plan(DEFAULT).work}
    assert "is deleting" in changes[ENDPOINT].note
    remote.setup(DEFAULT)
    assert len(seen) == 8
    assert assess(resource(remote, ENDPOINT)).change.action is Action.UNCHANGED


def test_an_endpoint_handed_over_by_half_is_handed_over_in_full(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.setup(settings_of(pipeline="staging"))
    ec2 = remote.target.client("ec2")
    heir = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["staging-transaction-endpoint"]}]
    )["SecurityGroups"][0]["GroupId"]
    asked: list[Any] = []

    def moved(parsed: dict[str, Any]) -> None:
        for endpoint in parsed["VpcEndpoints"]:
            endpoint["Groups"] = [{"GroupId": heir, "GroupName": "staging-transaction-endpoint"}]

    remote.change_answer("ec2.DescribeVpcEndpoints", moved)
    ec2.meta.events.register(
        "provide-client-params.ec2.ModifyVpcEndpoint", lambda params, **_: asked.append(params)
    )
    resource(remote, ENDPOINT).delete()
    assert [request.get("RemoveSecurityGroupIds", []) for request in asked] in ([], [[]])
    found = resource(remote, "vpc endpoint/staging-transaction-warehouse", pipeline="staging").read()
    assert found is not None
    assert found.facts["shared"] is False


def test_no_function_is_placed_where_lambda_has_none(remote: Remote) -> None:
    remote.setup(DEFAULT)
    found = remote.target.client("lambda").get_function_configuration(FunctionName="TransactionLoader")
    subnets = remote.target.client("ec2").describe_subnets(SubnetIds=found["VpcConfig"]["SubnetIds"])[
        "Subnets"
    ]
    zones = {subnet["AvailabilityZoneId"] for subnet in subnets}
    assert len(zones) > 1
    assert "use1-az3" not in zones


def test_an_account_without_a_default_vpc_has_a_teardown_too(remote: Remote) -> None:
    ec2 = remote.target.client("ec2")
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert take_inventory(remote.graph(DEFAULT)).empty


def test_a_subscriber_who_has_left_is_no_subscription(remote: Remote) -> None:
    """SNS lists an ended e-mail subscription for days, with the word Deleted for its ARN."""
    topic = {"subscriptions": [{"protocol": "email", "endpoint": "ops@example.com"}]}
    found = resource(remote, "topic/TransactionAlerts", topic=topic)
    found.create(found.desired())
    ended = {"Protocol": "email", "Endpoint": "ops@example.com", "SubscriptionArn": "Deleted"}
    remote.change_answer("sns.ListSubscriptionsByTopic", lambda parsed: parsed.update(Subscriptions=[ended]))
    assert [item.field for item in assess(found).change.differences] == [
        "subscriptions.email ops@example.com.raw"
    ]
    found.delete()


def test_an_app_whose_log_was_taken_away_gets_it_back(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.own.application("TransactionAnalytics").logging.clear()
    remote.setup(DEFAULT)
    assert remote.plan(DEFAULT).empty


def test_rules_of_every_sort_that_somebody_opened_are_closed_again(remote: Remote) -> None:
    found = made(remote, GROUP)
    ec2 = remote.target.client("ec2")
    group = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["transaction-endpoint"]}]
    )["SecurityGroups"][0]["GroupId"]
    opened: list[dict[str, Any]] = [
        {"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5500, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ]
    for permission in opened:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        found_now = assess(found)
        assert len(found_now.change.differences) == 1, permission
        found.update(found_now.desired, found_now.change.differences)
        assert assess(found).change.differences == (), permission


def test_a_log_group_without_our_tag_outlives_the_teardown(remote: Remote) -> None:
    """A function of that name may be somebody else's, and so its log."""
    logs = remote.target.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/TransactionLoader")
    remote.target.client("sns").create_topic(
        Name="TransactionAlerts", Tags=[{"Key": "txnpipe:pipeline", "Value": "default"}]
    )
    graph = remote.graph(DEFAULT)
    inventory = take_inventory(graph)
    assert inventory.present == ("topic/TransactionAlerts",)
    teardown(graph, inventory)
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == [
        "/aws/lambda/TransactionLoader"
    ]


def test_a_teardown_stops_once_its_lock_is_lost(remote: Remote) -> None:
    remote.setup(DEFAULT)
    graph = remote.graph(DEFAULT)

    class Lost:
        def __enter__(self) -> Lost:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def assert_held(self) -> None:
            raise TxnpipeError("Somebody else runs.", "Wait.", ExitCode.CONFLICT)

    before = len(remote.recorder.changes)
    with pytest.raises(TxnpipeError, match="Somebody else runs"):
        teardown(graph, take_inventory(graph), lock=Lost)  # type: ignore[arg-type]
    assert remote.recorder.changes[before:] == []
