"""Where an action is allowed: one scope becomes one statement of the policy.

Names are deterministic, so most scopes name the pipeline's own resources. What EC2 numbers by itself is
recognized by the pipeline's tag. Whatever is wider says why. Source of what each action can be narrowed to:
the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.config import Settings
from txnpipe.names import TAG_PIPELINE, Names
from txnpipe.resources.policies import analytics_log_group, bucket_arn, function_log_group
from txnpipe.resources.stream_key import READ, customer_key, stream_key, use_key

Condition = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Pipeline:
    """What ARNs are made of."""

    names: Names
    settings: Settings

    def ec2(self, kind: str) -> str:
        """ARN pattern of all resources of a kind: "vpc", "subnet", ..."""
        return self.names.arn("ec2", f"{kind}/*")

    def secret(self, name: str) -> str:
        """ARN pattern of a secret, whose ARN ends in six random characters."""
        return self.names.arn("secretsmanager", f"secret:{name}-??????")


def _anything(_: Pipeline) -> tuple[str, ...]:
    return ("*",)


def _unconditionally(_: Pipeline) -> Condition:
    return {}


@dataclass(frozen=True)
class Scope:
    """`sid` becomes the statement's id. No resources: these settings do not need it, and it is left out.
    `why` says what keeps a wide scope from being narrower.
    """

    sid: str
    resources: Callable[[Pipeline], tuple[str, ...]]
    condition: Callable[[Pipeline], Condition] = _unconditionally
    why: str = ""


def _streams(to: Pipeline) -> tuple[str, ...]:
    return (to.names.stream_arn, to.names.alert_stream_arn)


def _functions(to: Pipeline) -> tuple[str, ...]:
    return (to.names.loader_arn, to.names.notifier_arn)


def _mappings(to: Pipeline) -> tuple[str, ...]:
    return (to.names.arn("lambda", "event-source-mapping:*"),)


def _of_our_functions(to: Pipeline) -> Condition:
    return {"ArnEquals": {"lambda:FunctionArn": list(_functions(to))}}


def _role(to: Pipeline, name: str) -> str:
    return to.names.arn("iam", f"role/{name}", region=False)


def _roles(to: Pipeline) -> tuple[str, ...]:
    names = to.names
    return tuple(_role(to, name) for name in (names.loader_role, names.notifier_role, names.analytics_role))


def _lambda_roles(to: Pipeline) -> tuple[str, ...]:
    return (_role(to, to.names.loader_role), _role(to, to.names.notifier_role))


def _passed_to(service: str) -> Callable[[Pipeline], Condition]:
    return lambda _: {"StringEquals": {"iam:PassedToService": service}}


def _log_groups(to: Pipeline) -> tuple[str, ...]:
    groups = (
        *(function_log_group(name) for name in (to.names.loader, to.names.notifier)),
        analytics_log_group(to.names),
    )
    # CloudWatch Logs writes a group's ARN without and with ":*", depending on the action.
    return tuple(
        to.names.arn("logs", f"log-group:{group}{suffix}") for group in groups for suffix in ("", ":*")
    )


def _cluster(to: Pipeline) -> tuple[str, ...]:
    return (to.names.arn("redshift", f"cluster:{to.names.cluster}"),)


def _serverless(to: Pipeline) -> tuple[str, ...]:
    return tuple(to.names.arn("redshift-serverless", f"{part}/*") for part in ("namespace", "workgroup"))


def _use_of_key(to: Pipeline) -> Mapping[str, Any]:
    """The statement that lets a role use the key for the records of our streams, where it is a customer's."""
    key = customer_key(to.settings.stream)
    return use_key(to.names, key, {READ: list(_streams(to))}).get("ReadWithKey", {})


def _known_alias(to: Pipeline) -> str:
    key = stream_key(to.settings.stream) or ""
    return "alias/" + key.rpartition("alias/")[2] if "alias/" in key else ""


def _described_key(to: Pipeline) -> tuple[str, ...]:
    if _known_alias(to):
        return (to.names.arn("kms", "key/*"),)
    return tuple(_use_of_key(to).get("Resource", ()))


def _of_that_alias(to: Pipeline) -> Condition:
    alias = _known_alias(to)
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [alias]}} if alias else {}


def _with_our_tag(to: Pipeline) -> Condition:
    return {"StringEquals": {f"aws:ResourceTag/{TAG_PIPELINE}": to.names.pipeline}}


def _asking_for_our_tag(to: Pipeline) -> Condition:
    return {"StringEquals": {f"aws:RequestTag/{TAG_PIPELINE}": to.names.pipeline}}


def _tagged_when_created(to: Pipeline) -> Condition:
    return {
        "StringEquals": {
            "ec2:CreateAction": ["CreateSecurityGroup", "CreateVpcEndpoint"],
            f"aws:RequestTag/{TAG_PIPELINE}": to.names.pipeline,
        }
    }


UNSCOPED = Scope("Unscoped", _anything, why="these actions know no resource and no condition that fits")

STREAMS = Scope("Streams", _streams)
STREAM_KEY = Scope(
    "StreamKey",
    lambda to: tuple(_use_of_key(to).get("Resource", ())),
    lambda to: _use_of_key(to).get("Condition", {}),
)
ENCRYPTION_KEYS = Scope(
    "EncryptionKeys",
    lambda to: (to.names.arn("kms", "key/*"),),
    why="Kinesis names the key that it turns on or off, also one that somebody else has set",
)
KEY_NAME = Scope(
    "KeyName", _described_key, _of_that_alias, why="an alias is no resource; the condition names it instead"
)
FUNCTIONS = Scope("Functions", _functions)
NEW_MAPPINGS = Scope(
    "NewMappings", _anything, _of_our_functions, why="a mapping has no ARN yet; its function is named instead"
)
MAPPINGS = Scope(
    "Mappings", _mappings, _of_our_functions, why="Lambda numbers mappings; their function is named instead"
)
MAPPING_TAGS = Scope(
    "MappingTags", _mappings, why="Lambda numbers mappings; no condition names their function"
)
NEW_MAPPING_TAGS = Scope(
    "NewMappingTags", _mappings, _asking_for_our_tag, why="Lambda numbers mappings; only our tag may be set"
)

