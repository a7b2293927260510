"""The KMS key of the streams: who may use it, and when two spellings mean the same key.

AWS's own key (alias/aws/kinesis) needs no permission of anybody. A key of the user's needs, in the policy of
every role, kms:Decrypt to read records and kms:GenerateDataKey to write them. Source: Kinesis Data Streams
Developer Guide, "Permissions to use user-generated KMS keys".
"""

from __future__ import annotations

import re
from typing import Any

from txnpipe.config.settings import AWS_KINESIS_KEY, StreamSettings
from txnpipe.names import Names
from txnpipe.resources.resource import Cloud

READ = "kms:Decrypt"
WRITE = "kms:GenerateDataKey"
_ARN = re.compile(r"arn:[^:]+:kms:[^:]*:\d*:(key/)?")


def stream_key(settings: StreamSettings) -> str | None:
    """The key of both streams as configured, or None where they are not encrypted."""
    return settings.kms_key if settings.encryption else None


def customer_key(settings: StreamSettings) -> str | None:
    """The same, but None for AWS's own key: nobody needs a permission for that."""
    key = stream_key(settings)
    return None if key is None or _short(key) == AWS_KINESIS_KEY else key


def use_key(names: Names, key: str | None, uses: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Statements that let a role use the key, for records of the streams named only; none without a key.

    uses: READ or WRITE → ARNs of streams. An alias cannot be a resource in a policy. kms:ResourceAliases
    matches the key that an alias points to however a request names it, so nothing has to be looked up, and an
    alias that is moved needs no new policy. Source: KMS Developer Guide, "Condition keys for KMS".
    """
    if key is None:
        return {}
    short = _short(key)
    alias = short.startswith("alias/")
    place = key.removesuffix(short).removesuffix("key/") or names.arn("kms", "")
    where = place + ("key/*" if alias else f"key/{short}")
    pointing = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [short]}} if alias else {}
    return {
        ("ReadWithKey" if action == READ else "WriteWithKey"): {
            "Effect": "Allow",
            "Action": [action],
            "Resource": [where],
            "Condition": {
                **pointing,
                "StringEquals": {"kms:EncryptionContext:aws:kinesis:arn": sorted(streams)},
            },
        }
        for action, streams in uses.items()
    }


def spelled_as_configured(cloud: Cloud, found: str) -> str:
    """The key that Kinesis names, in the configuration's words where both mean one key.

    KMS is asked only where one of the two is an alias and the other is none.
    """
    configured = stream_key(cloud.settings.stream)
    if configured is None or configured == found:
        return found
    ours, theirs = _short(configured), _short(found)
    if ours == theirs:
        return configured
    if ours.startswith("alias/") != theirs.startswith("alias/"):
        kms = cloud.client("kms")
        alias, key = (configured, theirs) if ours.startswith("alias/") else (found, ours)
        try:
            pointed = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        except kms.exceptions.NotFoundException:
            return found
        if pointed == key:
            return configured
    return found


def _short(key: str) -> str:
    """A key's id, or alias/NAME, without the ARN around it."""
    return _ARN.sub("", key)
