"""`verify`: waits until a run has arrived, then proves rows, alerts, rejects and latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from txnpipe.aws import Target
from txnpipe.names import Names
from txnpipe.operate.dead_letters import list_dead_letters
from txnpipe.operate.rejects import Reject, count_rejects, newest_rejects
from txnpipe.proof.alerts import (
    RuleCheck,
    RuleProof,
    alerts_passed_by,
    compare_alerts,
    expected_alerts,
    stored_alert_counts,
)
from txnpipe.proof.checksum import Checksum, digest
from txnpipe.proof.expected import Expected, expected_of
from txnpipe.proof.latency import Latency, alert_latency, row_latency
from txnpipe.proof.rows import RowProof, compare_rows, stored_under_any_run
from txnpipe.proof.sending import await_count
from txnpipe.proof.settling import QUIET_S, Arrived, Awaited, Settled, settle
from txnpipe.traffic.buckets import content_of_transaction
from txnpipe.traffic.keys import ACCOUNT
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import Marker, RunResult, RunStore, at_work
from txnpipe.transactions import parse
from txnpipe.warehouse.interface import Warehouse

_CLOCK_TOLERANCE = timedelta(minutes=5)
"""Kinesis' clock, Lambda's and that of the machine that sent may differ."""
_OWN_EVENT_BYTES = 4096
"""No event that `send` writes is larger: all its fields are bounded."""
_REJECTS_LOOKED_AT = 5000
_KEYS_KEPT = 20
"""Of failed batches so many are named; all are counted."""


@dataclass(frozen=True)
class RejectProof:
    """Rejects since the run began. own: of records that this run sent; explained: those of them that say what
    a stored row says; others: of other origin, only counted."""

    own: tuple[Reject, ...]
    explained: int
    others: int
    by_reason: dict[str, int]
    planted: int = 0
    """Bad records that the run sent on purpose; not among `own` where rejected as they should be."""
    planted_missing: int = 0
    """Those of them that were not rejected for the reason that they have."""


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


def verify(
    sources: Sources,
    manifest: Manifest,
    *,
    timeout_s: float,
    quiet_s: float = QUIET_S,
    on_wait: Callable[[Arrived, Awaited, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Proof:
    """Proves one run. Raises TxnpipeError where something cannot be asked; differences are no error."""
    started = clock()
    if manifest.partition_key != ACCOUNT:
        sources = replace(sources, rules_in_order=False)
    if manifest.source == "generated" and manifest.count is None:
        manifest = await_count(sources.store, manifest, timeout_s, clock, sleep)
        timeout_s = max(timeout_s - (clock() - started), 0.0)
    warehouse, run_id = sources.warehouse, manifest.run_id
    expected = expected_of(sources.store, manifest)
    sending = _Sending(sources.store, manifest, expected)
    watch = _Watch(sources, manifest, expected, sending)
    settled = settle(
        watch.look,
        watch.awaited,
        timeout_s=timeout_s,
        quiet_s=quiet_s,
        on_wait=on_wait,
        clock=clock,
        sleep=sleep,
    )
    rows = compare_rows(warehouse, expected, sending.sums())
    rules = compare_alerts(warehouse, sources.rules, run_id, manifest)
    rejects = _rejects(sources, manifest, expected.rejects())
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
        row_latency=row_latency(warehouse, run_id),
        alert_latency=alert_latency(warehouse, run_id),
        seconds=clock() - started,
        order_dependent=frozenset(
            rule.name for rule in sources.rules if rule.ordered and not sources.rules_in_order
        ),
    )
    return _judged(proof)


class _Sending:
    """What is known of the `send` that made the run; asked again while it is at work."""

    def __init__(self, store: RunStore, manifest: Manifest, expected: Expected) -> None:
        self._store = store
        self._manifest = manifest
        self._expected = expected
        self._sums: dict[str, Checksum] | None = None
        self.result: RunResult | None = None
        self.marker: Marker | None = None
        self.at_work = False
        self.refresh()

    def refresh(self) -> None:
        """Looks whether the run has finished by now."""
        if self.result is None:
            self.result = self._store.result(self._manifest.run_id)
        if self.result is None:
            stored = self._store.marker(self._manifest.run_id)
            self.marker = stored.marker if stored else None
            self.at_work = stored is not None and at_work(stored)
        else:
            self.at_work = False

    @property
    def acknowledged(self) -> int:
        """Records acknowledged as far as is known."""
        if self.result is not None:
            return self.result.count
        return self.marker.next_index if self.marker else 0

    @property
    def marks(self) -> dict[str, str]:
        """The last acknowledged sequence number of every shard; empty while the run is unfinished."""
        return self.result.marks if self.result else {}

    def count(self) -> int:
        """Rows that the run asks for; of an input, its records."""
        if self.result is not None and self._manifest.source == "input":
            return self.result.count
        return self._expected.count()

    def sums(self) -> dict[str, Checksum]:
        """The expected checksums; computed once the input is complete."""
        if self._sums is None or (self.result is None and self._manifest.source == "input"):
            self._sums = self._expected.checksums()
        return self._sums


class _Watch:
    """Looks at the warehouse for `settle`."""

    def __init__(self, sources: Sources, manifest: Manifest, expected: Expected, sending: _Sending) -> None:
        self._sources = sources
        self._manifest = manifest
        self._sending = sending
        self._expected = expected
        self._expected_alerts: tuple[int, dict[str, dict[str, str]]] = (-1, {})
        self._last_alerts: Mapping[str, int] = {}
        self._last_rows = -1
        self._compared = (-1, False)
        self._bad = expected.rejects()
        self._planted = (-1, 0)
        self._since = manifest.created_at.astimezone(UTC).replace(tzinfo=None) - _CLOCK_TOLERANCE

    def look(self) -> Arrived:
        """Counts what is there."""
        warehouse, run_id = self._sources.warehouse, self._manifest.run_id
        self._sending.refresh()
        result = warehouse.query(
            "SELECT COUNT(*) FROM transactions WHERE run_id = :run_id", {"run_id": run_id}
        )
        rows = int(result.rows[0][0])
        rejects = sum(count_rejects(warehouse, self._since).values())
        if self._bad and self._planted[0] != rejects:
            stored = _stored_planted(self._sources, self._since, self._bad)
            self._planted = (rejects, len({sha256 for sha256, _ in stored}))
        short = rows != self._sending.count() or self._planted[1] < len(self._bad)
        passed = short and self._passed()
        return Arrived(
            rows, rejects, stored_alert_counts(warehouse, run_id), passed, max(self._planted[1], 0)
        )

    def awaited(self, arrived: Arrived) -> Awaited:
        """What should be there, given the rows that are."""
        count = self._sending.count()
        if self._manifest.source == "input" and arrived.rows < count and self._all_there(arrived.rows):
            count = arrived.rows
        unfinished = self._sending.result is None and not self._sending.at_work
        if not (arrived.rows >= count or arrived.passed or unfinished):
            return Awaited(count, {}, planted=len(self._bad))
        if self._expected_alerts[0] != arrived.rows:
            alerts = {
                rule.name: expected_alerts(self._sources.warehouse, rule, self._manifest.run_id)
                for rule in self._sources.rules
            }
            self._expected_alerts = (arrived.rows, alerts)
        counts = {rule: len(alerts) for rule, alerts in self._expected_alerts[1].items()}
        return Awaited(count, counts, self._alerts_passed(arrived, counts), len(self._bad))

    def _alerts_passed(self, arrived: Arrived, counts: dict[str, int]) -> bool:
        """Whether the missing alerts cannot come any more: rules see a shard's transactions in its order."""
        stands_still, self._last_alerts = arrived.alerts == self._last_alerts, arrived.alerts
        short = any(arrived.alerts.get(rule, 0) < count for rule, count in counts.items())
        if not short or not stands_still or not self._sources.rules_in_order:
            return False
        expected = self._expected_alerts[1].values()
        return alerts_passed_by(
            self._sources.warehouse,
            self._manifest.run_id,
            {id_: t for each in expected for id_, t in each.items()},
        )

    def _all_there(self, rows: int) -> bool:
        """Whether an input asks for no more rows: it may repeat itself, or have been sent before.

        That is a question for the whole proof, so it is asked once, when the number of rows stands still.
        """
        stands_still, self._last_rows = rows == self._last_rows, rows
        if stands_still and self._compared[0] != rows and self._sending.result is not None:
            proof = compare_rows(self._sources.warehouse, self._expected, self._sending.sums())
            self._compared = (rows, proof.equal)
        return self._compared == (rows, True)

    def _passed(self) -> bool:
        """Whether the loader has dealt with the last record that each shard took from this run."""
        marks = self._sending.marks
        if not marks or not self._sources.in_order:
            return False
        result = self._sources.warehouse.query(
            "SELECT shard_id, MAX(LPAD(sequence_number, 60, '0')) FROM ("
            "SELECT shard_id, sequence_number FROM transactions WHERE run_id = :run_id UNION ALL "
            "SELECT shard_id, sequence_number FROM rejected_transactions "
            "WHERE stream = :stream AND arrived_at >= :since"
            ") AS records GROUP BY shard_id",
            {
                "run_id": self._manifest.run_id,
                "stream": self._sources.names.stream,
                "since": self._since,
            },
        )
        reached = {str(shard_id): int(sequence) for shard_id, sequence in result.rows}
        return all(reached.get(shard_id, -1) >= int(sequence) for shard_id, sequence in marks.items())


