"""Templates: valid, complete, and equal to what setup would make."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from cfnlint import ManualArgs, lint

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.export.conftest import settings_of, template_of
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.export import kinds
from txnpipe.export.intrinsics import referred
from txnpipe.export.template import build, symbolic_graph
from txnpipe.export.writing import text_of
from txnpipe.resources.resource import id_of
from txnpipe.target import unidentified_aws

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts"
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "staging": {"pipeline": "staging"},
    "on-demand": {"stream": {"mode": "on-demand", "retention_hours": 48}},
    "own key": {"stream": {"kms_key": "alias/mine", "shard_metrics": ["ALL"]}},
    "not encrypted": {"stream": {"encryption": False}},
    "several nodes, no snapshot": {"warehouse": {"nodes": 3, "final_snapshot": False}},
    "subscriptions": {
        "topic": {
            "subscriptions": [
                {"protocol": "email", "endpoint": "ops@example.com"},
                {"protocol": "sqs", "endpoint": QUEUE, "raw": True},
                {"protocol": "https", "endpoint": "https://example.com/${path}"},
            ]
        }
    },
    "China": {"region": "cn-north-1"},
    "serverless": {"warehouse": {"kind": "serverless"}},
    "serverless, staging, bounded": {
        "pipeline": "staging",
        "warehouse": {"kind": "serverless", "max_capacity_rpu": 64, "final_snapshot": False},
    },
    "S3 gateway": {"network": {"s3_gateway": True}},
    "existing endpoint, named subnets": {
        "network": {
            "secrets_endpoint": "existing",
            "vpc_id": "vpc-12345678",
            "subnet_ids": ["subnet-12345678", "subnet-12345679"],
        }
    },
    "alarms that tell somebody": {"alarms": {"topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:ops"}},
    "no alarms": {"alarms": {"enabled": False}},
    "reserved": {"loader": {"reserved_concurrency": 5}, "notifier": {"reserved_concurrency": 1}},
    "scaling analytics": {"analytics": {"auto_scaling": True, "parallelism": 4, "parallelism_per_kpu": 2}},
}


@pytest.mark.parametrize("sections", SETTINGS.values(), ids=SETTINGS)
def test_cfn_lint_has_nothing_to_say(sections: dict[str, Any]) -> None:
    text = text_of(template_of(**sections).document, "yaml")
    regions: Any = [sections.get("region", "us-east-1")]
    found = lint(text, config=ManualArgs(regions=regions, ignore_checks=[], configure_rules={}))
    assert [f"{match.rule.id} {match.path}: {match.message}" for match in found] == []


def test_yaml_and_json_say_the_same() -> None:
    document = template_of(**SETTINGS["subscriptions"]).document
    assert yaml.safe_load(text_of(document, "yaml")) == json.loads(text_of(document, "json")) == document


def test_cfn_lint_is_listened_to() -> None:
    """A lint that is asked the wrong way finds nothing either."""
    document = dict(template_of().document)
    document["Resources"] = {"Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": "many"}}}
    assert lint(text_of(document, "json"), config=ManualArgs(regions=["us-east-1"]))


@pytest.mark.parametrize("sections", SETTINGS.values(), ids=SETTINGS)
def test_every_kind_of_the_graph_is_rendered_or_left_out_by_name(sections: dict[str, Any]) -> None:
    settings = settings_of(**sections)
    graph = symbolic_graph(unidentified_aws(settings), settings)
    made = {resource.kind for resource in graph}
    assert made - kinds.RENDERERS.keys() - kinds.LEFT_OUT.keys() == set()
    assert kinds.RENDERERS.keys() & kinds.LEFT_OUT.keys() == set()


def test_a_kind_that_nobody_renders_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {kind: render for kind, render in kinds.RENDERERS.items() if kind != "topic"}
    monkeypatch.setattr("txnpipe.export.template.RENDERERS", left)
    settings = settings_of()
    with pytest.raises(NotImplementedError, match="kind topic"):
        build(unidentified_aws(settings), settings)


def test_the_names_are_those_of_setup_and_the_ids_do_not_depend_on_the_pipeline() -> None:
    default, staging = template_of().document, template_of(pipeline="staging").document
    assert list(default["Resources"]) == list(staging["Resources"])
    stream = "StreamTransactionStream"
    assert default["Resources"][stream]["Properties"]["Name"] == "TransactionStream"
    assert staging["Resources"][stream]["Properties"]["Name"] == "staging-TransactionStream"
    assert staging["Metadata"]["txnpipe"]["Pipeline"] == "staging"


def tags(properties: dict[str, Any]) -> dict[str, str]:
    found = properties["Tags"]
    if isinstance(found, dict):
        return found
    return {tag.get("Key") or tag["key"]: tag.get("Value") or tag["value"] for tag in found}


UNTAGGED = {
    *("AWS::SNS::Subscription", "AWS::Logs::LogStream"),
    "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption",
}
"""Types without tags."""


@pytest.mark.parametrize("sections", SETTINGS.values(), ids=SETTINGS)
def test_everything_that_can_carry_a_tag_carries_ours(sections: dict[str, Any]) -> None:
    document = template_of(**sections).document
    for key, resource in document["Resources"].items():
        if resource["Type"] not in UNTAGGED:
            found = tags(resource["Properties"])
            assert found["txnpipe:pipeline"] == sections.get("pipeline", "default"), key


FIELDS: list[tuple[dict[str, Any], str, str, Any]] = [
    ({"loader": {"memory_mb": 1024}}, "FunctionTransactionLoader", "MemorySize", 1024),
    ({"loader": {"timeout_seconds": 77}}, "FunctionTransactionLoader", "Timeout", 77),
    ({"functions": {"python": "3.12"}}, "FunctionTransactionNotifier", "Runtime", "python3.12"),
    ({"functions": {"architecture": "x86_64"}}, "FunctionTransactionLoader", "Architectures.0", "x86_64"),
    (
        {"loader": {"dedupe_window_days": 3}},
        "FunctionTransactionLoader",
        "Environment.Variables.DEDUPE_WINDOW_DAYS",
        "3",
    ),
    (
        {"loader": {"batch_size": 77}},
        "EventSourceMappingTransactionStreamTransactionLoader",
        "BatchSize",
        77,
    ),
    (
        {"notifier": {"maximum_retry_attempts": 7}},
        "EventSourceMappingTransactionAlertsTransactionNotifier",
        "MaximumRetryAttempts",
        7,
    ),
    ({"stream": {"shards": 4}}, "StreamTransactionStream", "ShardCount", 4),
    ({"stream": {"retention_hours": 48}}, "StreamTransactionAlerts", "RetentionPeriodHours", 48),
    (
        {"stream": {"kms_key": "alias/mine"}},
        "StreamTransactionAlerts",
        "StreamEncryption.KeyId",
        "alias/mine",
    ),
    (
        {"stream": {"mode": "on-demand"}},
        "StreamTransactionStream",
        "StreamModeDetails.StreamMode",
        "ON_DEMAND",
    ),
    (
        {"stream": {"shard_metrics": ["IncomingBytes"]}},
        "StreamTransactionStream",
        "DesiredShardLevelMetrics",
        ["IncomingBytes"],
    ),
    ({"warehouse": {"nodes": 2}}, "WarehouseTransactionWarehouse", "NumberOfNodes", 2),
    ({"warehouse": {"nodes": 2}}, "WarehouseTransactionWarehouse", "ClusterType", "multi-node"),
    ({"warehouse": {"node_type": "ra3.large"}}, "WarehouseTransactionWarehouse", "NodeType", "ra3.large"),
    ({"warehouse": {"database": "other"}}, "WarehouseTransactionWarehouse", "DBName", "other"),
    (
        {"warehouse": {"kind": "serverless", "base_capacity_rpu": 16}},
        "WorkgroupTransactionWarehouse",
        "BaseCapacity",
        16,
    ),
    (
        {"warehouse": {"kind": "serverless", "max_capacity_rpu": 64}},
        "WorkgroupTransactionWarehouse",
        "MaxCapacity",
        64,
    ),
    (
        {"warehouse": {"kind": "serverless", "database": "other"}},
        "NamespaceTransactionWarehouse",
        "DbName",
        "other",
    ),
    (
        {"loader": {"reserved_concurrency": 5}},
        "FunctionTransactionLoader",
        "ReservedConcurrentExecutions",
        5,
    ),
    ({"alarms": {"iterator_age_seconds": 60}}, "AlarmsTxnpipeLoaderIteratorAge", "Threshold", 60_000.0),
    ({"functions": {"log_retention_days": 30}}, "LogGroupAwsLambdaTransactionLoader", "RetentionInDays", 30),
    (
        {"analytics": {"parallelism": 2}},
        "AnalyticsAppTransactionAnalytics",
        "ApplicationConfiguration.FlinkApplicationConfiguration.ParallelismConfiguration.Parallelism",
        2,
    ),
    (
        {"analytics": {"runtime": "FLINK-2_2"}},
        "AnalyticsAppTransactionAnalytics",
        "RuntimeEnvironment",
        "FLINK-2_2",
    ),
]


@pytest.mark.parametrize(("sections", "resource", "path", "value"), FIELDS)
def test_a_setting_reaches_its_property(
    sections: dict[str, Any], resource: str, path: str, value: Any
) -> None:
    def at(document: Any) -> Any:
        found = document["Resources"].get(resource, {"Properties": {}})["Properties"]
        for part in path.split("."):
            found = found[int(part)] if isinstance(found, list) else found.get(part)
            if found is None:
                return None
        return found

    assert at(template_of(**sections).document) == value
    assert at(template_of().document) != value


def test_a_policy_is_that_of_setup_with_the_stack_s_account_and_region() -> None:
    from txnpipe.names import Names
    from txnpipe.resources.policies import document, loader_policy

    role = template_of().document["Resources"]["RoleTransactionLoaderRole"]["Properties"]
    found = role["Policies"][0]["PolicyDocument"]

    def written(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"Fn::Sub"}:
            text = value["Fn::Sub"]
            for symbol, word in (("AccountId", ACCOUNT), ("Region", REGION), ("Partition", "aws")):
                text = text.replace(f"${{AWS::{symbol}}}", word)
            return text
        if isinstance(value, dict):
            return {key: written(item) for key, item in value.items()}
        return [written(item) for item in value] if isinstance(value, list) else value

    assert written(found) == json.loads(document(loader_policy(Names("default", ACCOUNT, REGION))))


def test_what_only_the_stack_knows_is_asked_of_the_resources_that_have_it() -> None:
    variables = template_of().document["Resources"]["FunctionTransactionLoader"]["Properties"]["Environment"]
    assert variables["Variables"]["WAREHOUSE_SECRET_ARN"] == {"Ref": "SecretTxnpipeLoader"}
    assert variables["Variables"]["WAREHOUSE_HOST"] == {
        "Fn::GetAtt": ["WarehouseTransactionWarehouse", "Endpoint.Address"]
    }
    assert variables["Variables"]["WAREHOUSE_PORT"] == {
        "Fn::GetAtt": ["WarehouseTransactionWarehouse", "Endpoint.Port"]
    }


def test_what_a_resource_requires_comes_before_it(request: pytest.FixtureRequest) -> None:
    settings = settings_of()
    graph = symbolic_graph(unidentified_aws(settings), settings)
    document = template_of().document
    resources = document["Resources"]

    def before(key: str) -> set[str]:
        resource = resources[key]
        direct = (referred(resource["Properties"]) | set(resource.get("DependsOn", []))) & set(resources)
        return direct.union(*(before(item) for item in direct - {key}))

    from txnpipe.export.symbols import logical_id_of, template_names

    names = template_names("default", "us-east-1")
    for resource in graph:
        key = logical_id_of(names, id_of(resource))
        if key in resources:
            needed = {logical_id_of(names, item) for item in resource.requires} & set(resources)
            assert needed <= before(key), key


def test_a_serverless_warehouse_s_address_comes_from_its_workgroup() -> None:
    template = template_of(warehouse={"kind": "serverless"})
    function = template.document["Resources"]["FunctionTransactionLoader"]["Properties"]
    variables = function["Environment"]["Variables"]
    made = "WorkgroupTransactionWarehouse"
    assert variables["WAREHOUSE_HOST"] == {"Fn::GetAtt": [made, "Workgroup.Endpoint.Address"]}
    assert variables["WAREHOUSE_PORT"] == {"Fn::GetAtt": [made, "Workgroup.Endpoint.Port"]}
    assert [line for line in template.missing if "usage limit" in line]


def test_the_warehouse_takes_the_loader_only_and_groups_reach_nothing_they_need_not() -> None:
    resources = template_of().document["Resources"]
    (rule,) = resources["SecurityGroupTransactionWarehouse"]["Properties"]["SecurityGroupIngress"]
    loader = {"Fn::GetAtt": ["SecurityGroupTransactionLoader", "GroupId"]}
    assert rule["SourceSecurityGroupId"] == loader
    for name in ("Warehouse", "Endpoint"):
        (egress,) = resources[f"SecurityGroupTransaction{name}"]["Properties"]["SecurityGroupEgress"]
        assert egress["CidrIp"] == "255.255.255.255/32"
    loader_egress = resources["SecurityGroupTransactionLoader"]["Properties"]["SecurityGroupEgress"]
    assert {item["FromPort"] for item in loader_egress} == {5439, 443}


def test_a_configured_network_is_a_default_of_the_parameters() -> None:
    parameters = template_of(**SETTINGS["existing endpoint, named subnets"]).document["Parameters"]
    assert parameters["VpcId"]["Default"] == "vpc-12345678"
    assert parameters["SubnetIds"]["Default"] == "subnet-12345678,subnet-12345679"
    assert "Default" not in template_of().document["Parameters"]["VpcId"]


def test_an_existing_endpoint_is_not_made_and_a_gateway_only_where_it_is_wanted() -> None:
    def endpoints(**network: Any) -> list[str]:
        resources = template_of(network=network).document["Resources"].values()
        made = [item["Properties"] for item in resources if item["Type"] == "AWS::EC2::VPCEndpoint"]
        return sorted(item["VpcEndpointType"] for item in made)

    assert endpoints() == ["Interface"]
    assert endpoints(s3_gateway=True) == ["Gateway", "Interface"]
    assert endpoints(secrets_endpoint="existing") == []


def test_digests_of_built_zips_are_defaults() -> None:
    settings = settings_of()
    digests = {"loader": "a" * 64, "notifier": "b" * 64, "analytics": "c" * 64}
    document = build(unidentified_aws(settings), settings, digests).document
    assert document["Parameters"]["LoaderSha256"]["Default"] == "a" * 64
    assert "Default" not in template_of().document["Parameters"]["LoaderSha256"]
    code = document["Resources"]["FunctionTransactionLoader"]["Properties"]["Code"]
    assert code == {
        "S3Bucket": {"Ref": "CodeBucket"},
        "S3Key": {"Fn::Sub": "code/loader-${LoaderSha256}.zip"},
    }


def test_what_a_stack_cannot_make_is_told_in_the_template() -> None:
    template = template_of()
    told = template.document["Metadata"]["txnpipe"]["NotInThisStack"]
    assert list(template.missing) == told
    for word in ("tables", "database user", "start of the analytics app"):
        assert [line for line in told if word in line], word


def test_the_warehouse_leaves_a_snapshot_where_a_teardown_would() -> None:
    kept = template_of().document["Resources"]["WarehouseTransactionWarehouse"]
    assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    dropped = template_of(warehouse={"final_snapshot": False}).document["Resources"]
    assert dropped["WarehouseTransactionWarehouse"]["DeletionPolicy"] == "Delete"


def test_settings_that_cannot_be_are_refused_as_setup_refuses_them() -> None:
    with pytest.raises(TxnpipeError, match="dc2") as caught:
        template_of(warehouse={"node_type": "dc2.large"})
    assert caught.value.exit_code is ExitCode.USAGE
