"""Renders what holds or carries data: streams, topic, bucket, secret, log groups."""

from __future__ import annotations

import json

from txnpipe.export.pieces import DROP, KEEP, Context, Piece
from txnpipe.export.symbols import symbol
from txnpipe.names import BucketKeys
from txnpipe.resources.bucket import Bucket, BucketState
from txnpipe.resources.log_group import LogGroup, LogGroupState
from txnpipe.resources.secret import PASSWORD_LENGTH, TAG_USER, LoaderSecret, SecretState
from txnpipe.resources.stream import API_MODES, Stream, StreamState
from txnpipe.resources.topic import Topic, TopicState, subscription_tag


def stream(resource: Stream, state: StreamState, context: Context) -> list[Piece]:
    """AWS::Kinesis::Stream."""
    properties = {
        "Name": resource.name,
        "StreamModeDetails": {"StreamMode": API_MODES[state.mode]},
        "RetentionPeriodHours": state.retention_hours,
        "Tags": context.tag_list,
    }
    if state.mode == "provisioned":
        properties["ShardCount"] = resource.shards
    if state.kms_key:
        properties["StreamEncryption"] = {"EncryptionType": "KMS", "KeyId": state.kms_key}
    if state.shard_metrics:
        properties["DesiredShardLevelMetrics"] = list(state.shard_metrics)
    return [Piece("AWS::Kinesis::Stream", properties, attributes=DROP)]


def topic(resource: Topic, state: TopicState, context: Context) -> list[Piece]:
    """AWS::SNS::Topic with the tags that name its subscriptions, and AWS::SNS::Subscription for each."""
    marks = {subscription_tag(key): key.split(" ", 1)[0] for key in state.subscriptions}
    tags = [*context.tag_list, *({"Key": key, "Value": value} for key, value in marks.items())]
    made = context.id(resource.kind, resource.name)
    subscriptions = [
        Piece(
            "AWS::SNS::Subscription",
            {
                "TopicArn": symbol(made),
                "Protocol": key.split(" ", 1)[0],
                "Endpoint": key.split(" ", 1)[1],
                **({"RawMessageDelivery": True} if how["raw"] else {}),
            },
            suffix=f"Subscription{number}",
        )
        for number, (key, how) in enumerate(sorted(state.subscriptions.items()), start=1)
    ]
    return [Piece("AWS::SNS::Topic", {"TopicName": resource.name, "Tags": tags}), *subscriptions]


def bucket(resource: Bucket, state: BucketState, context: Context) -> list[Piece]:
    """AWS::S3::Bucket. Kept when the stack goes: CloudFormation deletes none that holds something."""
    rules = [
        {
            "Id": "on-failure",
            "Status": "Enabled",
            "Prefix": BucketKeys.FAILED,
            "ExpirationInDays": state.on_failure_days,
        },
        {
            "Id": "uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": state.upload_days},
        },
    ]
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": state.encryption}}
    properties = {
        "BucketName": resource.name,
        "PublicAccessBlockConfiguration": dict.fromkeys(closed, state.public_access_blocked),
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
        "LifecycleConfiguration": {"Rules": rules},
        "Tags": context.tag_list,
    }
    return [Piece("AWS::S3::Bucket", properties, attributes=KEEP)]


def secret(resource: LoaderSecret, state: SecretState, context: Context) -> list[Piece]:
    """AWS::SecretsManager::Secret, whose password CloudFormation makes: letters and digits, as txnpipe's."""
    properties = {
        "Name": resource.name,
        "Description": f"Database user of the loader, pipeline {context.names.pipeline} of txnpipe",
        "GenerateSecretString": {
            "SecretStringTemplate": json.dumps({"username": state.username}),
            "GenerateStringKey": "password",
            "PasswordLength": PASSWORD_LENGTH,
            "ExcludePunctuation": True,
            "RequireEachIncludedType": True,
        },
        "Tags": [*context.tag_list, {"Key": TAG_USER, "Value": state.username}],
    }
    return [Piece("AWS::SecretsManager::Secret", properties, attributes=DROP)]


def log_group(resource: LogGroup, state: LogGroupState, context: Context) -> list[Piece]:
    """AWS::Logs::LogGroup, and the AWS::Logs::LogStream in it where there is one."""
    group = {"LogGroupName": resource.name, "RetentionInDays": state.retention_days, "Tags": context.tag_list}
    pieces = [Piece("AWS::Logs::LogGroup", group, attributes=DROP)]
    if state.stream:
        inside = symbol(context.id(resource.kind, resource.name))
        stream = {"LogGroupName": inside, "LogStreamName": state.stream}
        pieces.append(Piece("AWS::Logs::LogStream", stream, suffix="Stream"))
    return pieces
