"""Whether the region exists, is enabled for the account, and has the services."""

from __future__ import annotations

from botocore.exceptions import ClientError

from txnpipe.aws import Target, error_code, translated
from txnpipe.checks import Verdict, failed, ok, warning
from txnpipe.errors import ExitCode
from txnpipe.names import Names

SERVICES = ("kinesis", "lambda", "redshift", "kinesisanalyticsv2", "sns", "s3", "secretsmanager")
_NO_SUCH_REGION = "InvalidParameterValue"


def check_region(target: Target, names: Names) -> Verdict:
    """Raises TxnpipeError (SERVICE) where EC2 does not answer."""
    region = names.region
    with translated("look up", f"the region {region}"):
        try:
            found = target.client("ec2").describe_regions(RegionNames=[region], AllRegions=True)["Regions"]
        except ClientError as error:
            if error_code(error) != _NO_SUCH_REGION:
                raise
            found = []
    if not found:
        return failed(
            f"AWS has no region {region}.", "Correct `region` in the configuration.", ExitCode.USAGE
        )
    if found[0].get("OptInStatus") == "not-opted-in":
        return failed(
            f"The region {region} is not enabled for this account.",
            f"Enable it: aws account enable-region --region-name {region}; that takes some minutes.",
            ExitCode.ENVIRONMENT,
        )
    absent = _absent(names)
    if absent:
        return warning(
            f"As far as this version of boto3 knows, {region} lacks {', '.join(absent)}.",
            "Upgrade boto3 to look again, or choose another region.",
        )
    return ok(f"{region} is enabled and has every service that a pipeline needs.")


def _absent(names: Names) -> list[str]:
    import boto3

    session = boto3.Session()
    return [
        service
        for service in SERVICES
        if names.region not in session.get_available_regions(service, partition_name=names.partition)
    ]
