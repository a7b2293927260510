"""Capacity mode and encryption of a running pipeline's stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.pipelines import Pipeline
from txnpipe.errors import ExitCode

OFF = {"TXNPIPE_STREAM_ENCRYPTION": "false"}
ON_DEMAND = {"TXNPIPE_STREAM_MODE": "on-demand"}


@pytest.fixture(scope="module")
def staged(cloud: Cloud) -> Pipeline:
    made = Pipeline(cloud, "capacity")
    made.run("setup")
    return made


def summary(pipeline: Pipeline, name: str = "TransactionStream") -> dict[str, Any]:
    answer = pipeline.cloud.client("kinesis").describe_stream_summary(StreamName=f"{pipeline.name}-{name}")
    found: dict[str, Any] = answer["StreamDescriptionSummary"]
    return found


def mode(pipeline: Pipeline) -> str:
    return str(summary(pipeline)["StreamModeDetails"]["StreamMode"])


def test_both_streams_are_encrypted_unless_told_otherwise(staged: Pipeline) -> None:
    for name in ("TransactionStream", "TransactionAlerts"):
        assert summary(staged, name)["KeyId"] == "alias/aws/kinesis"
    staged.run("setup", environment=OFF)
    assert summary(staged)["EncryptionType"] == "NONE"
    staged.run("setup")
    assert summary(staged)["EncryptionType"] == "KMS"


def test_an_on_demand_stream_takes_and_delivers_what_is_sent_and_is_not_scaled(staged: Pipeline) -> None:
    staged.run("setup", environment=ON_DEMAND)
    assert mode(staged) == "ON_DEMAND"
    staged.run("send", "--count", "3000")
    staged.prove(3000)
    refused = staged.cloud.run("scale", "--shards", "2", "--pipeline", staged.name)
    assert refused.returncode == ExitCode.USAGE
    assert "set stream.mode to provisioned" in refused.stderr


def test_back_in_provisioned_mode_it_is_scaled_and_a_third_switch_is_a_limit(staged: Pipeline) -> None:
    staged.run("setup")
    assert (mode(staged), summary(staged)["OpenShardCount"]) == ("PROVISIONED", 1)
    staged.run("scale", "--shards", "2")
    refused = staged.cloud.run("setup", "--pipeline", staged.name, environment=ON_DEMAND)
    assert refused.returncode == ExitCode.LIMIT
    assert "twice in any 24 hours" in refused.stderr
    assert mode(staged) == "PROVISIONED"
