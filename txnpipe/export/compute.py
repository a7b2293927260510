"""Renders what runs: roles, functions, event source mappings, the analytics app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txnpipe.export.pieces import Context, Piece
from txnpipe.export.symbols import CODE_BUCKET, CODE_DIGESTS, PARTITION, symbol
from txnpipe.names import BucketKeys
from txnpipe.resources.analytics_app import AnalyticsApp
from txnpipe.resources.analytics_state import AnalyticsAppState, creation
from txnpipe.resources.event_source import (
    PARTIAL_FAILURES,
    STARTING_POSITION,
    EventSource,
    EventSourceState,
)
from txnpipe.resources.function import Function, FunctionState
from txnpipe.resources.policies import VERSION, bucket_arn
from txnpipe.resources.role import POLICY_NAME, Role, RoleState

CODE_BUCKET_ARN = f"arn:{PARTITION}:s3:::{symbol(CODE_BUCKET)}"


def role(resource: Role, state: RoleState, context: Context) -> list[Piece]:
    """AWS::IAM::Role with its inline policy."""
    policy = {"PolicyName": POLICY_NAME, "PolicyDocument": _document(_code_elsewhere(state.policy, context))}
    properties = {
        "RoleName": resource.name,
        "Description": context.description,
        "AssumeRolePolicyDocument": _document(state.trust),
        "Policies": [policy],
        "Tags": context.tag_list,
    }
    return [Piece("AWS::IAM::Role", properties)]


def _document(statements: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    listed = [{"Sid": sid, **statement} for sid, statement in sorted(statements.items())]
    return {"Version": VERSION, "Statement": listed}


def _code_elsewhere(
    statements: Mapping[str, Mapping[str, Any]], context: Context
) -> dict[str, Mapping[str, Any]]:
    """The same with code in the bucket of code: the pipeline's own is made by the stack that needs it."""
    own = f"{bucket_arn(context.names)}/{BucketKeys.CODE}"
    return {
        sid: {
            **statement,
            "Resource": [
                text.replace(own, f"{CODE_BUCKET_ARN}/{BucketKeys.CODE}") for text in statement["Resource"]
            ],
        }
        for sid, statement in statements.items()
    }


def function(resource: Function, state: FunctionState, context: Context) -> list[Piece]:
    """AWS::Lambda::Function."""
    code = {"S3Bucket": symbol(CODE_BUCKET), "S3Key": code_key_of(state.code_sha256)}
    properties: dict[str, Any] = {
        "FunctionName": resource.name,
        "Description": context.description,
        "Code": code,
        "Runtime": state.runtime,
        "Architectures": [state.architecture],
        "Handler": state.handler,
        "Role": _role_arn(state.role, context),
        "MemorySize": state.memory_mb,
        "Timeout": state.timeout_seconds,
        "Environment": {"Variables": dict(state.environment)},
        "LoggingConfig": dict(state.logging),
        "Tags": context.tag_list,
    }
    if state.reserved_concurrency is not None:
        properties["ReservedConcurrentExecutions"] = state.reserved_concurrency
    if state.subnets:
        properties["VpcConfig"] = {"SubnetIds": state.subnets, "SecurityGroupIds": state.security_groups}
    return [Piece("AWS::Lambda::Function", properties)]


def code_key_of(digest: str) -> str:
    """The key of the zip with this digest: code/loader-SHA256.zip. The digest is a parameter's symbol."""
    (zip_name,) = (name for name, parameter in CODE_DIGESTS.items() if symbol(parameter) == digest)
    return f"{BucketKeys.CODE}{zip_name}-{digest}.zip"


def _role_arn(arn: str, context: Context) -> str:
    return symbol(context.id("role", arn.rpartition("/")[2]), "Arn")


def event_source(resource: EventSource, state: EventSourceState, context: Context) -> list[Piece]:
    """AWS::Lambda::EventSourceMapping."""
    properties = {
        "EventSourceArn": symbol(context.id("stream", resource.stream), "Arn"),
        "FunctionName": symbol(context.id("function", resource.function)),
        "StartingPosition": STARTING_POSITION,
        "Enabled": state.enabled,
        "BatchSize": state.batch_size,
        "MaximumBatchingWindowInSeconds": state.batch_window_seconds,
        "ParallelizationFactor": state.parallelization_factor,
        "MaximumRetryAttempts": state.maximum_retry_attempts,
        "MaximumRecordAgeInSeconds": state.maximum_record_age_seconds,
        "BisectBatchOnFunctionError": state.bisect_batch_on_error,
        "DestinationConfig": {"OnFailure": {"Destination": state.on_failure}},
        "Tags": context.tag_list,
    }
    if state.partial_failures:
        properties["FunctionResponseTypes"] = [PARTIAL_FAILURES]
    return [Piece("AWS::Lambda::EventSourceMapping", properties)]


def analytics_app(resource: AnalyticsApp, state: AnalyticsAppState, context: Context) -> list[Piece]:
    """AWS::KinesisAnalyticsV2::Application and its ApplicationCloudWatchLoggingOption.

    The configuration is that of CreateApplication, whose words CloudFormation uses.
    """
    configuration = creation(state)
    location = configuration["ApplicationCodeConfiguration"]["CodeContent"]["S3ContentLocation"]
    location["BucketARN"] = CODE_BUCKET_ARN
    properties = {
        "ApplicationName": resource.name,
        "ApplicationDescription": context.description,
        "RuntimeEnvironment": state.runtime,
        "ServiceExecutionRole": _role_arn(state.role, context),
        "ApplicationConfiguration": configuration,
        "Tags": context.tag_list,
    }
    made = symbol(context.id(resource.kind, resource.name))
    option = {"ApplicationName": made, "CloudWatchLoggingOption": {"LogStreamARN": state.log_stream}}
    logging = "AWS::KinesisAnalyticsV2::ApplicationCloudWatchLoggingOption"
    return [
        Piece("AWS::KinesisAnalyticsV2::Application", properties),
        Piece(logging, option, suffix="Logging"),
    ]
