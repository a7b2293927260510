"""Whether the account has room for the pipeline."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import Target, error_code, translated
from txnpipe.checks import Verdict, failed, ok, warning
from txnpipe.config import Settings
from txnpipe.deploy.graph import ALERT_SHARDS
from txnpipe.errors import ExitCode
from txnpipe.names import Names
from txnpipe.operate.cost.footprint import ON_DEMAND_SHARDS

NOTIFIERS = 1
"""Invocations of the notifier at once: one for each shard of the alert stream."""
LEFT_UNRESERVED = 100
"""Lambda keeps so many for functions that reserve none (Lambda guide, "Reserved concurrency")."""


def check_shards(target: Target, settings: Settings, names: Names) -> Verdict:
    """Whether the streams that are not there yet fit into the account's shards and on-demand streams."""
    kinesis = target.client("kinesis")
    on_demand = settings.stream.mode == "on-demand"
    with translated("ask for", "the account's shards"):
        limits = kinesis.describe_limits()
        ours, alerts = (not _exists(kinesis, stream) for stream in (names.stream, names.alert_stream))
    missing = (0 if on_demand or not ours else settings.stream.shards) + (ALERT_SHARDS if alerts else 0)
    if on_demand and ours and limits["OnDemandStreamCount"] >= limits["OnDemandStreamCountLimit"]:
        return failed(
            f"The account has all {limits['OnDemandStreamCountLimit']:,} of its on-demand streams in "
            f"{names.region}.",
            "Set stream.mode to provisioned, or ask AWS for a higher quota (Service Quotas, Amazon Kinesis "
            "Data Streams).",
            ExitCode.LIMIT,
        )
    limit, opened = limits["ShardLimit"], limits["OpenShardCount"]
    found = f"{opened:,} of the account's {limit:,} shards in {names.region} are open"
    if opened + missing > limit:
        return failed(
            f"{found}, and the pipeline needs {missing:,} more.",
            "Set stream.shards lower, or ask AWS for a higher quota (Service Quotas, Amazon Kinesis Data "
            "Streams, shards per Region).",
            ExitCode.LIMIT,
        )
    return ok(f"{found}; the pipeline needs {missing:,} more.")


def _exists(kinesis: Any, stream: str) -> bool:
    try:
        kinesis.describe_stream_summary(StreamName=stream)
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return False
        raise
    return True


def check_concurrency(target: Target, settings: Settings, names: Names) -> Verdict:
    """Whether Lambda may run as many copies of the functions at once as the shards call for."""
    reserved = {
        names.loader: settings.loader.reserved_concurrency,
        names.notifier: settings.notifier.reserved_concurrency,
    }
    with translated("ask for", "the account's Lambda limits"):
        client = target.client("lambda")
        limits = client.get_account_settings()["AccountLimit"]
        wanted = sum(more - _reserved(client, name) for name, more in reserved.items() if more is not None)
    free, whole = limits["UnreservedConcurrentExecutions"], limits["ConcurrentExecutions"]
    found = f"Lambda runs at most {whole:,} functions at once here, {free:,} of them for everybody"
    if wanted > 0 and free - wanted < LEFT_UNRESERVED:
        return failed(
            f"{found}, and the pipeline reserves {wanted:,}: {LEFT_UNRESERVED} must stay unreserved.",
            "Lower loader.reserved_concurrency and notifier.reserved_concurrency, or ask AWS for a higher "
            "quota (Service Quotas, AWS Lambda, Concurrent executions).",
            ExitCode.LIMIT,
        )
    shards = settings.stream.shards if settings.stream.mode == "provisioned" else ON_DEMAND_SHARDS
    used = {
        names.loader: shards * settings.loader.parallelization_factor + ALERT_SHARDS,
        names.notifier: NOTIFIERS,
    }
    needed = sum(count for name, count in used.items() if reserved[name] is None)
    if needed > free:
        return warning(
            f"{found}, and the pipeline uses up to {needed:,}: batches will wait.",
            "Ask AWS for a higher quota (Service Quotas, AWS Lambda, Concurrent executions), or lower "
            "stream.shards or loader.parallelization_factor.",
        )
    return ok(f"{found}; the pipeline uses up to {needed:,}.")


def _reserved(client: Any, function: str) -> int:
    """What a function has reserved already."""
    try:
        found = client.get_function_concurrency(FunctionName=function)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return 0
    return int(found.get("ReservedConcurrentExecutions", 0))
