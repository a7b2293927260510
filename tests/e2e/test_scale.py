"""`txnpipe scale` on a real stream."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.test_send import Channel
from tests.waiting import eventually
from txnpipe.errors import ExitCode


@pytest.fixture(scope="module")
def channel(cloud: Cloud) -> Iterator[Channel]:
    made = Channel(cloud, "scaling", 1)
    yield made
    made.kinesis.delete_stream(StreamName=made.names.stream)


def shards(channel: Channel) -> int:
    summary = channel.kinesis.describe_stream_summary(StreamName=channel.names.stream)
    count: int = summary["StreamDescriptionSummary"]["OpenShardCount"]
    return count


def until_active(channel: Channel, number: int) -> None:
    """Waits for so many shards, with fewer calls than the 20 a second that an account has."""

    def active() -> bool:
        summary = channel.kinesis.describe_stream_summary(StreamName=channel.names.stream)
        described = summary["StreamDescriptionSummary"]
        return (described["StreamStatus"], described["OpenShardCount"]) == ("ACTIVE", number)

    eventually(active, f"stream of {number} shards", interval_s=0.25)


def test_it_walks_the_path_that_it_showed(channel: Channel) -> None:
    result = channel.cloud.run("scale", "--shards", "4", "--pipeline", channel.name, "--json", check=True)
    document = json.loads(result.stdout)
    assert (document["from"], document["to"], document["steps"]) == (1, 4, [2, 4])
    assert document["changes"] == 2
    assert "1 → 2 → 4 shards" in result.stderr
    assert shards(channel) == 4


def test_the_same_number_changes_nothing(channel: Channel) -> None:
    assert channel.run("scale", "--shards", "4")["changes"] == 0


def test_down_again(channel: Channel) -> None:
    assert channel.run("scale", "--shards", "3")["steps"] == [3]
    assert channel.run("scale", "--shards", "1")["steps"] == [2, 1]
    assert shards(channel) == 1


@pytest.mark.parametrize("number", ["0", "-2", "10001"])
def test_an_impossible_number_is_a_usage_error(channel: Channel, number: str) -> None:
    result = channel.cloud.run("scale", "--shards", number, "--pipeline", channel.name)
    assert result.returncode == ExitCode.USAGE
    assert "fix:" in result.stderr
    assert shards(channel) == 1


def test_beyond_the_accounts_limit_the_numbers_are_told(channel: Channel) -> None:
    result = channel.cloud.run("scale", "--shards", "900", "--pipeline", channel.name)
    assert result.returncode == ExitCode.LIMIT
    assert "899 more than now" in result.stderr
    assert "at most --shards" in result.stderr
    assert shards(channel) == 1


def test_the_eleventh_change_in_24_hours_is_refused_with_an_explanation(channel: Channel) -> None:
    # Five changes were made above. Who makes them does not matter.
    for number in (2, 1, 2, 1, 2):
        channel.kinesis.update_shard_count(
            StreamName=channel.names.stream, TargetShardCount=number, ScalingType="UNIFORM_SCALING"
        )
        until_active(channel, number)
    result = channel.cloud.run("scale", "--shards", "4", "--pipeline", channel.name)
    assert result.returncode == ExitCode.LIMIT
    assert "24 hours" in result.stderr
    assert shards(channel) == 2


def test_on_aws_it_asks_first(cloud: Cloud, channel: Channel) -> None:
    running, before = cloud.running, shards(channel)
    result = cloud.run(
        "scale",
        "--shards",
        str(before + 1),
        "--pipeline",
        channel.name,
        "--target",
        "aws",
        environment={
            "TXNPIPE_AWS_ENDPOINT_URL": running.endpoint_url,
            "AWS_ACCESS_KEY_ID": running.access_key_id,
            "AWS_SECRET_ACCESS_KEY": running.secret_access_key,
        },
    )
    assert result.returncode == ExitCode.REFUSED
    assert "--yes" in result.stderr
    assert shards(channel) == before
