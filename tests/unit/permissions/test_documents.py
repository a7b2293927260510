"""The policy as a document: complete, and never longer than IAM takes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.unit.deploy.remote import settings_of
from txnpipe.config import Settings
from txnpipe.names import MAX_PIPELINE_NAME_LENGTH, Names
from txnpipe.operate.permissions import MANAGED_POLICY_CHARACTERS, operator_actions, policy_documents
from txnpipe.operate.permissions.documents import whole_document

LONGEST = settings_of(
    warehouse={"admin_user": "a" * 63},
    stream={"kms_key": "arn:aws:kms:ap-southeast-1:123456789012:key/12345678-1234-1234-1234-123456789012"},
)


@pytest.mark.parametrize("pipeline", ["default", "a" * MAX_PIPELINE_NAME_LENGTH])
@pytest.mark.parametrize("settings", [settings_of(), LONGEST], ids=["default", "longest"])
def test_every_part_fits_into_a_managed_policy(pipeline: str, settings: Settings) -> None:
    granted = operator_actions(Names(pipeline, "123456789012", "ap-southeast-1"), settings)
    parts = policy_documents(granted)
    for part in parts:
        written = json.dumps(part, indent=2)
        assert len("".join(written.split())) <= MANAGED_POLICY_CHARACTERS
    statements: Sequence[object] = [each for part in parts for each in part["Statement"]]
    assert statements == whole_document(granted)["Statement"]


def test_what_only_reads_fits_into_one_part_as_a_rule() -> None:
    names = Names("default", "123456789012", "ap-southeast-1")
    assert len(policy_documents(operator_actions(names, settings_of(), read_only=True))) == 1


def test_a_key_of_the_customer_is_in_the_policy_and_aws_s_own_is_not() -> None:
    names = Names("default", "123456789012", "eu-west-1")
    actions = {
        key: {
            action for each in operator_actions(names, settings_of(stream=stream)) for action in each.actions
        }
        for key, stream in {"own": {}, "theirs": {"kms_key": "alias/ours"}}.items()
    }
    assert actions["theirs"] - actions["own"] == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_the_partition_of_the_region_is_in_every_arn() -> None:
    names = Names("default", "123456789012", "cn-north-1")
    for each in operator_actions(names, settings_of()):
        assert all(resource == "*" or resource.startswith("arn:aws-cn:") for resource in each.resources)
