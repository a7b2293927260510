"""What a call asks of a policy: the actions, the ARNs and the condition keys that AWS would evaluate.

Written from the Service Authorization Reference and from the parameters of the call alone, so that it does
not repeat what the program's own table believes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tests.iam.evaluator import Check

USER_ID = "AIDATESTUSER"


class Lookup(Protocol):
    """What a service knows and a request does not say."""

    def ec2_tags(self, identifier: str) -> Mapping[str, str]:
        """Tags of a security group, an endpoint, ..."""

    def function_arn(self, mapping: str) -> str:
        """The function of an event source mapping."""

    def secret_arn(self, name: str) -> str | None:
        """The ARN of a secret, None where there is none of that name."""

    def serverless_tags(self, arn: str | None, part: str, name: str | None) -> Mapping[str, str]:
        """Tags of a "Namespace" or "Workgroup", by ARN or by name; none where there is none."""

    def stream_key(self, name: str) -> str | None:
        """The KMS key of a stream, None where it is not encrypted."""

    def stream_name(self, token: str) -> str:
        """The stream that a shard iterator or a page token belongs to."""


@dataclass(frozen=True)
class Request:
    """One call. service and operation as boto3 knows them."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    lookup: Lookup
    account: str
    region: str

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        return f"arn:aws:{service}:{self.region if region else ''}:{self.account}:{resource}"

    def get(self, *names: str) -> Any:
        """The first of these parameters that is there."""
        return next((self.parameters[name] for name in names if self.parameters.get(name)), None)


def checks(request: Request) -> list[Check]:
    """Everything that must be allowed for a call. A service without a rule raises KeyError."""
    if (request.service, request.operation) == ("sts", "GetCallerIdentity"):
        return []  # needs no permission (its API reference)
    return list(_RULES[request.service](request))