def _rejects(sources: Sources, manifest: Manifest, bad: dict[str, str]) -> RejectProof:
    since = manifest.created_at.astimezone(UTC).replace(tzinfo=None) - _CLOCK_TOLERANCE
    by_reason = count_rejects(sources.warehouse, since)
    run = manifest.run_id.encode()
    planted = _stored_planted(sources, since, bad) if bad else {}
    right = {key: copies for key, copies in planted.items() if bad[key[0]] == key[1]}
    looked_at = newest_rejects(
        sources.warehouse,
        limit=_REJECTS_LOOKED_AT + sum(right.values()),
        since=since,
        at_most_bytes=_OWN_EVENT_BYTES,
    )
    own = [
        reject
        for reject in looked_at
        if run in reject.payload and (reject.payload_sha256, reject.reason) not in right
    ]
    explained = _stored_already(sources.warehouse, own)
    others = sum(by_reason.values()) - len(own) - sum(right.values())
    return RejectProof(tuple(own), explained, others, by_reason, len(bad), len(bad) - len(right))


def _stored_planted(sources: Sources, since: datetime, bad: dict[str, str]) -> dict[tuple[str, str], int]:
    """Rejects whose payload is one of `bad`: (SHA-256, reason) → copies."""
    result = sources.warehouse.query(
        "SELECT payload_sha256, reason, COUNT(*) FROM rejected_transactions "
        "WHERE stream = :stream AND arrived_at >= :since GROUP BY payload_sha256, reason",
        {"stream": sources.names.stream, "since": since},
    )
    return {(str(sha), str(reason)): int(n) for sha, reason, n in result.rows if str(sha) in bad}


def _stored_already(warehouse: Warehouse, rejects: Sequence[Reject]) -> int:
    """How many rejects say what a stored row says: an input that was sent before, under another run_id."""
    contents = [content_of_transaction(parse(each.payload)) for each in rejects if each.reason == "id_reused"]
    stored = stored_under_any_run(warehouse, [each.transaction_id for each in contents])
    return sum(digest(each) in stored.get(each.transaction_id, ()) for each in contents)


def _dead_letters(sources: Sources, manifest: Manifest) -> DeadLetterProof:
    s3: Any = sources.target.client("s3")
    run = manifest.run_id.encode()
    since = manifest.created_at.astimezone(UTC) - _CLOCK_TOLERANCE
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


def _judged(proof: Proof) -> Proof:
    return replace(proof, differences=tuple(_differences(proof)))


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
            (rule.duplicate, "duplicate"),
        ):
            if finding:
                plural = "alert" if finding.count == 1 else "alerts"
                doubt = " (it depends on an order that parallelism above 1, or the partition key, may change)"
                unsure = rule.rule in proof.order_dependent
                found.append(f"{finding.count:,} {what} {rule.rule} {plural}{doubt if unsure else ''}")
    unexplained = len(proof.rejects.own) - proof.rejects.explained
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
