"""`verify`: waits until a run has arrived, then proves rows, alerts, rejects and latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any

from txnpipe.operate.dead_letters import list_dead_letters
from txnpipe.proof.alerts import RuleProof, compare_alerts
from txnpipe.proof.expected import expected_of
from txnpipe.proof.latency import Latency, alert_latency, row_latency
from txnpipe.proof.rejected import RejectProof, prove_rejects
from txnpipe.proof.restored import restored_alerts
from txnpipe.proof.rows import RowProof, compare_rows
from txnpipe.proof.sending import await_count, with_all_stored
from txnpipe.proof.settling import (
    LEAST_PATIENCE_S,
    QUIET_S,
    Arrived,
    Awaited,
    Settled,
    patience_s,
    settle,
)
from txnpipe.proof.sources import CLOCK_TOLERANCE, Sources
from txnpipe.proof.watching import Sending, Watch
from txnpipe.traffic.keys import ACCOUNT
from txnpipe.traffic.manifest import Manifest

_KEYS_KEPT = 20
"""Of failed batches so many are named; all are counted."""


@dataclass(frozen=True)
class DeadLetterProof:
    """Failed batches since the run began: how many, with how many records, and why; own: that hold records of
    this run. keys, own_keys: of the first of each."""

    batches: int
    records: int
    own: int
    conditions: tuple[str, ...]
    keys: tuple[str, ...]
    own_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """All that `verify` found. finished: whether `send` was done; sent: records acknowledged by then."""

    manifest: Manifest
    finished: bool
    sent: int
    invalid: int
    settled: Settled
    rows: RowProof
    rules: tuple[RuleProof, ...]
    rejects: RejectProof
    dead_letters: DeadLetterProof
    row_latency: Latency | None
    alert_latency: Latency | None
    seconds: float
    order_dependent: frozenset[str] = frozenset()
    """Rules that look at an account's transactions in an order which the analytics app, or the partition key
    of the run, need not keep."""
    differences: tuple[str, ...] = field(default=())

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def verify(
    sources: Sources,
    manifest: Manifest,
    *,
    timeout_s: float | None = None,
    quiet_s: float = QUIET_S,
    on_wait: Callable[[Arrived, Awaited, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Proof:
    """Proves one run. Raises TxnpipeError where something cannot be asked; differences are no error.

    timeout_s: how long to wait for what is on its way; None: as long as suits the run's length.
    """
    started = clock()
    if manifest.partition_key != ACCOUNT:
        sources = replace(sources, rules_in_order=False)
    if manifest.source == "generated" and manifest.count is None:
        patience = LEAST_PATIENCE_S if timeout_s is None else timeout_s
        manifest = await_count(sources.store, manifest, patience, clock, sleep)
        manifest = with_all_stored(sources.store, sources.warehouse, manifest)
        if timeout_s is not None:
            timeout_s = max(timeout_s - (clock() - started), 0.0)
    with closing(expected_of(sources.store, manifest)) as expected:
        # What should be stored is computed while the run settles.
        expected.begin()
        sending = Sending(sources.store, manifest, expected)
        watch = Watch(sources, manifest, expected, sending)
        if timeout_s is None:
            timeout_s = patience_s(max(manifest.count or 0, sending.acknowledged))
        settled = settle(
            watch.look,
            watch.awaited,
            timeout_s=timeout_s,
            quiet_s=quiet_s,
            on_wait=on_wait,
            clock=clock,
            sleep=sleep,
        )
        rows = compare_rows(sources.warehouse, expected, sending.sums())
        asked: Mapping[str, Mapping[str, str]] | None = None
        if not rows.equal and sending.result is not None:
            asked = restored_alerts(sources.warehouse, sources.rules, expected, rows)
        if asked is None:
            asked = watch.asked(rows.stored)
        rules = compare_alerts(sources.warehouse, expected, asked, rows)
        rejects = prove_rejects(sources, manifest, expected.rejects())
    proof = Proof(
        manifest=manifest,
        finished=sending.result is not None,
        sent=sending.acknowledged,
        invalid=sending.result.invalid if sending.result else 0,
        settled=settled,
        rows=rows,
        rules=tuple(rules),
        rejects=rejects,
        dead_letters=_dead_letters(sources, manifest),
        row_latency=row_latency(sources.warehouse, manifest.run_id),
        alert_latency=alert_latency(sources.warehouse, manifest.run_id),
        seconds=clock() - started,
        order_dependent=frozenset(
            rule.name for rule in sources.rules if rule.ordered and not sources.rules_in_order
        ),
    )
    return replace(proof, differences=tuple(_differences(proof)))


def _dead_letters(sources: Sources, manifest: Manifest) -> DeadLetterProof:
    s3: Any = sources.target.client("s3")
    run = manifest.run_id.encode()
    since = manifest.created_at.astimezone(UTC) - CLOCK_TOLERANCE
    batches, records, own = 0, 0, 0
    conditions: set[str] = set()
    keys: list[str] = []
    own_keys: list[str] = []
    # One at a time: a batch takes megabytes.
    for letter in list_dead_letters(s3, sources.store.bucket, since):
        batches += 1
        records += letter.batch_size
        conditions.add(letter.condition or "unknown")
        if len(keys) < _KEYS_KEPT:
            keys.append(letter.key)
        if letter.mentions(run):
            own += 1
            if len(own_keys) < _KEYS_KEPT:
                own_keys.append(letter.key)
    return DeadLetterProof(batches, records, own, tuple(sorted(conditions)), tuple(keys), tuple(own_keys))


def _differences(proof: Proof) -> list[str]:
    """Every difference as a clause; empty where all is equal."""
    found = []
    rows = proof.rows
    if not proof.finished:
        found.append("the run is unfinished: the same send continues it")
    for finding, what in (
        (rows.missing, "missing"),
        (rows.extra, "extra"),
        (rows.changed, "changed"),
        (rows.duplicate, "duplicate"),
    ):
        if finding:
            found.append(f"{finding.count:,} {what} {'row' if finding.count == 1 else 'rows'}")
    for rule in proof.rules:
        for finding, what in (
            (rule.missing, "missing"),
            (rule.extra, "extra"),
            (rule.changed, "changed"),
            (rule.duplicate, "duplicate"),
        ):
            if finding:
                plural = "alert" if finding.count == 1 else "alerts"
                doubt = " (it depends on an order that parallelism above 1, or the partition key, may change)"
                unsure = rule.rule in proof.order_dependent
                found.append(f"{finding.count:,} {what} {rule.rule} {plural}{doubt if unsure else ''}")
    unexplained = proof.rejects.unexplained
    if unexplained > 0:
        records = "record of this run was" if unexplained == 1 else "records of this run were"
        found.append(f"{unexplained:,} {records} rejected")
    if proof.rejects.planted_missing:
        found.append(
            f"{proof.rejects.planted_missing:,} planted bad records were not rejected as they should be"
        )
    if proof.dead_letters.own:
        batches = "failed batch holds" if proof.dead_letters.own == 1 else "failed batches hold"
        found.append(f"{proof.dead_letters.own:,} {batches} records of this run")
    return found
