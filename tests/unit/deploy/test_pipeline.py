"""The whole control plane against an account in memory: plan, setup, teardown, and setup once more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, changed_fields, make_zip, settings_of, tear_down
from txnpipe.deploy.plan import Action
from txnpipe.deploy.teardown import sweep, take_inventory
from txnpipe.errors import ExitCode, TxnpipeError

SUBSCRIBED: dict[str, Any] = {
    "subscriptions": [
        {"protocol": "email", "endpoint": "ops@example.com"},
        {"protocol": "sqs", "endpoint": f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts", "raw": True},
    ]
}
DEFAULT = settings_of()
NOT_WANTED = "s3 gateway/transaction-warehouse"
PORT_CHANGE = {
    "security group/TransactionLoader": ["egress.tcp 5439", "egress.tcp 5440"],
    "security group/transaction-warehouse": ["ingress.tcp 5439", "ingress.tcp 5440"],
    "warehouse/transaction-warehouse": ["port"],
}


def statement(sid: str) -> list[str]:
    """Fields of a policy statement that lets a role use the streams' key."""
    parts = (
        "Action",
        "Condition.ForAnyValue:StringEquals.kms:ResourceAliases",
        CONTEXT,
        "Effect",
        "Resource",
    )
    return [f"policy.{sid}.{part}" for part in parts]


CONTEXT = "Condition.StringEquals.kms:EncryptionContext:aws:kinesis:arn"
KEY_CHANGE = {
    "stream/TransactionStream": ["kms_key"],
    "stream/TransactionAlerts": ["kms_key"],
    "role/TransactionLoaderRole": statement("ReadWithKey"),
    "role/TransactionNotifierRole": statement("ReadWithKey"),
    "role/TransactionAnalyticsRole": statement("ReadWithKey") + statement("WriteWithKey"),
}


def test_the_first_plan_creates_everything_and_only_reads(remote: Remote) -> None:
    plan = remote.plan(DEFAULT)
    assert {change.action for change in plan.work} == {Action.CREATE}
    assert [change.resource for change in plan.changes if change not in plan.work] == [NOT_WANTED]
    assert remote.recorder.changes == []


def test_a_plan_lists_every_resource_after_what_it_requires(remote: Remote) -> None:
    graph = remote.graph(DEFAULT)
    order = [change.resource for change in remote.plan(DEFAULT).changes]
    for resource, requirements in graph.requirements().items():
        assert all(order.index(needed) < order.index(resource) for needed in requirements)


def test_what_another_resource_brings_is_known_after_apply(remote: Remote) -> None:
    plan = {change.resource: change for change in remote.plan(DEFAULT).changes}
    environment = {
        item.field: item.as_json()["after"] for item in plan["function/TransactionLoader"].differences
    }
    assert environment["environment.WAREHOUSE_HOST"] == "(known after apply)"
    assert environment["environment.WAREHOUSE_SECRET_ARN"] == "(known after apply)"
    assert environment["environment.DEDUPE_WINDOW_DAYS"] == "7"


def test_a_plan_after_setup_is_empty_and_a_second_setup_changes_nothing(remote: Remote) -> None:
    settings = settings_of(topic=SUBSCRIBED)
    remote.target.client("sqs").create_queue(QueueName="alerts")
    remote.setup(settings)
    before = len(remote.recorder.changes)
    assert changed_fields(remote.plan(settings)) == {}
    assert remote.setup(settings).changes == ()
    assert remote.recorder.changes[before:] == []


def test_the_analytics_app_is_started_and_the_schema_applied(remote: Remote) -> None:
    remote.setup(DEFAULT)
    assert remote.own.application("TransactionAnalytics").status == "RUNNING"
    assert remote.warehouse.pending == []
    assert list(remote.warehouse.users) == ["txnpipe_loader"]


