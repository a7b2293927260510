"""Every operation that the program calls, and the IAM actions it needs.

The key is SERVICE.OPERATION as boto3 knows them. Beside the operation's own action stand those that the
service checks with it (dependent actions): tags at creation, a role that is passed on, a secret that Redshift
keeps. Sources: the Service Authorization Reference; for S3, whose actions have other names than its
operations, "Required permissions for Amazon S3 API operations".

Left out on purpose: the kms actions that the reference lists beside CreateCluster. They are for keys of the
customer; the warehouse's keys are AWS's own, whose policies let the services in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from txnpipe.operate.permissions import scopes as at
from txnpipe.operate.permissions.scopes import Scope


@dataclass(frozen=True)
class Grant:
    """One IAM action, and where it is needed."""

    action: str
    scope: Scope


@dataclass(frozen=True)
class Operation:
    """`reads`: plan, status, sql, alerts, rejects and verify need it too."""

    grants: tuple[Grant, ...]
    reads: bool


def _reads(*grants: tuple[Grant, ...]) -> Operation:
    return Operation(_flat(grants), reads=True)


def _changes(*grants: tuple[Grant, ...]) -> Operation:
    return Operation(_flat(grants), reads=False)


def _flat(grants: tuple[tuple[Grant, ...], ...]) -> tuple[Grant, ...]:
    return tuple(grant for several in grants for grant in several)


def _may(scope: Scope, *actions: str) -> tuple[Grant, ...]:
    return tuple(Grant(action, scope) for action in actions)


# "Permissions to use user-generated KMS keys" of the Kinesis developer guide. Nothing for AWS's own key.
_DECRYPT = _may(at.STREAM_KEY, "kms:Decrypt")
_ENCRYPT = _may(at.STREAM_KEY, "kms:GenerateDataKey")
_DESCRIBE_KEY = _may(at.KEY_NAME, "kms:DescribeKey")

_KINESIS: Mapping[str, Operation] = {
    "kinesis.CreateStream": _changes(_may(at.STREAMS, "kinesis:CreateStream", "kinesis:AddTagsToStream")),
    "kinesis.DecreaseStreamRetentionPeriod": _changes(
        _may(at.STREAMS, "kinesis:DecreaseStreamRetentionPeriod")
    ),
    "kinesis.DeleteStream": _changes(_may(at.STREAMS, "kinesis:DeleteStream")),
    "kinesis.DescribeLimits": _reads(_may(at.UNSCOPED, "kinesis:DescribeLimits")),
    "kinesis.DescribeStreamSummary": _reads(_may(at.STREAMS, "kinesis:DescribeStreamSummary")),
    "kinesis.DisableEnhancedMonitoring": _changes(_may(at.UNSCOPED, "kinesis:DisableEnhancedMonitoring")),
    "kinesis.EnableEnhancedMonitoring": _changes(_may(at.UNSCOPED, "kinesis:EnableEnhancedMonitoring")),
    "kinesis.GetRecords": _reads(_may(at.STREAMS, "kinesis:GetRecords"), _DECRYPT),
    "kinesis.GetShardIterator": _reads(_may(at.STREAMS, "kinesis:GetShardIterator")),
    "kinesis.IncreaseStreamRetentionPeriod": _changes(
        _may(at.STREAMS, "kinesis:IncreaseStreamRetentionPeriod")
    ),
    "kinesis.ListShards": _reads(_may(at.STREAMS, "kinesis:ListShards")),
    "kinesis.ListTagsForStream": _reads(_may(at.STREAMS, "kinesis:ListTagsForStream")),
    "kinesis.PutRecords": _changes(_may(at.STREAMS, "kinesis:PutRecords"), _ENCRYPT),
    "kinesis.StartStreamEncryption": _changes(
        _may(at.STREAMS, "kinesis:StartStreamEncryption"),
        _may(at.ENCRYPTION_KEYS, "kinesis:StartStreamEncryption"),
        _ENCRYPT,
        _DESCRIBE_KEY,
    ),
    "kinesis.StopStreamEncryption": _changes(
        _may(at.STREAMS, "kinesis:StopStreamEncryption"),
        _may(at.ENCRYPTION_KEYS, "kinesis:StopStreamEncryption"),
    ),
    "kinesis.UpdateShardCount": _changes(_may(at.UNSCOPED, "kinesis:UpdateShardCount")),
    "kinesis.UpdateStreamMode": _changes(_may(at.UNSCOPED, "kinesis:UpdateStreamMode")),
    "kms.DescribeKey": _reads(_DESCRIBE_KEY),
}

_PASS_TO_LAMBDA = _may(at.PASS_TO_LAMBDA, "iam:PassRole")
# Lambda looks at a function's network with the permissions of whoever creates the function.
_LOOK_AT_NETWORK = _may(at.UNSCOPED, "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")

_LAMBDA: Mapping[str, Operation] = {
    "lambda.CreateEventSourceMapping": _changes(
        _may(at.NEW_MAPPINGS, "lambda:CreateEventSourceMapping"),
        _may(at.NEW_MAPPING_TAGS, "lambda:TagResource"),
    ),
    "lambda.CreateFunction": _changes(
        _may(at.FUNCTIONS, "lambda:CreateFunction", "lambda:TagResource"), _PASS_TO_LAMBDA, _LOOK_AT_NETWORK
    ),
    "lambda.DeleteEventSourceMapping": _changes(_may(at.MAPPINGS, "lambda:DeleteEventSourceMapping")),
    "lambda.DeleteFunctionConcurrency": _changes(_may(at.FUNCTIONS, "lambda:DeleteFunctionConcurrency")),
    "lambda.GetAccountSettings": _reads(_may(at.UNSCOPED, "lambda:GetAccountSettings")),
    "lambda.GetFunctionConcurrency": _reads(_may(at.FUNCTIONS, "lambda:GetFunctionConcurrency")),
    "lambda.PutFunctionConcurrency": _changes(_may(at.FUNCTIONS, "lambda:PutFunctionConcurrency")),
    "lambda.DeleteFunction": _changes(_may(at.FUNCTIONS, "lambda:DeleteFunction")),
    "lambda.GetFunction": _reads(_may(at.FUNCTIONS, "lambda:GetFunction")),
    "lambda.Invoke": _changes(_may(at.FUNCTIONS, "lambda:InvokeFunction")),
    "lambda.ListEventSourceMappings": _reads(_may(at.UNSCOPED, "lambda:ListEventSourceMappings")),
    "lambda.ListTags": _reads(_may(at.MAPPING_TAGS, "lambda:ListTags")),
    "lambda.UpdateEventSourceMapping": _changes(_may(at.MAPPINGS, "lambda:UpdateEventSourceMapping")),
    "lambda.UpdateFunctionCode": _changes(_may(at.FUNCTIONS, "lambda:UpdateFunctionCode")),
    "lambda.UpdateFunctionConfiguration": _changes(
        _may(at.FUNCTIONS, "lambda:UpdateFunctionConfiguration"), _PASS_TO_LAMBDA, _LOOK_AT_NETWORK
    ),
}

_IAM: Mapping[str, Operation] = {
    "iam.CreateRole": _changes(_may(at.ROLES, "iam:CreateRole", "iam:TagRole")),
    "iam.DeleteRole": _changes(_may(at.ROLES, "iam:DeleteRole")),
    "iam.DeleteRolePolicy": _changes(_may(at.ROLES, "iam:DeleteRolePolicy")),
    "iam.DetachRolePolicy": _changes(_may(at.ROLES, "iam:DetachRolePolicy")),
    "iam.GetRole": _reads(_may(at.ROLES, "iam:GetRole")),
    "iam.GetRolePolicy": _reads(_may(at.ROLES, "iam:GetRolePolicy")),
    "iam.ListAttachedRolePolicies": _changes(_may(at.ROLES, "iam:ListAttachedRolePolicies")),
    "iam.ListRolePolicies": _changes(_may(at.ROLES, "iam:ListRolePolicies")),
    "iam.PutRolePolicy": _changes(_may(at.ROLES, "iam:PutRolePolicy")),
    "iam.SimulatePrincipalPolicy": _reads(_may(at.CALLER, "iam:SimulatePrincipalPolicy")),
    "iam.UpdateAssumeRolePolicy": _changes(_may(at.ROLES, "iam:UpdateAssumeRolePolicy")),
}

_LOGS: Mapping[str, Operation] = {
    "logs.CreateLogGroup": _changes(_may(at.LOG_GROUPS, "logs:CreateLogGroup", "logs:TagResource")),
    "logs.CreateLogStream": _changes(_may(at.LOG_GROUPS, "logs:CreateLogStream")),
    "logs.DeleteLogGroup": _changes(_may(at.LOG_GROUPS, "logs:DeleteLogGroup")),
    "logs.DescribeLogGroups": _reads(_may(at.UNSCOPED, "logs:DescribeLogGroups")),
    "logs.DescribeLogStreams": _reads(_may(at.LOG_GROUPS, "logs:DescribeLogStreams")),
    "logs.FilterLogEvents": _reads(_may(at.LOG_GROUPS, "logs:FilterLogEvents")),
    "logs.ListTagsForResource": _reads(_may(at.LOG_GROUPS, "logs:ListTagsForResource")),
    "logs.PutRetentionPolicy": _changes(_may(at.LOG_GROUPS, "logs:PutRetentionPolicy")),
    "logs.TagResource": _changes(_may(at.LOG_GROUPS, "logs:TagResource")),
}

_S3: Mapping[str, Operation] = {
    "s3.AbortMultipartUpload": _changes(_may(at.OBJECTS, "s3:AbortMultipartUpload")),
    # Tags at creation need s3:TagResource (CreateBucketConfiguration in the S3 API reference).
    "s3.CreateBucket": _changes(_may(at.BUCKET, "s3:CreateBucket", "s3:TagResource")),
    "s3.DeleteBucket": _changes(_may(at.BUCKET, "s3:DeleteBucket")),
    "s3.DeleteObject": _changes(_may(at.OBJECTS, "s3:DeleteObject")),
    "s3.DeleteObjects": _changes(_may(at.OBJECTS, "s3:DeleteObject", "s3:DeleteObjectVersion")),
    "s3.GetBucketEncryption": _reads(_may(at.BUCKET, "s3:GetEncryptionConfiguration")),
    "s3.GetBucketLifecycleConfiguration": _reads(_may(at.BUCKET, "s3:GetLifecycleConfiguration")),
    "s3.GetBucketTagging": _reads(_may(at.BUCKET, "s3:GetBucketTagging")),
    "s3.GetObject": _reads(_may(at.OBJECTS, "s3:GetObject")),
    "s3.GetPublicAccessBlock": _reads(_may(at.BUCKET, "s3:GetBucketPublicAccessBlock")),
    "s3.HeadBucket": _reads(_may(at.BUCKET, "s3:ListBucket")),
    # s3:ListBucket too: without it S3 answers 403 for an object that is not there.
    "s3.HeadObject": _reads(_may(at.OBJECTS, "s3:GetObject"), _may(at.BUCKET, "s3:ListBucket")),
    "s3.ListMultipartUploads": _changes(_may(at.BUCKET, "s3:ListBucketMultipartUploads")),
    "s3.ListObjectVersions": _changes(_may(at.BUCKET, "s3:ListBucketVersions")),
    "s3.ListObjectsV2": _reads(_may(at.BUCKET, "s3:ListBucket")),
    "s3.PutBucketEncryption": _changes(_may(at.BUCKET, "s3:PutEncryptionConfiguration")),
    "s3.PutBucketLifecycleConfiguration": _changes(_may(at.BUCKET, "s3:PutLifecycleConfiguration")),
    "s3.PutBucketTagging": _changes(_may(at.BUCKET, "s3:PutBucketTagging")),
    "s3.PutObject": _changes(_may(at.OBJECTS, "s3:PutObject")),
    "s3.PutPublicAccessBlock": _changes(_may(at.BUCKET, "s3:PutBucketPublicAccessBlock")),
}

_SNS: Mapping[str, Operation] = {
    "sns.CreateTopic": _changes(_may(at.TOPIC, "sns:CreateTopic", "sns:TagResource")),
    "sns.DeleteTopic": _changes(_may(at.TOPIC, "sns:DeleteTopic")),
    "sns.GetSubscriptionAttributes": _reads(_may(at.TOPIC, "sns:GetSubscriptionAttributes")),
    "sns.GetTopicAttributes": _reads(_may(at.TOPIC, "sns:GetTopicAttributes")),
    "sns.ListSubscriptionsByTopic": _reads(_may(at.TOPIC, "sns:ListSubscriptionsByTopic")),
    "sns.ListTagsForResource": _reads(_may(at.TOPIC, "sns:ListTagsForResource")),
    "sns.SetSubscriptionAttributes": _changes(_may(at.TOPIC, "sns:SetSubscriptionAttributes")),
    "sns.Subscribe": _changes(_may(at.TOPIC, "sns:Subscribe")),
    "sns.TagResource": _changes(_may(at.TOPIC, "sns:TagResource")),
    "sns.Unsubscribe": _changes(_may(at.TOPIC, "sns:Unsubscribe")),
    "sns.UntagResource": _changes(_may(at.TOPIC, "sns:UntagResource")),
}

_ANALYTICS: Mapping[str, Operation] = {
    "kinesisanalyticsv2.AddApplicationCloudWatchLoggingOption": _changes(
        _may(at.APPLICATION, "kinesisanalytics:AddApplicationCloudWatchLoggingOption")
    ),
    "kinesisanalyticsv2.CreateApplication": _changes(
        _may(at.NEW_APPLICATION, "kinesisanalytics:CreateApplication"),
        _may(at.APPLICATION, "kinesisanalytics:TagResource"),
        _may(at.PASS_TO_ANALYTICS, "iam:PassRole"),
    ),
    "kinesisanalyticsv2.DeleteApplication": _changes(
        _may(at.APPLICATION, "kinesisanalytics:DeleteApplication")
    ),
    "kinesisanalyticsv2.DescribeApplication": _reads(
        _may(at.APPLICATION, "kinesisanalytics:DescribeApplication")
    ),
    "kinesisanalyticsv2.DescribeApplicationOperation": _changes(
        _may(at.APPLICATION, "kinesisanalytics:DescribeApplicationOperation")
    ),
    "kinesisanalyticsv2.ListApplicationOperations": _reads(
        _may(at.APPLICATION, "kinesisanalytics:ListApplicationOperations")
    ),
    "kinesisanalyticsv2.ListTagsForResource": _reads(
        _may(at.APPLICATION, "kinesisanalytics:ListTagsForResource")
    ),
    "kinesisanalyticsv2.StartApplication": _changes(
        _may(at.APPLICATION, "kinesisanalytics:StartApplication")
    ),
    "kinesisanalyticsv2.StopApplication": _changes(_may(at.APPLICATION, "kinesisanalytics:StopApplication")),
    "kinesisanalyticsv2.UpdateApplication": _changes(
        _may(at.APPLICATION, "kinesisanalytics:UpdateApplication"),
        _may(at.PASS_TO_ANALYTICS, "iam:PassRole"),
    ),
}

_SECRETS: Mapping[str, Operation] = {
    "secretsmanager.CreateSecret": _changes(
        _may(at.LOADER_SECRET, "secretsmanager:CreateSecret", "secretsmanager:TagResource")
    ),
    "secretsmanager.DeleteSecret": _changes(_may(at.LOADER_SECRET, "secretsmanager:DeleteSecret")),
    "secretsmanager.DescribeSecret": _reads(_may(at.LOADER_SECRET, "secretsmanager:DescribeSecret")),
    "secretsmanager.GetSecretValue": _changes(
        _may(at.LOADER_SECRET, "secretsmanager:GetSecretValue"),
        _may(at.ADMIN_SECRET, "secretsmanager:GetSecretValue"),
    ),
    "secretsmanager.PutSecretValue": _changes(_may(at.LOADER_SECRET, "secretsmanager:PutSecretValue")),
    "secretsmanager.RestoreSecret": _changes(_may(at.LOADER_SECRET, "secretsmanager:RestoreSecret")),
    "secretsmanager.TagResource": _changes(_may(at.LOADER_SECRET, "secretsmanager:TagResource")),
}

# ManageMasterPassword: Redshift makes and keeps the secret with the permissions of whoever asks for it.
_KEEP_PASSWORD = (
    *_may(
        at.ADMIN_SECRET,
        "secretsmanager:CreateSecret",
        "secretsmanager:DeleteSecret",
        "secretsmanager:DescribeSecret",
        "secretsmanager:RotateSecret",
        "secretsmanager:TagResource",
        "secretsmanager:UpdateSecret",
    ),
    *_may(at.UNSCOPED, "secretsmanager:GetRandomPassword"),
)
# What AmazonRedshiftFullAccess has of EC2: Redshift looks at the network with the caller's permissions.
_REDSHIFT_NETWORK = _may(
    at.UNSCOPED,
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
# The Data API opens the warehouse with the administrator's secret, read with the caller's permissions.
_OPEN_WAREHOUSE = _may(at.ADMIN_SECRET, "secretsmanager:GetSecretValue")

_REDSHIFT: Mapping[str, Operation] = {
    "redshift.CreateCluster": _changes(
        _may(at.CLUSTER, "redshift:CreateCluster", "redshift:CreateTags"),
        _KEEP_PASSWORD,
        _REDSHIFT_NETWORK,
        _may(at.REDSHIFT_ROLE, "iam:CreateServiceLinkedRole"),
    ),
    "redshift.CreateClusterSubnetGroup": _changes(
        _may(at.SUBNET_GROUP, "redshift:CreateClusterSubnetGroup", "redshift:CreateTags"),
        _REDSHIFT_NETWORK,
    ),
    "redshift.CreateTags": _changes(_may(at.CLUSTER, "redshift:CreateTags")),
    "redshift.DeleteCluster": _changes(_may(at.CLUSTER, "redshift:DeleteCluster")),
    "redshift.DeleteClusterSubnetGroup": _changes(_may(at.SUBNET_GROUP, "redshift:DeleteClusterSubnetGroup")),
    "redshift.DescribeClusterSubnetGroups": _reads(_may(at.UNSCOPED, "redshift:DescribeClusterSubnetGroups")),
    "redshift.DescribeOrderableClusterOptions": _reads(
        _may(at.UNSCOPED, "redshift:DescribeOrderableClusterOptions")
    ),
    "redshift.DescribeClusters": _reads(_may(at.CLUSTER, "redshift:DescribeClusters")),
    "redshift.ModifyCluster": _changes(_may(at.CLUSTER, "redshift:ModifyCluster"), _KEEP_PASSWORD),
    "redshift.ModifyClusterSubnetGroup": _changes(_may(at.SUBNET_GROUP, "redshift:ModifyClusterSubnetGroup")),
    "redshift.ResumeCluster": _changes(_may(at.CLUSTER, "redshift:ResumeCluster")),
    "redshift-data.BatchExecuteStatement": _changes(
        _may(at.CLUSTER, "redshift-data:BatchExecuteStatement"),
        _may(at.OWN_SERVERLESS, "redshift-data:BatchExecuteStatement"),
        _OPEN_WAREHOUSE,
    ),
    "redshift-data.CancelStatement": _reads(_may(at.OWN_STATEMENTS, "redshift-data:CancelStatement")),
    "redshift-data.DescribeStatement": _reads(_may(at.OWN_STATEMENTS, "redshift-data:DescribeStatement")),
    "redshift-data.ExecuteStatement": _reads(
        _may(at.CLUSTER, "redshift-data:ExecuteStatement"),
        _may(at.OWN_SERVERLESS, "redshift-data:ExecuteStatement"),
        _OPEN_WAREHOUSE,
    ),
    "redshift-data.GetStatementResult": _reads(_may(at.OWN_STATEMENTS, "redshift-data:GetStatementResult")),
}

_SERVERLESS: Mapping[str, Operation] = {
    "redshift-serverless.CreateNamespace": _changes(
        _may(at.NEW_SERVERLESS, "redshift-serverless:CreateNamespace", "redshift-serverless:TagResource"),
        _KEEP_PASSWORD,
        _may(at.REDSHIFT_ROLE, "iam:CreateServiceLinkedRole"),
    ),
    "redshift-serverless.CreateUsageLimit": _changes(
        _may(at.UNSCOPED, "redshift-serverless:CreateUsageLimit")
    ),
    "redshift-serverless.CreateWorkgroup": _changes(
        _may(at.NEW_SERVERLESS, "redshift-serverless:CreateWorkgroup", "redshift-serverless:TagResource"),
        _REDSHIFT_NETWORK,
    ),
    "redshift-serverless.DeleteNamespace": _changes(
        _may(at.OWN_SERVERLESS, "redshift-serverless:DeleteNamespace")
    ),
    "redshift-serverless.DeleteUsageLimit": _changes(
        _may(at.UNSCOPED, "redshift-serverless:DeleteUsageLimit")
    ),
    "redshift-serverless.DeleteWorkgroup": _changes(
        _may(at.OWN_SERVERLESS, "redshift-serverless:DeleteWorkgroup")
    ),
    "redshift-serverless.GetNamespace": _reads(_may(at.SERVERLESS, "redshift-serverless:GetNamespace")),
    "redshift-serverless.GetWorkgroup": _reads(_may(at.SERVERLESS, "redshift-serverless:GetWorkgroup")),
    "redshift-serverless.ListTagsForResource": _reads(
        _may(at.SERVERLESS, "redshift-serverless:ListTagsForResource")
    ),
    "redshift-serverless.ListUsageLimits": _reads(_may(at.UNSCOPED, "redshift-serverless:ListUsageLimits")),
    "redshift-serverless.TagResource": _changes(_may(at.OWN_SERVERLESS, "redshift-serverless:TagResource")),
    "redshift-serverless.UpdateNamespace": _changes(
        _may(at.OWN_SERVERLESS, "redshift-serverless:UpdateNamespace"), _KEEP_PASSWORD
    ),
    "redshift-serverless.UpdateUsageLimit": _changes(
        _may(at.UNSCOPED, "redshift-serverless:UpdateUsageLimit")
    ),
    "redshift-serverless.UpdateWorkgroup": _changes(
        _may(at.OWN_SERVERLESS, "redshift-serverless:UpdateWorkgroup"), _REDSHIFT_NETWORK
    ),
}

_EC2: Mapping[str, Operation] = {
    "ec2.AuthorizeSecurityGroupEgress": _changes(_may(at.OWN_GROUP, "ec2:AuthorizeSecurityGroupEgress")),
    "ec2.DeleteNetworkInterface": _changes(_may(at.ABANDONED_INTERFACES, "ec2:DeleteNetworkInterface")),
    "ec2.DescribeDhcpOptions": _reads(_may(at.UNSCOPED, "ec2:DescribeDhcpOptions")),
    "ec2.DescribeNetworkInterfaces": _reads(_may(at.UNSCOPED, "ec2:DescribeNetworkInterfaces")),
    "ec2.DescribeRegions": _reads(_may(at.UNSCOPED, "ec2:DescribeRegions")),
    "ec2.DescribeRouteTables": _reads(_may(at.UNSCOPED, "ec2:DescribeRouteTables")),
    "ec2.DescribeVpcAttribute": _reads(_may(at.ANY_VPC, "ec2:DescribeVpcAttribute")),
    "ec2.RevokeSecurityGroupEgress": _changes(_may(at.OWN_GROUP, "ec2:RevokeSecurityGroupEgress")),
    "ec2.AuthorizeSecurityGroupIngress": _changes(_may(at.OWN_GROUP, "ec2:AuthorizeSecurityGroupIngress")),
    "ec2.CreateSecurityGroup": _changes(
        _may(at.VPC, "ec2:CreateSecurityGroup"),
        _may(at.NEW_GROUP, "ec2:CreateSecurityGroup"),
        _may(at.TAGS_OF_NEW, "ec2:CreateTags"),
    ),
    "ec2.CreateTags": _changes(_may(at.OWN_ENDPOINT, "ec2:CreateTags")),
    "ec2.CreateVpcEndpoint": _changes(
        _may(at.VPC, "ec2:CreateVpcEndpoint"),
        _may(at.OWN_GROUP, "ec2:CreateVpcEndpoint"),
        _may(at.NEW_ENDPOINT, "ec2:CreateVpcEndpoint"),
        _may(at.TAGS_OF_NEW, "ec2:CreateTags"),
        _may(at.PRIVATE_DNS, "route53:AssociateVPCWithHostedZone"),
    ),
    "ec2.DeleteSecurityGroup": _changes(_may(at.OWN_GROUP, "ec2:DeleteSecurityGroup")),
    "ec2.DeleteVpcEndpoints": _changes(_may(at.OWN_ENDPOINT, "ec2:DeleteVpcEndpoints")),
    "ec2.DescribeSecurityGroups": _reads(_may(at.UNSCOPED, "ec2:DescribeSecurityGroups")),
    "ec2.DescribeSubnets": _reads(_may(at.UNSCOPED, "ec2:DescribeSubnets")),
    "ec2.DescribeVpcEndpoints": _reads(_may(at.UNSCOPED, "ec2:DescribeVpcEndpoints")),
    "ec2.DescribeVpcs": _reads(_may(at.UNSCOPED, "ec2:DescribeVpcs")),
    "ec2.ModifyVpcEndpoint": _changes(
        _may(at.OWN_ENDPOINT, "ec2:ModifyVpcEndpoint"),
        _may(at.HEIR_GROUP, "ec2:ModifyVpcEndpoint"),
        _may(at.VPC, "ec2:ModifyVpcEndpoint"),
        _may(at.PRIVATE_DNS, "route53:AssociateVPCWithHostedZone"),
    ),
    "ec2.RevokeSecurityGroupIngress": _changes(_may(at.OWN_GROUP, "ec2:RevokeSecurityGroupIngress")),
}

_REST: Mapping[str, Operation] = {
    "cloudwatch.DeleteAlarms": _changes(_may(at.ALARMS, "cloudwatch:DeleteAlarms")),
    "cloudwatch.DescribeAlarms": _reads(_may(at.ALL_ALARMS, "cloudwatch:DescribeAlarms")),
    "cloudwatch.ListTagsForResource": _reads(_may(at.ALARMS, "cloudwatch:ListTagsForResource")),
    "cloudwatch.PutMetricAlarm": _changes(
        _may(at.ALARMS, "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource")
    ),
    "resourcegroupstaggingapi.GetResources": _reads(_may(at.UNSCOPED, "tag:GetResources")),
    # Everybody may ask who they are.
    "sts.GetCallerIdentity": _reads(),
}

OPERATIONS: Mapping[str, Operation] = {
    **_KINESIS,
    **_LAMBDA,
    **_IAM,
    **_LOGS,
    **_S3,
    **_SNS,
    **_ANALYTICS,
    **_SECRETS,
    **_REDSHIFT,
    **_SERVERLESS,
    **_EC2,
    **_REST,
}
