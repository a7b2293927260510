"""The steps from one number of shards to another, and how many shards a load needs. Pure arithmetic.

Source of the limits: Kinesis, UpdateShardCount.
"""

from __future__ import annotations

import math

MAX_SHARDS = 10_000
MAX_CHANGES_PER_DAY = 10
"""UpdateShardCount: ten times per rolling 24 hours and stream."""
SHARD_RECORDS_PER_SECOND = 1000
SHARD_BYTES_PER_SECOND = 1024 * 1024


def reshard_path(current: int, target: int) -> tuple[int, ...]:
    """The shortest sequence of shard counts that UpdateShardCount accepts, `current` left out.

    A step at most doubles, and at least halves (rounded up: 5 shards go to 3, not to 2). Doubling and halving
    are multiples of 25% of the current count, which Kinesis finishes faster than others.
    """
    if not 1 <= current <= MAX_SHARDS or not 1 <= target <= MAX_SHARDS:
        raise ValueError(f"shard counts are 1 to {MAX_SHARDS}")
    steps: list[int] = []
    while current != target:
        current = min(target, current * 2) if target > current else max(target, -(-current // 2))
        steps.append(current)
    return tuple(steps)


def allowed_step(current: int, target: int) -> bool:
    """Whether one UpdateShardCount call may go from one number to the other."""
    return target != current and 1 <= target <= MAX_SHARDS and current <= 2 * target and target <= 2 * current


def shards_for(records_per_second: float, bytes_per_record: float, headroom: float = 0.2) -> int:
    """The shards that a steady load needs, with `headroom` (0.2 is 20%) left for peaks and uneven keys."""
    by_records = records_per_second / SHARD_RECORDS_PER_SECOND
    by_bytes = records_per_second * bytes_per_record / SHARD_BYTES_PER_SECOND
    return max(1, math.ceil(max(by_records, by_bytes) * (1 + headroom) - 1e-9))