def test_the_loader_gets_the_address_and_secret_that_really_exist(remote: Remote) -> None:
    remote.setup(DEFAULT)
    function = remote.target.client("lambda").get_function(FunctionName="TransactionLoader")
    environment = function["Configuration"]["Environment"]["Variables"]
    cluster = remote.target.client("redshift").describe_clusters()["Clusters"][0]
    secret = remote.target.client("secretsmanager").describe_secret(SecretId="txnpipe/default/loader")
    assert environment["WAREHOUSE_HOST"] == cluster["Endpoint"]["Address"]
    assert environment["WAREHOUSE_PORT"] == str(cluster["Endpoint"]["Port"])
    assert environment["WAREHOUSE_SECRET_ARN"] == secret["ARN"]


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"loader": {"memory_mb": 1024}}, {"function/TransactionLoader": ["memory_mb"]}),
        (
            {"loader": {"dedupe_window_days": 3}},
            {"function/TransactionLoader": ["environment.DEDUPE_WINDOW_DAYS"]},
        ),
        (
            {"loader": {"batch_size": 77}},
            {
                "event source mapping/TransactionStream → TransactionLoader": ["batch_size"],
                "event source mapping/TransactionAlerts → TransactionLoader": ["batch_size"],
            },
        ),
        (
            {"notifier": {"batch_size": 7}},
            {"event source mapping/TransactionAlerts → TransactionNotifier": ["batch_size"]},
        ),
        (
            {"notifier": {"maximum_retry_attempts": 7, "maximum_record_age_seconds": 600}},
            {
                "event source mapping/TransactionAlerts → TransactionNotifier": [
                    "maximum_retry_attempts",
                    "maximum_record_age_seconds",
                ]
            },
        ),
        (
            {"stream": {"retention_hours": 48}},
            {
                "stream/TransactionStream": ["retention_hours"],
                "stream/TransactionAlerts": ["retention_hours"],
            },
        ),
        ({"stream": {"mode": "on-demand"}}, {"stream/TransactionStream": ["mode"]}),
        (
            {"stream": {"encryption": False}},
            {"stream/TransactionStream": ["kms_key"], "stream/TransactionAlerts": ["kms_key"]},
        ),
        ({"stream": {"kms_key": "alias/mine"}}, KEY_CHANGE),
        (
            {"stream": {"shard_metrics": ["IncomingBytes"]}},
            {"stream/TransactionStream": ["shard_metrics"], "stream/TransactionAlerts": ["shard_metrics"]},
        ),
        ({"analytics": {"parallelism": 2}}, {"analytics app/TransactionAnalytics": ["parallelism"]}),
        ({"warehouse": {"port": 5440}}, PORT_CHANGE),
        ({"warehouse": {"nodes": 2}}, {"warehouse/transaction-warehouse": ["nodes"]}),
        (
            {"topic": {"subscriptions": [{"protocol": "email", "endpoint": "ops@example.com"}]}},
            {"topic/TransactionAlerts": ["subscriptions.email ops@example.com.raw"]},
        ),
        (
            {"functions": {"log_retention_days": 30}},
            {
                "log group//aws/kinesis-analytics/TransactionAnalytics": ["retention_days"],
                "log group//aws/lambda/TransactionLoader": ["retention_days"],
                "log group//aws/lambda/TransactionNotifier": ["retention_days"],
            },
        ),
    ],
)
def test_a_changed_setting_shows_exactly_its_fields_and_is_applied(
    remote: Remote, sections: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    remote.setup(DEFAULT)
    changed = settings_of(**sections)
    assert changed_fields(remote.plan(changed)) == expected
    assert {change.action for change in remote.plan(changed).work} == {Action.UPDATE}
    remote.setup(changed)
    assert changed_fields(remote.plan(changed)) == {}


def test_changed_code_is_uploaded_and_nothing_else_is_touched(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.zips["loader"] = make_zip("loader", "2")
    assert changed_fields(remote.plan(DEFAULT)) == {"function/TransactionLoader": ["code_sha256"]}
    before = len(remote.recorder.changes)
    remote.setup(DEFAULT)
    changes = [call for call in remote.recorder.changes[before:] if not call.startswith("s3.")]
    assert changes == ["lambda.UpdateFunctionCode"]


def test_changed_rules_reach_the_running_app(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.zips["analytics"] = make_zip("analytics", "2")
    assert changed_fields(remote.plan(DEFAULT)) == {
        "code/analytics": ["key"],
        "analytics app/TransactionAnalytics": ["code_key"],
    }
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}
    assert remote.own.application("TransactionAnalytics").status == "RUNNING"


def test_the_number_of_shards_belongs_to_scale_once_the_stream_exists(remote: Remote) -> None:
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(settings_of(stream={"shards": 4}))) == {}


def test_a_stopped_app_and_a_paused_warehouse_are_started_again(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.own.application("TransactionAnalytics").status = "READY"
    remote.target.client("redshift").pause_cluster(ClusterIdentifier="transaction-warehouse")
    plan = changed_fields(remote.plan(DEFAULT))
    assert plan["analytics app/TransactionAnalytics"] == ["running"]
    assert plan["warehouse/transaction-warehouse"] == ["running"]
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}


def test_what_somebody_changed_by_hand_is_put_right(remote: Remote) -> None:
    remote.setup(DEFAULT)
    iam = remote.target.client("iam")
    iam.put_role_policy(
        RoleName="TransactionNotifierRole",
        PolicyName="txnpipe",
        PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Sid": "Publish", "Effect": "Allow", '
        '"Action": "sns:*", "Resource": "*"}]}',
    )
    remote.target.client("s3").delete_public_access_block(Bucket=f"txnpipe-default-{ACCOUNT}-{REGION}")
    plan = changed_fields(remote.plan(DEFAULT))
    assert "policy.Publish.Action" in plan["role/TransactionNotifierRole"]
    assert plan[f"bucket/txnpipe-default-{ACCOUNT}-{REGION}"] == ["public_access_blocked"]
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}


