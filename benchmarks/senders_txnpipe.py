"""txnpipe's sender at a stream's limits, in a process of its own.

    python senders_txnpipe.py ENDPOINT STREAM SHARDS SECONDS HOT

Sends events (the share HOT of them for one account) for SECONDS as fast as the stream takes them, and prints
JSON: attempts, throttled, acknowledged, and "shards": by shard, how many records a second it took from WARM_S
on, when what a shard takes at once at the beginning is used up.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence

from _local import local_target
from senders import KEY, SECRET, events

from txnpipe.aws import Credentials, Target
from txnpipe.traffic.sender import CHUNK, Progress, Sender
from txnpipe.traffic.stream import KinesisStream

WARM_S = 3.0


def main() -> None:
    """Sends, and prints what came of it."""
    endpoint, stream, shards, seconds, hot = sys.argv[1:]
    made = events(int(shards) * 10_000, float(hot))
    ends = time.monotonic() + float(seconds)
    reports: list[Progress] = []

    def source() -> Iterator[Sequence[tuple[int, str, bytes]]]:
        numbers = itertools.count()
        endless = ((index, *made[index % len(made)]) for index in numbers)
        while time.monotonic() < ends:
            yield list(itertools.islice(endless, CHUNK))

    to = KinesisStream(local_target(Target, endpoint, Credentials(KEY, SECRET)), stream)
    done = Sender(to, to.open_shards(), report=reports.append).run(source())
    warm = [each for each in reports if WARM_S <= each.elapsed_s <= float(seconds)]
    first, last = warm[0], warm[-1]
    rates = {
        shard: (last.by_shard[shard] - first.by_shard[shard]) / (last.elapsed_s - first.elapsed_s)
        for shard in last.by_shard
    }
    figures = {"attempts": done.attempts, "throttled": done.throttled, "acknowledged": done.acknowledged}
    latency = None if done.latency is None else done.latency.p50
    sys.stdout.write(json.dumps(figures | {"shards": rates, "p50_ms": latency}) + "\n")


if __name__ == "__main__":
    main()
