"""Compares the stored alerts with the ones that the rules ask for.

What the rules ask for comes from sql/verify: an independent query over the stored transactions, so that
chance hits and real input are covered, too. Where rows differ the rules are asked about the rows as they
were sent (see `restored`): a row that was lost or changed is named once, as a row, and not again by the
alerts that would follow from it. The generator's labels say in addition how good a rule is at finding what
was planted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from txnpipe.proof.expected import Expected
from txnpipe.proof.rows import Finding, RowProof, portions
from txnpipe.traffic.content import Content, micros_of
from txnpipe.warehouse.interface import Warehouse

_LOOKED_AT = 500
_IDS_PER_QUERY = 500


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


def percent(share: float | None) -> str:
    """A share with one decimal, never rounded up to a whole that it is not."""
    if share is None:
        return "–"
    return "100%" if share == 1 else f"{min(share * 100, 99.9):.1f}%"


@dataclass
class RuleProof:
    """One rule's alerts. Ids are alert ids. fields: of the changed ones, the columns that differ."""

    rule: str
    expected: int
    stored: int
    missing: Finding = field(default_factory=Finding)
    extra: Finding = field(default_factory=Finding)
    duplicate: Finding = field(default_factory=Finding)
    changed: Finding = field(default_factory=Finding)
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    detection: Detection | None = None

    @property
    def equal(self) -> bool:
        """Whether exactly the expected alerts are stored, each once, and about its transaction."""
        return not (self.missing or self.extra or self.duplicate or self.changed)


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
    warehouse: Warehouse, expected: Expected, asked: Mapping[str, Mapping[str, str]], rows: RowProof
) -> list[RuleProof]:
    """Proves the alerts of a run, rule by rule; stored alerts of rules that do not run are extra.

    asked: what each rule asks for, alert_id → transaction_id. rows: the proof of the run's rows.
    """
    run_id = expected.run_id
    stored = warehouse.query("SELECT rule, alert_id FROM alerts WHERE run_id = :run_id", {"run_id": run_id})
    rule_of = {alert_id: rule for rule, alerts in asked.items() for alert_id in alerts}
    by_rule: dict[str, Counter[str]] = {}
    for rule, alert_id in stored.rows:
        by_rule.setdefault(rule_of.get(str(alert_id), str(rule)), Counter())[str(alert_id)] += 1
    planted = expected.planted()
    proofs = []
    for name, alerts in asked.items():
        found = by_rule.pop(name, Counter())
        proof = _compare(name, alerts, found)
        if planted is not None:
            proof.detection = _detection(expected, planted.get(name, 0), name, found)
        proofs.append(proof)
    others = [_compare(rule, {}, counts) for rule, counts in sorted(by_rule.items())]
    by_name = {proof.rule: proof for proof in proofs}
    for alert_id, fields in _changed(warehouse, expected, rows):
        if alert_id in rule_of:
            _book_changed(by_name[rule_of[alert_id]], alert_id, fields)
    for proof in proofs:
        _find_renamed(warehouse, proof)
    return proofs + others


def _compare(rule: str, expected: Mapping[str, str], stored: Counter[str]) -> RuleProof:
    proof = RuleProof(rule, len(expected), stored.total())
    for alert_id in sorted(expected.keys() - stored.keys()):
        proof.missing.add(alert_id)
    for alert_id, count in sorted(stored.items()):
        if alert_id not in expected:
            proof.extra.add(alert_id)
        if count > 1:
            proof.duplicate.add(alert_id, count - 1)
    return proof


def _book_changed(proof: RuleProof, alert_id: str, fields: tuple[str, ...]) -> None:
    if alert_id not in proof.fields:
        proof.changed.add(alert_id)
    proof.fields[alert_id] = fields


_SUSPECTS = (
    "SELECT a.alert_id, a.rule, a.transaction_id, a.account_id, a.amount, a.event_time FROM alerts AS a "
    "LEFT JOIN transactions AS t ON t.transaction_id = a.transaction_id AND t.run_id = :run_id "
    "WHERE a.run_id = :run_id"
)
_DIFFERS = (
    " AND (t.transaction_id IS NULL OR a.alert_id <> a.rule || ':' || a.transaction_id "
    "OR COALESCE(a.account_id, '') <> COALESCE(t.account_id, '') "
    "OR a.amount IS NULL OR a.amount <> t.amount "
    'OR a.event_time IS NULL OR a.event_time <> t."timestamp")'
)


def _changed(
    warehouse: Warehouse, expected: Expected, rows: RowProof
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Stored alerts that say something else than the transaction they name, as it was sent: id and columns.

    The warehouse compares with its own row; what that row should be is asked only where the two differ, and
    where the row is known to be changed.
    """
    asked = {"run_id": expected.run_id}
    suspects = set(warehouse.query(_SUSPECTS + _DIFFERS, asked).rows)
    for some in portions(rows.changed.ids, _IDS_PER_QUERY):
        suspects.update(
            warehouse.query(f"{_SUSPECTS} AND a.transaction_id IN :ids", asked | {"ids": tuple(some)}).rows
        )
    sent = expected.find({_subject(str(suspect[0])) for suspect in suspects})
    for suspect in sorted(suspects, key=lambda each: str(each[0])):
        content = sent.get(_subject(str(suspect[0])))
        fields = _differing(suspect, content) if content else ()
        if fields:
            yield str(suspect[0]), fields


def _subject(alert_id: str) -> str:
    return alert_id.partition(":")[2]


def _differing(alert: Sequence[Any], sent: Content) -> tuple[str, ...]:
    alert_id, rule, transaction_id, account_id, amount, event_time = alert
    pairs = (
        ("rule", rule, str(alert_id).partition(":")[0]),
        ("transaction_id", transaction_id, sent.transaction_id),
        ("account_id", account_id or None, sent.account_id or None),
        ("amount", None if amount is None else int(amount * 100), sent.cents),
        ("event_time", None if event_time is None else micros_of(event_time), sent.micros),
    )
    return tuple(name for name, is_, should in pairs if is_ != should)


def _find_renamed(warehouse: Warehouse, proof: RuleProof) -> None:
    """An alert whose run_id was changed is not missing but changed."""
    renamed: set[str] = set()
    for some in portions(proof.missing.ids, _IDS_PER_QUERY):
        result = warehouse.query("SELECT alert_id FROM alerts WHERE alert_id IN :ids", {"ids": tuple(some)})
        renamed.update(str(alert_id) for (alert_id,) in result.rows)
    for alert_id in sorted(renamed):
        _book_changed(proof, alert_id, ("run_id",))
    proof.missing.ids = [each for each in proof.missing.ids if each not in renamed]
    proof.missing.count -= len(renamed)


def _detection(expected: Expected, planted: int, rule: str, stored: Collection[str]) -> Detection:
    found: set[int] = set()
    on_planted = 0
    for alert_id in stored:
        story = expected.story(_subject(alert_id))
        if story is not None and story.rule == rule:
            on_planted += 1
            if story.whole:
                found.add(story.number)
    return Detection(planted, len(found), len(stored), on_planted)