def test_a_lost_database_user_and_a_new_password_are_noticed(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.warehouse.users.clear()
    assert changed_fields(remote.plan(DEFAULT)) == {
        "database user/txnpipe_loader": ["secret_version", "former"]
    }
    remote.setup(DEFAULT)
    remote.target.client("secretsmanager").put_secret_value(
        SecretId="txnpipe/default/loader", SecretString='{"username": "txnpipe_loader", "password": "New1"}'
    )
    assert changed_fields(remote.plan(DEFAULT)) == {"database user/txnpipe_loader": ["secret_version"]}
    remote.setup(DEFAULT)
    assert remote.warehouse.users == {"txnpipe_loader": "New1"}


def test_the_password_is_nowhere_but_in_the_secret_and_the_database(remote: Remote) -> None:
    first = remote.plan(DEFAULT)
    applied = remote.setup(DEFAULT)
    password = remote.warehouse.users["txnpipe_loader"]
    assert len(password) == 40
    assert password not in repr(first) + repr(applied) + repr(remote.plan(DEFAULT))


def test_a_change_that_would_lose_the_rows_is_refused_before_anything_happens(remote: Remote) -> None:
    remote.setup(DEFAULT)
    before = len(remote.recorder.changes)
    with pytest.raises(TxnpipeError, match="cannot change its database") as caught:
        remote.setup(settings_of(warehouse={"database": "other"}))
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert remote.recorder.changes[before:] == []


@pytest.mark.parametrize(
    ("sections", "cause", "fix"),
    [
        ({"warehouse": {"node_type": "dc2.large"}}, "no longer creates dc2.large", "rg.large"),
        ({"analytics": {"runtime": "SQL-1_0"}}, "ended on 2026-01-27", "FLINK-2_3"),
        ({"functions": {"log_retention_days": 8}}, "cannot keep logs for 8 days", "log_retention_days to 7"),
    ],
)
def test_what_aws_no_longer_takes_is_refused_with_what_to_use(
    remote: Remote, sections: dict[str, Any], cause: str, fix: str
) -> None:
    with pytest.raises(TxnpipeError, match=cause) as caught:
        remote.plan(settings_of(**sections))
    assert fix in caught.value.fix
    assert caught.value.exit_code is ExitCode.USAGE
    assert remote.recorder.changes == []


def test_a_resource_of_that_name_without_our_tag_is_refused_and_left_alone(remote: Remote) -> None:
    remote.target.client("kinesis").create_stream(
        StreamName="TransactionStream", ShardCount=1, Tags={"a": "b"}
    )
    remote.target.client("sns").create_topic(
        Name="TransactionAlerts", Tags=[{"Key": "txnpipe:pipeline", "Value": "other"}]
    )
    before = len(remote.recorder.changes)
    with pytest.raises(TxnpipeError, match="stream TransactionStream exists already") as caught:
        remote.setup(DEFAULT)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert any("belongs to the pipeline other" in detail for detail in caught.value.details)
    assert remote.recorder.changes[before:] == []


def test_two_pipelines_live_side_by_side_and_one_goes_alone(remote: Remote) -> None:
    staging = settings_of(pipeline="staging")
    remote.setup(DEFAULT)
    remote.setup(staging)
    tear_down(remote, DEFAULT)
    assert take_inventory(remote.graph(DEFAULT)).empty
    graph = remote.graph(staging)
    assert changed_fields(remote.plan(staging)) == {}
    # The endpoint of the VPC was made by the first and is the second's now.
    assert "vpc endpoint/staging-transaction-warehouse" in take_inventory(graph).present
    tear_down(remote, staging)
    assert sweep(graph).empty


def test_teardown_leaves_nothing_and_setup_works_again(remote: Remote) -> None:
    remote.setup(DEFAULT)
    s3, bucket = remote.target.client("s3"), f"txnpipe-default-{ACCOUNT}-{REGION}"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket=bucket, Key="runs/1/manifest.json", Body=b"{}")
    s3.create_multipart_upload(Bucket=bucket, Key="runs/2/part")
    remote.warehouse = type(remote.warehouse)()
    tear_down(remote, DEFAULT)
    assert sweep(remote.graph(DEFAULT)).empty
    missing = set(remote.graph(DEFAULT).resources) - {NOT_WANTED}
    assert set(changed_fields(remote.plan(DEFAULT))) == missing
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}