def _tags(tags: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    pairs = tags.items() if isinstance(tags, Mapping) else ((tag[key], tag[value]) for tag in tags or ())
    return {f"aws:RequestTag/{name}": text for name, text in pairs}


def _resource_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{name}": text for name, text in tags.items()}


def _kinesis(call: Request) -> Iterable[Check]:
    action = f"kinesis:{call.operation}"
    if call.operation in _WITHOUT_STREAM:
        yield Check(action, "*")
        return
    name = call.get("StreamName") or call.lookup.stream_name(call.get("ShardIterator", "NextToken"))
    arn = call.arn("kinesis", f"stream/{name}")
    yield Check(action, arn, _tags(call.get("Tags")))
    if call.operation == "CreateStream" and call.get("Tags"):
        yield Check("kinesis:AddTagsToStream", arn, _tags(call.get("Tags")))
    if call.operation in {"StartStreamEncryption", "StopStreamEncryption"}:
        yield Check(action, call.arn("kms", "key/1234"))
    for use in _KEY_USES.get(call.operation, ()):
        if key := call.lookup.stream_key(name) or call.get("KeyId"):
            yield from _key_check(call, use, key, arn)


_WITHOUT_STREAM = {
    "DescribeLimits",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "UpdateShardCount",
    "UpdateStreamMode",
}
_KEY_USES = {
    "GetRecords": ("Decrypt",),
    "PutRecords": ("GenerateDataKey",),
    "StartStreamEncryption": ("DescribeKey", "GenerateDataKey"),
}
_OWN_KEY = "alias/aws/kinesis"


def _key_check(call: Request, use: str, key: str, stream: str) -> Iterable[Check]:
    """AWS's own key may be used by everybody who may use the stream."""
    if key == _OWN_KEY:
        return
    arn = call.arn("kms", "key/1234" if key.startswith("alias/") else f"key/{key}")
    context = {"kms:EncryptionContext:aws:kinesis:arn": stream}
    if key.startswith("alias/"):
        context["kms:ResourceAliases"] = key
    yield Check(f"kms:{use}", arn, context)


def _kms(call: Request) -> Iterable[Check]:
    key = call.get("KeyId")
    if key.startswith("alias/"):
        yield Check(f"kms:{call.operation}", call.arn("kms", "key/1234"), {"kms:ResourceAliases": key})
    else:
        yield Check(f"kms:{call.operation}", call.arn("kms", f"key/{key}"))


def _lambda(call: Request) -> Iterable[Check]:
    action = "lambda:InvokeFunction" if call.operation == "Invoke" else f"lambda:{call.operation}"
    asked = _tags(call.get("Tags"))
    if call.operation in {"GetAccountSettings", "ListEventSourceMappings"}:
        yield Check(action, "*")
    elif call.operation == "CreateEventSourceMapping":
        function = call.arn("lambda", f"function:{call.get('FunctionName')}")
        yield Check(action, "*", {"lambda:FunctionArn": function, **asked})
        yield Check("lambda:TagResource", call.arn("lambda", "event-source-mapping:new"), asked)
    elif call.operation.endswith("EventSourceMapping"):
        arn = call.arn("lambda", f"event-source-mapping:{call.get('UUID')}")
        yield Check(action, arn, {"lambda:FunctionArn": call.lookup.function_arn(call.get("UUID"))})
    else:
        arn = call.get("Resource") or call.arn("lambda", f"function:{call.get('FunctionName')}")
        yield Check(action, arn, asked)
        if call.operation == "CreateFunction" and asked:
            yield Check("lambda:TagResource", arn, asked)
    if call.get("Role"):
        yield _pass_role(call.get("Role"), "lambda.amazonaws.com")
    if call.get("VpcConfig"):
        for what in ("SecurityGroups", "Subnets", "Vpcs"):
            yield Check(f"ec2:Describe{what}", "*")


def _pass_role(arn: str, service: str) -> Check:
    return Check("iam:PassRole", arn, {"iam:PassedToService": service})


def _iam(call: Request) -> Iterable[Check]:
    arn = call.arn("iam", f"role/{call.get('RoleName')}", region=False)
    yield Check(f"iam:{call.operation}", arn, _tags(call.get("Tags")))
    if call.operation == "CreateRole" and call.get("Tags"):
        yield Check("iam:TagRole", arn, _tags(call.get("Tags")))


def _logs(call: Request) -> Iterable[Check]:
    action = f"logs:{call.operation}"
    if call.operation == "DescribeLogGroups":
        yield Check(action, "*")
        return
    group = call.get("resourceArn") or call.arn("logs", f"log-group:{call.get('logGroupName')}")
    asked = _tags(call.get("tags"))
    if call.operation in {"CreateLogStream", "PutLogEvents"}:
        yield Check(action, f"{group}:log-stream:{call.get('logStreamName')}")
        return
    # Tags are on the group itself; everything else is asked of what is in it.
    arn = group if call.get("resourceArn") else f"{group}:log-stream:"
    yield Check(action, arn, asked)
    if call.operation == "CreateLogGroup" and asked:
        yield Check("logs:TagResource", group, asked)


_S3_ACTIONS = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}


def _s3(call: Request) -> Iterable[Check]:
    action = _S3_ACTIONS.get(call.operation, call.operation)
    bucket = f"arn:aws:s3:::{call.get('Bucket')}"
    if call.operation == "DeleteObjects":
        for entry in call.get("Delete")["Objects"]:
            version = "Version" if entry.get("VersionId") else ""
            yield Check(f"s3:DeleteObject{version}", f"{bucket}/{entry['Key']}")
        return
    if call.get("VersionId"):
        action += "Version"
    yield Check(f"s3:{action}", f"{bucket}/{call.get('Key')}" if call.get("Key") else bucket)
    tags = (call.get("CreateBucketConfiguration") or {}).get("Tags")
    if tags:
        yield Check("s3:TagResource", bucket, _tags(tags))


def _sns(call: Request) -> Iterable[Check]:
    action = "Publish" if call.operation == "PublishBatch" else call.operation
    arn = call.get("TopicArn", "ResourceArn")
    if call.get("SubscriptionArn"):
        arn = call.get("SubscriptionArn").rpartition(":")[0]
    arn = arn or call.arn("sns", call.get("Name"))
    yield Check(f"sns:{action}", arn, _tags(call.get("Tags")))
    if call.operation == "CreateTopic" and call.get("Tags"):
        yield Check("sns:TagResource", arn, _tags(call.get("Tags")))