ROLES = Scope("Roles", _roles)
PASS_TO_LAMBDA = Scope("PassToLambda", _lambda_roles, _passed_to("lambda.amazonaws.com"))
PASS_TO_ANALYTICS = Scope(
    "PassToAnalytics",
    lambda to: (_role(to, to.names.analytics_role),),
    _passed_to("kinesisanalytics.amazonaws.com"),
)
REDSHIFT_ROLE = Scope(
    "RedshiftServiceRole",
    lambda to: (_role(to, "aws-service-role/redshift.amazonaws.com/AWSServiceRoleForRedshift"),),
    lambda _: {"StringEquals": {"iam:AWSServiceName": "redshift.amazonaws.com"}},
)

CALLER = Scope(
    "Caller",
    lambda to: (_role(to, "*"), to.names.arn("iam", "user/*", region=False)),
    why="whoever the operator is: doctor asks IAM what the caller may do",
)

ALARMS = Scope("Alarms", lambda to: (to.names.arn("cloudwatch", f"alarm:{to.names.alarms}-*"),))
ALL_ALARMS = Scope(
    "AllAlarms",
    lambda to: (to.names.arn("cloudwatch", "alarm:*"),),
    why="CloudWatch wants all alarms allowed, however few are asked for",
)
LOG_GROUPS = Scope("LogGroups", _log_groups)
BUCKET = Scope("Bucket", lambda to: (bucket_arn(to.names),))
OBJECTS = Scope("Objects", lambda to: (f"{bucket_arn(to.names)}/*",))
TOPIC = Scope("Topic", lambda to: (to.names.topic_arn,))
APPLICATION = Scope(
    "Application", lambda to: (to.names.arn("kinesisanalytics", f"application/{to.names.analytics_app}"),)
)
NEW_APPLICATION = Scope(
    "NewApplication", _anything, _asking_for_our_tag, why="CreateApplication knows no resource, only its tags"
)

LOADER_SECRET = Scope(
    "LoaderSecret",
    # Before it exists, a secret has its plain name in the place of the ARN's random ending.
    lambda to: (
        to.secret(to.names.loader_secret),
        to.names.arn("secretsmanager", f"secret:{to.names.loader_secret}"),
    ),
)
ADMIN_SECRET = Scope(
    "AdminSecret",
    # Redshift names it so: redshift!CLUSTER-USER.
    lambda to: (to.secret(f"redshift!{to.names.cluster}-{to.settings.warehouse.admin_user}"),),
)

CLUSTER = Scope("Cluster", _cluster)
SUBNET_GROUP = Scope("SubnetGroup", lambda to: (to.names.arn("redshift", f"subnetgroup:{to.names.cluster}"),))
SERVERLESS = Scope("Serverless", _serverless, why="Redshift Serverless numbers namespaces and workgroups")
NEW_SERVERLESS = Scope("NewServerless", _serverless, _asking_for_our_tag)
OWN_SERVERLESS = Scope("OwnServerless", _serverless, _with_our_tag)
OWN_STATEMENTS = Scope(
    "OwnStatements",
    _anything,
    lambda _: {"StringEquals": {"redshift-data:statement-owner-iam-userid": "${aws:userid}"}},
    why="a statement has no ARN; everybody gets at their own only",
)

VPC = Scope(
    "NetworkPlace",
    lambda to: (to.ec2("vpc"), to.ec2("subnet"), to.ec2("route-table")),
    why="the VPC, its subnets and route tables are the account's, and EC2 numbers them",
)
ANY_VPC = Scope("AnyVpc", lambda to: (to.ec2("vpc"),), why="the VPC is the account's, and EC2 numbers it")
ABANDONED_INTERFACES = Scope(
    "AbandonedInterfaces",
    lambda to: (to.ec2("network-interface"),),
    why="Lambda makes the interfaces, EC2 numbers them, and neither tags them",
)
NEW_GROUP = Scope("NewGroup", lambda to: (to.ec2("security-group"),), _asking_for_our_tag)
OWN_GROUP = Scope("OwnGroup", lambda to: (to.ec2("security-group"),), _with_our_tag)
NEW_ENDPOINT = Scope("NewEndpoint", lambda to: (to.ec2("vpc-endpoint"),), _asking_for_our_tag)
OWN_ENDPOINT = Scope("OwnEndpoint", lambda to: (to.ec2("vpc-endpoint"),), _with_our_tag)
HEIR_GROUP = Scope(
    "HeirGroup",
    lambda to: (to.ec2("security-group"),),
    lambda _: {"Null": {f"aws:ResourceTag/{TAG_PIPELINE}": "false"}},
    why="a teardown hands the endpoint over to another pipeline, whose name nobody knows beforehand",
)
TAGS_OF_NEW = Scope(
    "TagsOfNew",
    lambda to: (to.ec2("security-group"), to.ec2("vpc-endpoint")),
    _tagged_when_created,
)
PRIVATE_DNS = Scope(
    "PrivateDns",
    lambda to: (f"arn:{to.names.partition}:route53:::hostedzone/*",),
    why="AWS makes the hosted zone of an endpoint's private DNS name",
)
