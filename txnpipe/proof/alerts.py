"""Compares the stored alerts with the ones that the rules ask for.

What the rules ask for comes from sql/verify: an independent query over the stored transactions, so that
chance hits and real input are covered, too. The generator's labels say in addition how good a rule is at
finding what was planted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from txnpipe.proof.rows import Finding
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest
from txnpipe.warehouse.interface import Warehouse

_LOOKED_AT = 500


class RuleCheck(Protocol):
    """What is needed of a rule: its name, the query for its alerts in the run :run_id, and whether it looks
    at an account's transactions in order."""

    @property
    def name(self) -> str: ...

    @property
    def verify_sql(self) -> str: ...

    @property
    def ordered(self) -> bool: ...


@dataclass(frozen=True)
class Detection:
    """How the stored alerts relate to what was planted: stories planted, found, and alerts on none of them.

    A story that the rule's parameters do not call an anomaly counts as not found; an alert outside any story
    may be right all the same: synthetic traffic has chance hits.
    """

    planted: int
    found: int
    alerts: int
    on_planted: int

    @property
    def recall(self) -> float | None:
        """Share of the planted anomalies that raised an alert; None where none was planted."""
        return self.found / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        """Share of the alerts that fall on a planted anomaly; None without alerts."""
        return self.on_planted / self.alerts if self.alerts else None


@dataclass
class RuleProof:
    """One rule's alerts. Ids are alert ids."""

    rule: str
    expected: int
    stored: int
    missing: Finding = field(default_factory=Finding)
    extra: Finding = field(default_factory=Finding)
    duplicate: Finding = field(default_factory=Finding)
    detection: Detection | None = None

    @property
    def equal(self) -> bool:
        """Whether exactly the expected alerts are stored, each once."""
        return not (self.missing or self.extra or self.duplicate)


def stored_alert_counts(warehouse: Warehouse, run_id: str) -> dict[str, int]:
    """Stored alerts of a run, by rule."""
    result = warehouse.query(
        "SELECT rule, COUNT(*) FROM alerts WHERE run_id = :run_id GROUP BY rule", {"run_id": run_id}
    )
    return {str(rule): int(count) for rule, count in result.rows}


def expected_alerts(warehouse: Warehouse, rule: RuleCheck, run_id: str) -> dict[str, str]:
    """The alerts that a rule must have raised in a run: alert_id → transaction_id."""
    result = warehouse.query(rule.verify_sql, {"run_id": run_id})
    return {str(alert_id): str(transaction_id) for alert_id, transaction_id in result.rows}


def alerts_passed_by(warehouse: Warehouse, run_id: str, expected: Mapping[str, str]) -> bool:
    """Whether, for every missing alert, a later transaction of the same shard has raised one.

    expected: alert_id → transaction_id. False also where too many are missing to look at each.
    """
    stored = warehouse.query("SELECT alert_id FROM alerts WHERE run_id = :run_id", {"run_id": run_id})
    present = {str(alert_id) for (alert_id,) in stored.rows}
    missing = tuple({subject for alert_id, subject in expected.items() if alert_id not in present})
    if not missing or len(missing) > _LOOKED_AT:
        return False
    newest = warehouse.query(
        "SELECT t.shard_id, MAX(LPAD(t.sequence_number, 60, '0')) FROM alerts AS a "
        "JOIN transactions AS t ON t.transaction_id = a.transaction_id "
        "WHERE a.run_id = :run_id AND t.run_id = :run_id GROUP BY t.shard_id",
        {"run_id": run_id},
    )
    reached = {str(shard_id): int(sequence) for shard_id, sequence in newest.rows}
    places = warehouse.query(
        "SELECT shard_id, sequence_number FROM transactions WHERE transaction_id IN :ids", {"ids": missing}
    )
    return all(int(sequence) < reached.get(str(shard_id), -1) for shard_id, sequence in places.rows)


def compare_alerts(
    warehouse: Warehouse, rules: Sequence[RuleCheck], run_id: str, manifest: Manifest | None = None
) -> list[RuleProof]:
    """Proves the alerts of a run, rule by rule; stored alerts of rules that do not run are extra."""
    stored = warehouse.query(
        "SELECT rule, alert_id, transaction_id FROM alerts WHERE run_id = :run_id", {"run_id": run_id}
    )
    by_rule: dict[str, Counter[str]] = {}
    subjects: dict[str, set[str]] = {}
    for rule, alert_id, transaction_id in stored.rows:
        by_rule.setdefault(str(rule), Counter())[str(alert_id)] += 1
        subjects.setdefault(str(rule), set()).add(str(transaction_id))
    planted = planted_stories(manifest) if manifest and manifest.source == "generated" else None
    proofs = []
    for check in rules:
        expected = expected_alerts(warehouse, check, run_id)
        proof = _compare(check.name, expected, by_rule.pop(check.name, Counter()))
        if planted is not None and manifest is not None:
            proof.detection = _detection(
                manifest, planted, check.name, subjects.get(check.name, set()), proof.stored
            )
        proofs.append(proof)
    proofs += [_compare(rule, {}, counts) for rule, counts in sorted(by_rule.items())]
    return proofs


def planted_stories(manifest: Manifest) -> dict[str, set[int]]:
    """The anomalies that a synthetic run planted, by rule, as the numbers of their stories.

    A story that the end of the run cuts off before its decisive event was not planted.
    """
    generator = Generator(manifest)
    stories: dict[str, set[int]] = {}
    for index in range(manifest.count or 0):
        label = generator.label(index)
        if label is not None and label.decisive:
            stories.setdefault(label.rule, set()).add(label.story)
    return stories


def _compare(rule: str, expected: dict[str, str], stored: Counter[str]) -> RuleProof:
    proof = RuleProof(rule, len(expected), stored.total())
    for alert_id in sorted(expected.keys() - stored.keys()):
        proof.missing.add(alert_id)
    for alert_id, count in sorted(stored.items()):
        if alert_id not in expected:
            proof.extra.add(alert_id)
        if count > 1:
            proof.duplicate.add(alert_id, count - 1)
    return proof


def _detection(
    manifest: Manifest, planted: dict[str, set[int]], rule: str, subjects: set[str], alerts: int
) -> Detection:
    generator = Generator(manifest)
    stories = planted.get(rule, set())
    found: set[int] = set()
    on_planted = 0
    for transaction_id in subjects:
        digits = transaction_id.rpartition("-")[2]
        label = generator.label(int(digits)) if digits.isascii() and digits.isdigit() else None
        if label is not None and label.rule == rule:
            on_planted += 1
            found.add(label.story)
    return Detection(len(stories), len(found & stories), alerts, on_planted)