def _analytics(call: Request) -> Iterable[Check]:
    action = f"kinesisanalytics:{call.operation}"
    asked = _tags(call.get("Tags"))
    arn = call.get("ResourceARN") or call.arn(
        "kinesisanalytics", f"application/{call.get('ApplicationName')}"
    )
    if call.operation == "CreateApplication":
        yield Check(action, "*", asked)
        yield Check("kinesisanalytics:TagResource", arn, asked)
    else:
        yield Check(action, arn, asked)
    if role := call.get("ServiceExecutionRole", "ServiceExecutionRoleUpdate"):
        yield _pass_role(role, "kinesisanalytics.amazonaws.com")


def _secret(call: Request, named: str) -> str:
    """The ARN in question; where there is no such secret, the one with its plain name."""
    if named.startswith("arn:"):
        return named
    return call.lookup.secret_arn(named) or call.arn("secretsmanager", f"secret:{named}")


def _secretsmanager(call: Request) -> Iterable[Check]:
    arn = _secret(call, call.get("SecretId", "Name"))
    yield Check(f"secretsmanager:{call.operation}", arn, _tags(call.get("Tags")))
    if call.operation == "CreateSecret":
        for name in (arn, f"{arn}-AbCdEf"):
            yield Check("secretsmanager:TagResource", name, _tags(call.get("Tags")))


_KEPT_BY_REDSHIFT = ("CreateSecret", "DescribeSecret", "RotateSecret", "TagResource", "UpdateSecret")


def _redshift(call: Request) -> Iterable[Check]:
    action, asked = f"redshift:{call.operation}", _tags(call.get("Tags"))
    if call.operation in {"DescribeClusterSubnetGroups", "DescribeOrderableClusterOptions"}:
        yield Check(action, "*")
        return
    cluster, group = call.get("ClusterIdentifier"), call.get("ClusterSubnetGroupName")
    named = f"cluster:{cluster}" if cluster else f"subnetgroup:{group}"
    arn = call.get("ResourceName") or call.arn("redshift", named)
    yield Check(action, arn, asked)
    if call.operation.startswith("Create") and call.operation != "CreateTags":
        yield Check("redshift:CreateTags", arn, asked)
    if call.get("ManageMasterPassword"):
        yield from _kept_password(call, cluster, call.get("MasterUsername"))
    if call.operation == "CreateCluster":
        yield _service_role(call)


def _kept_password(call: Request, warehouse: str, user: str | None) -> Iterable[Check]:
    named = f"secret:redshift!{warehouse}-{user or 'txnpipe_admin'}-AbCdEf"
    for dependent in _KEPT_BY_REDSHIFT:
        yield Check(f"secretsmanager:{dependent}", call.arn("secretsmanager", named))
    yield Check("secretsmanager:GetRandomPassword", "*")


def _service_role(call: Request) -> Check:
    role = "role/aws-service-role/redshift.amazonaws.com/AWSServiceRoleForRedshift"
    service = {"iam:AWSServiceName": "redshift.amazonaws.com"}
    return Check("iam:CreateServiceLinkedRole", call.arn("iam", role, region=False), service)


def _serverless(call: Request) -> Iterable[Check]:
    action = f"redshift-serverless:{call.operation}"
    if call.operation.endswith(("UsageLimit", "UsageLimits")):
        yield Check(action, "*")
        return
    asked = _tags(call.get("tags"), "key", "value")
    part = "Namespace" if call.operation.endswith("Namespace") else "Workgroup"
    arn = call.get("resourceArn") or call.arn("redshift-serverless", f"{part.lower()}/1234-abcd")
    if call.operation.startswith("Create"):
        for needed in (action, "redshift-serverless:TagResource"):
            yield Check(needed, arn, asked)
    else:
        named = call.get("namespaceName", "workgroupName")
        tags = call.lookup.serverless_tags(call.get("resourceArn"), part, named)
        yield Check(action, arn, asked | _resource_tags(tags))
    if call.get("manageAdminPassword"):
        yield from _kept_password(call, call.get("namespaceName"), call.get("adminUsername"))
    if call.operation == "CreateNamespace":
        yield _service_role(call)


