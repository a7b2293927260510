"""What each role may do: one inline policy per role, no action more than its code uses.

A policy is a mapping of statement id to statement here, so that a plan names the statement and the element
that differ. Sources: the actions of AWSLambdaKinesisExecutionRole and AWSLambdaVPCAccessExecutionRole, cut
down to the pipeline's own resources; "Using IAM" of the Managed Service for Apache Flink.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from txnpipe.names import BucketKeys, Names
from txnpipe.resources.stream_key import READ, WRITE, use_key

VERSION = "2012-10-17"

Statements = dict[str, dict[str, Any]]
"""Statement id → {"Effect", "Action": [...], "Resource": [...]}."""

_READ_STREAM = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
]
_NETWORK_INTERFACES = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
]


def loader_policy(names: Names, key: str | None = None) -> Statements:
    """The loader: reads both streams, its own secret, logs, and lives in the VPC.

    key: here and below, the streams' KMS key where it is not AWS's own.
    """
    secret = f"secret:{names.loader_secret}-??????"
    return {
        "ReadStreams": _allow(_READ_STREAM, names.stream_arn, names.alert_stream_arn),
        "WriteLogs": _write_logs(names, function_log_group(names.loader)),
        # Lambda makes the interfaces, EC2 numbers them, and Lambda wants all numbers allowed ("Giving Lambda
        # functions access to resources in an Amazon VPC"). To describe is allowed everywhere or nowhere.
        "UseNetwork": _allow(_NETWORK_INTERFACES, names.arn("ec2", "*/*")),
        "FindNetwork": _allow(["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], "*"),
        "ReadOwnSecret": _allow(["secretsmanager:GetSecretValue"], names.arn("secretsmanager", secret)),
        **use_key(names, key, {READ: [names.stream_arn, names.alert_stream_arn]}),
        **_write_failed(names),
    }


def notifier_policy(names: Names, key: str | None = None) -> Statements:
    """The notifier: reads the alert stream, publishes to the topic, logs."""
    return {
        "ReadAlerts": _allow(_READ_STREAM, names.alert_stream_arn),
        "WriteLogs": _write_logs(names, function_log_group(names.notifier)),
        "Publish": _allow(["sns:Publish"], names.topic_arn),
        **use_key(names, key, {READ: [names.alert_stream_arn]}),
        **_write_failed(names),
    }


def analytics_policy(names: Names, key: str | None = None) -> Statements:
    """The analytics app: fetches its code, reads transactions, writes alerts, logs."""
    return {
        "ReadCode": _allow(
            ["s3:GetObject", "s3:GetObjectVersion"], f"{bucket_arn(names)}/{BucketKeys.CODE}*"
        ),
        "ReadTransactions": _allow(_READ_STREAM, names.stream_arn),
        "WriteAlerts": _allow(
            ["kinesis:DescribeStream", "kinesis:PutRecord", "kinesis:PutRecords"], names.alert_stream_arn
        ),
        "WriteLogs": _allow(
            ["logs:DescribeLogStreams", "logs:PutLogEvents"],
            names.arn("logs", f"log-group:{analytics_log_group(names)}:*"),
        ),
        # Knows no resource, and with one it is allowed nowhere (Service Authorization Reference).
        "FindLogs": _allow(["logs:DescribeLogGroups"], "*"),
        **use_key(names, key, {READ: [names.stream_arn], WRITE: [names.alert_stream_arn]}),
    }


def trust_lambda() -> dict[str, Any]:
    """Lambda may assume the role."""
    return _trust("lambda.amazonaws.com", {})


def trust_analytics(names: Names) -> dict[str, Any]:
    """The Managed Service for Apache Flink may assume the role, for this one application."""
    return _trust(
        "kinesisanalytics.amazonaws.com",
        {
            "StringEquals": {"aws:SourceAccount": names.account},
            "ArnEquals": {
                "aws:SourceArn": names.arn("kinesisanalytics", f"application/{names.analytics_app}")
            },
        },
    )


def document(statements: Mapping[str, Mapping[str, Any]]) -> str:
    """Statements as IAM wants them."""
    listed = [{"Sid": sid, **statement} for sid, statement in sorted(statements.items())]
    return json.dumps({"Version": VERSION, "Statement": listed}, sort_keys=True)


def statements_of(policy: Mapping[str, Any] | str) -> Statements:
    """A policy document as IAM returns it, by statement id, in the canonical form of this module."""
    content = json.loads(policy) if isinstance(policy, str) else policy
    found = content.get("Statement", [])
    return {
        statement.get("Sid", f"statement {number}"): {
            key: sorted(value) if isinstance(value, list) else [value] if key in _LISTED else value
            for key, value in statement.items()
            if key != "Sid"
        }
        for number, statement in enumerate(found if isinstance(found, list) else [found], start=1)
    }


_LISTED = {"Action", "Resource"}


def bucket_arn(names: Names) -> str:
    """ARN of the pipeline's bucket."""
    return f"arn:{names.partition}:s3:::{names.bucket}"


def function_log_group(function: str) -> str:
    """The log group that Lambda writes to for a function of this name."""
    return f"/aws/lambda/{function}"


def analytics_log_group(names: Names) -> str:
    """The log group of the analytics app."""
    return f"/aws/kinesis-analytics/{names.analytics_app}"


def _allow(actions: list[str], *resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}


def _write_logs(names: Names, group: str) -> dict[str, Any]:
    # No logs:CreateLogGroup: the group is a resource of the pipeline, with a retention and a tag. A
    # late log line of a removed function must not bring it back without them.
    return _allow(["logs:CreateLogStream", "logs:PutLogEvents"], names.arn("logs", f"log-group:{group}:*"))


def _write_failed(names: Names) -> Statements:
    return {
        "WriteFailed": _allow(["s3:PutObject"], f"{bucket_arn(names)}/{BucketKeys.FAILED}*"),
        "FindBucket": _allow(["s3:ListBucket"], bucket_arn(names)),
    }


def _trust(service: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "AssumeService": {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": ["sts:AssumeRole"],
            **({"Condition": condition} if condition else {}),
        }
    }