def test_teardown_of_nothing_says_so_and_changes_nothing(remote: Remote) -> None:
    with pytest.raises(TxnpipeError, match="There is no pipeline default") as caught:
        tear_down(remote, DEFAULT)
    assert caught.value.exit_code is ExitCode.NOT_FOUND
    assert remote.recorder.changes == []


def test_teardown_leaves_a_stranger_s_resource_alone(remote: Remote) -> None:
    remote.setup(DEFAULT)
    sns = remote.target.client("sns")
    arn = sns.list_topics()["Topics"][0]["TopicArn"]
    sns.untag_resource(ResourceArn=arn, TagKeys=["txnpipe:pipeline"])
    tear_down(remote, DEFAULT)
    left = sweep(remote.graph(DEFAULT))
    assert left.present == ()
    assert "topic TransactionAlerts exists already" in left.foreign[0]
    assert sns.list_topics()["Topics"]


def test_teardown_leaves_a_stranger_s_mapping_alone(remote: Remote) -> None:
    remote.setup(DEFAULT)
    lambda_ = remote.target.client("lambda")
    mapping = lambda_.list_event_source_mappings()["EventSourceMappings"][0]
    lambda_.untag_resource(Resource=mapping["EventSourceMappingArn"], TagKeys=["txnpipe:pipeline"])
    tear_down(remote, DEFAULT)
    left = lambda_.list_event_source_mappings()["EventSourceMappings"]
    assert [item["UUID"] for item in left] == [mapping["UUID"]]


def test_a_final_snapshot_is_left_where_the_target_says_so(remote: Remote) -> None:
    remote.setup(DEFAULT)
    object.__setattr__(remote.target, "final_snapshot", True)
    tear_down(remote, DEFAULT)
    snapshots = remote.target.client("redshift").describe_cluster_snapshots()["Snapshots"]
    assert [item["SnapshotIdentifier"].rpartition("-")[0] for item in snapshots] == [
        "transaction-warehouse-final"
    ]


def test_a_failed_app_start_says_why_and_everything_else_is_done(remote: Remote) -> None:
    remote.own.fail_start = "the code has no main.py"
    with pytest.raises(TxnpipeError, match=r"no main\.py") as caught:
        remote.setup(DEFAULT)
    assert caught.value.exit_code is ExitCode.SERVICE
    remote.own.fail_start = ""
    assert changed_fields(remote.plan(DEFAULT)) == {"analytics app/TransactionAnalytics": ["running"]}
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}