def _cloudwatch(call: Request) -> Iterable[Check]:
    action = f"cloudwatch:{call.operation}"
    if call.operation == "DescribeAlarms":
        yield Check(action, call.arn("cloudwatch", "alarm:*"))
        return
    named = call.get("AlarmNames") or [call.get("AlarmName")]
    for arn in [call.get("ResourceARN")] if call.get("ResourceARN") else named:
        whole = arn if arn.startswith("arn:") else call.arn("cloudwatch", f"alarm:{arn}")
        yield Check(action, whole, _tags(call.get("Tags")))
        if call.operation == "PutMetricAlarm":
            yield Check("cloudwatch:TagResource", whole, _tags(call.get("Tags")))


def _redshift_data(call: Request) -> Iterable[Check]:
    action = f"redshift-data:{call.operation}"
    if call.get("ClusterIdentifier"):
        yield Check(action, call.arn("redshift", f"cluster:{call.get('ClusterIdentifier')}"))
        yield Check("secretsmanager:GetSecretValue", call.get("SecretArn"))
    else:
        owner = {"redshift-data:statement-owner-iam-userid": USER_ID, "aws:userid": USER_ID}
        yield Check(action, "*", owner)


_EC2_NAMES = ("VpcId", "VpcEndpointId", "GroupId", "NetworkInterfaceId", "SubnetId")
_EC2_KINDS = {
    "eni": "network-interface",
    "sg": "security-group",
    "vpce": "vpc-endpoint",
    "rtb": "route-table",
    "subnet": "subnet",
    "vpc": "vpc",
}


def _existing(call: Request, identifier: str, **more: str) -> Check:
    kind = _EC2_KINDS[identifier.partition("-")[0]]
    context = _resource_tags(call.lookup.ec2_tags(identifier))
    return Check(f"ec2:{call.operation}", call.arn("ec2", f"{kind}/{identifier}"), context | more)


def _created(call: Request) -> Iterable[Check]:
    for specification in call.get("TagSpecifications") or ():
        arn = call.arn("ec2", f"{specification['ResourceType']}/new")
        asked = _tags(specification["Tags"])
        yield Check(f"ec2:{call.operation}", arn, asked)
        yield Check("ec2:CreateTags", arn, asked | {"ec2:CreateAction": call.operation})


def _ec2(call: Request) -> Iterable[Check]:
    if call.operation.startswith("Describe") and call.operation != "DescribeVpcAttribute":
        yield Check(f"ec2:{call.operation}", "*")
        return
    more = _tags(call.get("Tags"))
    if call.operation == "CreateNetworkInterface":
        yield Check(f"ec2:{call.operation}", call.arn("ec2", "network-interface/new"))
    used = [
        *(call.get("VpcEndpointIds", "Resources") or ()),
        *(call.get(name) for name in _EC2_NAMES if call.get(name)),
        *(call.get("SubnetIds") or ()),
        *(call.get("SecurityGroupIds") or ()),
        *(call.get("RouteTableIds") or ()),
        *(call.get("AddSubnetIds") or ()),
        *(call.get("AddRouteTableIds") or ()),
        *(call.get("AddSecurityGroupIds") or ()),
        *(call.get("RemoveSecurityGroupIds") or ()),
    ]
    for identifier in used:
        yield _existing(call, identifier, **more)
    yield from _created(call)
    if call.get("PrivateDnsEnabled"):
        yield Check("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/Z0000")


def _tagging(call: Request) -> Iterable[Check]:
    yield Check(f"tag:{call.operation}", "*")


_RULES: dict[str, Callable[[Request], Iterable[Check]]] = {
    "cloudwatch": _cloudwatch,
    "ec2": _ec2,
    "iam": _iam,
    "kinesis": _kinesis,
    "kinesisanalyticsv2": _analytics,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "redshift": _redshift,
    "redshift-data": _redshift_data,
    "redshift-serverless": _serverless,
    "resourcegroupstaggingapi": _tagging,
    "s3": _s3,
    "secretsmanager": _secretsmanager,
    "sns": _sns,
}
