"""Walking the path, on a Kinesis that applies the limits of UpdateShardCount."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.scaling import reshard


class Kinesis:
    """One stream. A change takes `change_s` seconds of the clock that `sleep` advances."""

    def __init__(self, shards: int = 1, *, account_limit: int = 500, mode: str = "PROVISIONED") -> None:
        self.shards = shards
        self.mode = mode
        self.account_limit = account_limit
        self.other_streams = 0
        self.change_s = 3.0
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []
        self._pending: tuple[float, int] | None = None

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def describe_stream_summary(self, **request: Any) -> dict[str, Any]:
        if request["StreamName"] != "TransactionStream":
            raise _error("ResourceNotFoundException", "Stream not found")
        if self._pending and self.now >= self._pending[0]:
            self.shards, self._pending = self._pending[1], None
        return {
            "StreamDescriptionSummary": {
                "StreamStatus": "UPDATING" if self._pending else "ACTIVE",
                "OpenShardCount": self.shards,
                "StreamModeDetails": {"StreamMode": self.mode},
            }
        }

    def describe_limits(self) -> dict[str, Any]:
        return {"ShardLimit": self.account_limit, "OpenShardCount": self.shards + self.other_streams}

    def update_shard_count(self, **request: Any) -> None:
        target = request["TargetShardCount"]
        if self._pending:
            raise _error("ResourceInUseException", "Stream is being updated")
        if target > 2 * self.shards or 2 * target < self.shards:
            raise _error("InvalidArgumentException", "more than double or less than half")
        if sum(when > self.now - 86_400 for when, _ in self.changes) >= 10:
            raise _error("LimitExceededException", "Rate exceeded: 10 per 24 hours")
        self.changes.append((self.now, target))
        self._pending = (self.now + self.change_s, target)


def _error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "UpdateShardCount")


def walk(kinesis: Kinesis, target: int, **options: Any) -> int:
    return reshard.walk(
        kinesis, "TransactionStream", target, clock=kinesis.clock, sleep=kinesis.sleep, **options
    )


@pytest.mark.parametrize(("start", "target"), [(1, 4), (4, 1), (3, 17), (17, 3)])
def test_it_arrives_and_says_every_step(start: int, target: int) -> None:
    kinesis = Kinesis(start)
    said: list[tuple[int, int]] = []
    made = walk(kinesis, target, on_step=lambda before, after: said.append((before, after)))
    assert kinesis.shards == target
    assert made == len(kinesis.changes)
    assert [after for _, after in said] == [after for _, after in kinesis.changes]


def test_a_stopped_walk_is_continued_after_the_change_under_way() -> None:
    kinesis = Kinesis(1)

    def stop(before: int, after: int) -> None:
        if before == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(kinesis, 16, on_step=stop)
    kinesis.update_shard_count(TargetShardCount=8)
    assert walk(kinesis, 16) == 1
    assert kinesis.shards == 16


def test_somebody_elses_change_is_waited_for() -> None:
    kinesis = Kinesis(2)

    def intrude(before: int, after: int) -> None:
        if not kinesis.changes:
            kinesis.update_shard_count(TargetShardCount=3)

    walk(kinesis, 4, on_step=intrude)
    assert kinesis.shards == 4


def test_the_plan_changes_nothing() -> None:
    kinesis = Kinesis(2)
    plan = reshard.plan(kinesis, "TransactionStream", 7)
    assert (plan.current, plan.target, plan.steps) == (2, 7, (4, 7))
    assert kinesis.changes == []


def test_the_same_number_needs_no_step() -> None:
    assert reshard.plan(Kinesis(4), "TransactionStream", 4).steps == ()


@pytest.mark.parametrize("shards", [0, -1, 10_001])
def test_an_impossible_number_is_a_usage_error(shards: int) -> None:
    with pytest.raises(TxnpipeError) as caught:
        reshard.plan(Kinesis(), "TransactionStream", shards)
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_accounts_limit_is_told_with_numbers() -> None:
    kinesis = Kinesis(4, account_limit=20)
    kinesis.other_streams = 10
    with pytest.raises(TxnpipeError) as caught:
        reshard.plan(kinesis, "TransactionStream", 11)
    assert caught.value.exit_code is ExitCode.LIMIT
    assert "14 of its 20 shards" in caught.value.cause
    assert "at most --shards 10" in caught.value.fix
    assert reshard.plan(kinesis, "TransactionStream", 10).steps == (8, 10)


def test_more_changes_than_a_day_allows_are_refused_before_the_first() -> None:
    with pytest.raises(TxnpipeError) as caught:
        reshard.plan(Kinesis(1, account_limit=10_000), "TransactionStream", 2000)
    assert caught.value.exit_code is ExitCode.LIMIT
    assert "1024 shards today" in caught.value.fix


def test_the_eleventh_change_in_a_day_is_a_limit_and_can_be_made_a_day_later() -> None:
    kinesis = Kinesis(1)
    for n in range(10):
        walk(kinesis, 2 - n % 2)
    with pytest.raises(TxnpipeError) as caught:
        walk(kinesis, 2)
    assert caught.value.exit_code is ExitCode.LIMIT
    assert "24 hours" in caught.value.fix
    assert "continues from 1" in caught.value.fix
    kinesis.sleep(86_400)
    assert walk(kinesis, 2) == 1


def test_an_on_demand_stream_is_refused() -> None:
    with pytest.raises(TxnpipeError, match="on-demand") as caught:
        reshard.plan(Kinesis(mode="ON_DEMAND"), "TransactionStream", 2)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "set stream.mode to provisioned and run txnpipe setup" in caught.value.fix


def test_no_stream_is_not_found() -> None:
    with pytest.raises(TxnpipeError) as caught:
        reshard.plan(Kinesis(), "OtherStream", 2)
    assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_a_change_that_never_ends_times_out_and_names_the_stream() -> None:
    kinesis = Kinesis(1)
    kinesis.change_s = 1e9
    with pytest.raises(TxnpipeError, match="TransactionStream") as caught:
        walk(kinesis, 4, timeout_s=60)
    assert caught.value.exit_code is ExitCode.TIMEOUT
