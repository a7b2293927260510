"""Names and ARNs in every partition of AWS."""

from __future__ import annotations

import subprocess
import sys

import pytest

from txnpipe.names import Names


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("us-east-1", "aws", "amazonaws.com"),
        ("ap-southeast-3", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ("zz-new-1", "aws", "amazonaws.com"),
    ],
)
def test_a_region_s_partition_is_in_its_arns(region: str, partition: str, suffix: str) -> None:
    names = Names("default", "123456789012", region)
    assert names.dns_suffix == suffix
    assert names.stream_arn == f"arn:{partition}:kinesis:{region}:123456789012:stream/TransactionStream"


def test_names_alone_load_nothing_of_botocore() -> None:
    code = (
        "import sys, txnpipe.names; sys.exit(any(m.startswith(('botocore', 'boto3')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
