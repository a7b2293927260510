"""Where a proof looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from txnpipe.aws import Target
from txnpipe.names import Names
from txnpipe.proof.alerts import RuleCheck
from txnpipe.traffic.runs import RunStore
from txnpipe.warehouse.interface import Warehouse

CLOCK_TOLERANCE = timedelta(minutes=5)
"""Kinesis' clock, Lambda's and that of the machine that sent may differ."""


@dataclass(frozen=True)
class Sources:
    """Where a proof looks."""

    target: Target
    names: Names
    store: RunStore
    warehouse: Warehouse
    rules: Sequence[RuleCheck]
    in_order: bool
    """Whether the loader takes a shard's records one batch after the other (parallelization factor 1)."""
    rules_in_order: bool
    """Whether the rules see a shard's transactions in its order (the analytics app's parallelism is 1)."""
