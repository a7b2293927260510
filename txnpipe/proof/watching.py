"""What `verify` waits for: it looks at the run's `send`, at its rows, alerts and rejects, again and again."""

from __future__ import annotations

from collections.abc import Mapping

from txnpipe.operate.rejects import count_rejects
from txnpipe.proof.alerts import alerts_passed_by, expected_alerts, stored_alert_counts
from txnpipe.proof.expected import Expected
from txnpipe.proof.rejected import own_rejects, since_run_began
from txnpipe.proof.rows import compare_rows
from txnpipe.proof.settling import Arrived, Awaited
from txnpipe.proof.sources import Sources
from txnpipe.traffic.content import Checksum
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import Marker, RunResult, RunStore, at_work


class Sending:
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


class Watch:
    """Looks at the warehouse for `settle`."""

    def __init__(self, sources: Sources, manifest: Manifest, expected: Expected, sending: Sending) -> None:
        self._sources = sources
        self._manifest = manifest
        self._sending = sending
        self._expected = expected
        self._expected_alerts: tuple[int, dict[str, dict[str, str]]] = (-1, {})
        self._last_alerts: Mapping[str, int] = {}
        self._last_rows = -1
        self._compared = (-1, False)
        self._planted = (-1, 0)
        self._looked = (-1, False)
        self._since = since_run_began(manifest)

    def look(self) -> Arrived:
        """Counts what is there."""
        warehouse, run_id = self._sources.warehouse, self._manifest.run_id
        self._sending.refresh()
        result = warehouse.query(
            "SELECT COUNT(*) FROM transactions WHERE run_id = :run_id", {"run_id": run_id}
        )
        rows = int(result.rows[0][0])
        rejects = sum(count_rejects(warehouse, self._since).values())
        bad = self._expected.rejects()
        if bad and self._planted[0] != rejects:
            stored = own_rejects(self._sources, self._manifest)
            self._planted = (rejects, len({sha256 for sha256, _ in stored if sha256 in bad}))
        short = rows < self._sending.count() or self._planted[1] < len(bad)
        passed = short and self._passed_at(rows)
        return Arrived(
            rows, rejects, stored_alert_counts(warehouse, run_id), passed, max(self._planted[1], 0)
        )

    def awaited(self, arrived: Arrived) -> Awaited:
        """What should be there, given the rows that are."""
        count, planted = self._sending.count(), len(self._expected.rejects())
        if self._manifest.source == "input" and arrived.rows < count and self._all_there(arrived.rows):
            count = arrived.rows
        unfinished = self._sending.result is None and not self._sending.at_work
        if not (arrived.rows >= count or arrived.passed or unfinished):
            return Awaited(count, {}, planted=planted)
        counts = {rule: len(alerts) for rule, alerts in self.asked(arrived.rows).items()}
        return Awaited(count, counts, self._alerts_passed(arrived, counts), planted)

    def asked(self, rows: int) -> Mapping[str, Mapping[str, str]]:
        """The alerts that each rule asks for, by rule: alert_id → transaction_id.

        rows: how many are stored; the rules are asked again where that has changed.
        """
        if self._expected_alerts[0] != rows:
            alerts = {
                rule.name: expected_alerts(self._sources.warehouse, rule, self._manifest.run_id)
                for rule in self._sources.rules
            }
            self._expected_alerts = (rows, alerts)
        return self._expected_alerts[1]

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

    def _passed_at(self, rows: int) -> bool:
        """`_passed`, not asked while rows come: it reads all of them."""
        first, moving = self._looked[0] < 0, rows != self._looked[0]
        if first or not moving:
            self._looked = (rows, self._passed())
        else:
            self._looked = (rows, False)
        return self._looked[1]

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
