"""Random traffic for the rules: bursts, spikes, refunds, repeats, events out of order, bad records."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.corpus.events import POISON
from tests.integration.flink.rig import event
from txnpipe.transactions import InvalidTransaction, Transaction, parse, partition_key

START = datetime(2026, 1, 1)


def random_records(run_id: str, seed: int, count: int) -> list[tuple[str, bytes]]:
    """(partition key, data) of `count` records. Repeats have the partition key of what they repeat."""
    random_ = random.Random(seed)
    clocks: dict[str, datetime] = {}
    records: list[tuple[str, bytes]] = []
    accounts = [f"{run_id}-a{number}" for number in range(6)]
    for index in range(count):
        if random_.random() < 0.05:
            records.append((f"bad-{index}", random_.choice(POISON).data))
            continue
        if records and random_.random() < 0.05:
            records.append(random_.choice(records))
            continue
        account = random_.choice([*accounts, None])
        fields: dict[str, Any] = {"transaction_id": f"{run_id}-{index}", "run_id": run_id}
        fields["amount"] = _amount(random_)
        if account is not None:
            step = random_.choice([0, 0.001, 5, 12, 15, 30, 60, 60.000001, 300, -20])
            clocks[account] = clocks.get(account, START) + timedelta(seconds=step)
            fields["account_id"] = account
            fields["timestamp"] = clocks[account].isoformat(timespec="microseconds") + "Z"
        data = event(**fields)
        records.append((partition_key(parse(data)), data))
        if random_.random() < 0.03:
            # The same id with other content: the first is kept.
            records.append((records[-1][0], event(**{**fields, "amount": 77_777})))
    return records


def _amount(random_: random.Random) -> float:
    kind = random_.random()
    if kind < 0.05:
        return random_.choice([10_000, 10_000.01, 9_999.99, 50_000])
    if kind < 0.15:
        return round(random_.uniform(200, 3_000), 2)
    if kind < 0.2:
        return round(-random_.uniform(1, 500), 2)
    return round(random_.uniform(1, 150), 2)


def accepted(
    records: Sequence[tuple[str, bytes]], places: Sequence[tuple[str, str]]
) -> list[tuple[Transaction, str, str]]:
    """What the loader stores: (transaction, shard, sequence number), the first valid one of each id."""
    rows: dict[str, tuple[Transaction, str, str]] = {}
    for (_, data), (shard, sequence) in zip(records, places, strict=True):
        try:
            transaction = parse(data)
        except InvalidTransaction:
            continue
        known = rows.get(transaction.transaction_id)
        if known is None or int(sequence) < int(known[2]):
            rows[transaction.transaction_id] = (transaction, shard, sequence)
    return list(rows.values())
