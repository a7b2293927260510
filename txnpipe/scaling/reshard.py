"""Plans and walks the path to another number of shards.

Planning only reads. Walking repeats nothing: it looks at the stream before every step, waits for a change
that somebody else, or a stopped run of the same command, has under way, and goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import error_code, translated
from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.scaling.path import MAX_CHANGES_PER_DAY, MAX_SHARDS, reshard_path
from txnpipe.waiting import wait_until

STEP_TIMEOUT_S = 1800.0
"""A stream of thousands of shards takes many minutes; Kinesis names no bound."""


@dataclass(frozen=True)
class Plan:
    """What `walk` would do. limit: shards that the account may have in this region, and how many are open."""

    stream: str
    current: int
    target: int
    steps: tuple[int, ...]
    status: str
    account_open: int | None
    account_limit: int | None


@dataclass(frozen=True)
class StreamState:
    """status: CREATING, ACTIVE, UPDATING or DELETING. shards: open ones."""

    status: str
    shards: int
    mode: str


def describe(client: Any, stream: str) -> StreamState:
    """The stream now. Raises TxnpipeError (NOT_FOUND) where it does not exist."""
    with translated("describe the stream", stream):
        try:
            summary = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                raise TxnpipeError(
                    f"There is no stream {stream}.",
                    "Run txnpipe setup, then the same command again.",
                    ExitCode.NOT_FOUND,
                ) from error
            raise
    mode = summary.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED")
    return StreamState(summary["StreamStatus"], summary["OpenShardCount"], mode)


def check_target(target: int) -> None:
    """Raises TxnpipeError (USAGE) for a number of shards that no stream can have."""
    if not 1 <= target <= MAX_SHARDS:
        raise usage_error(
            f"A stream cannot have {target} shards.", f"Pass a number from 1 to {MAX_SHARDS:,} to --shards."
        )


def plan(client: Any, stream: str, target: int) -> Plan:
    """The steps to `target` shards. Changes nothing.

    Raises TxnpipeError: USAGE (no such number of shards, an on-demand stream), LIMIT (more than the account
    may have, more steps than a day allows), NOT_FOUND.
    """
    check_target(target)
    state = describe(client, stream)
    if state.mode != "PROVISIONED":
        raise usage_error(
            f"The stream {stream} is in on-demand mode, where Kinesis chooses the number of shards.",
            "To choose it yourself, set stream.mode to provisioned and run txnpipe setup (a stream may "
            "switch twice in 24 hours), then run the same command again.",
        )
    steps = reshard_path(state.shards, target)
    limit, opened = _account_limit(client, stream) if target > state.shards else (None, None)
    if limit is not None and opened is not None and opened + target - state.shards > limit:
        raise TxnpipeError(
            f"{target} shards are {target - state.shards} more than now, but the account has {opened} of its "
            f"{limit} shards of this region open already: {max(limit - opened, 0)} are left.",
            f"Choose at most --shards {state.shards + max(limit - opened, 0)}, or ask AWS for a higher quota "
            "(Service Quotas, Amazon Kinesis Data Streams, shards per Region).",
            ExitCode.LIMIT,
        )
    if len(steps) > MAX_CHANGES_PER_DAY:
        reachable = steps[MAX_CHANGES_PER_DAY - 1]
        raise TxnpipeError(
            f"{state.shards} to {target} shards takes {len(steps)} changes; Kinesis allows "
            f"{MAX_CHANGES_PER_DAY} per stream in any 24 hours.",
            f"Scale to {reachable} shards today and to {target} a day later.",
            ExitCode.LIMIT,
        )
    return Plan(stream, state.shards, target, steps, state.status, opened, limit)


def walk(
    client: Any,
    stream: str,
    target: int,
    *,
    impatient: Any = None,
    on_step: Callable[[int, int], None] | None = None,
    on_wait: Callable[[float], None] | None = None,
    timeout_s: float = STEP_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Walks to `target` shards, step by step, and returns the number of changes it made.

    impatient: a client that hardly retries, for the changes themselves: boto3 takes a day's limit for
    throttling, and would ask again and again for many seconds. on_step hears (from, to) before each change,
    on_wait the seconds waited for the current one. Raises TxnpipeError: LIMIT (the day's changes are used up,
    or the account's shards), TIMEOUT, SERVICE.
    """
    changes = 0
    while True:
        state = settled(client, stream, timeout_s, clock, sleep, on_wait)
        steps = reshard_path(state.shards, target)
        if not steps:
            return changes
        if on_step:
            on_step(state.shards, steps[0])
        if _update(impatient or client, stream, state.shards, steps[0], target):
            changes += 1
        else:
            sleep(0.2)  # somebody else was quicker; the next look waits for that change


def _update(client: Any, stream: str, current: int, step: int, target: int) -> bool:
    """Asks for one change. False where another change is under way."""
    with translated("change the number of shards of", stream):
        try:
            client.update_shard_count(StreamName=stream, TargetShardCount=step, ScalingType="UNIFORM_SCALING")
        except ClientError as error:
            code = error_code(error)
            if code == "ResourceInUseException":
                return False
            if code == "LimitExceededException":
                raise _limit(error, current, step, target) from error
            raise
    return True


def _limit(error: ClientError, current: int, step: int, target: int) -> TxnpipeError:
    message = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    return TxnpipeError(
        f"Kinesis refused the change from {current} to {step} shards: {message}.",
        f"A stream may change {MAX_CHANGES_PER_DAY} times in any 24 hours: wait until the oldest of the last "
        f"{MAX_CHANGES_PER_DAY} changes is a day old, then run txnpipe scale --shards {target} again; it "
        f"continues from {current}. (Kinesis keeps no list of them that can be asked for; CloudTrail's "
        "UpdateShardCount events show when they were.)",
        ExitCode.LIMIT,
    )


def _account_limit(client: Any, stream: str) -> tuple[int | None, int | None]:
    """The account's shard limit in this region and its open shards."""
    with translated("ask for the account's shard limit for", stream):
        limits = client.describe_limits()
    return limits.get("ShardLimit"), limits.get("OpenShardCount")


def settled(
    client: Any,
    stream: str,
    timeout_s: float = STEP_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    on_wait: Callable[[float], None] | None = None,
) -> StreamState:
    """Waits until no change is under way. Raises TxnpipeError: NOT_FOUND, TIMEOUT."""

    def active() -> StreamState | None:
        state = describe(client, stream)
        return state if state.status == "ACTIVE" else None

    return wait_until(
        active,
        f"the stream {stream} to become ACTIVE",
        timeout_s,
        clock=clock,
        sleep=sleep,
        on_wait=on_wait,
        interval_s=2.0,
    )
