"""What is changed by hand, whatever it is, is what `verify` names: exactly those ids, each in its class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.proof.conftest import Place
from txnpipe.proof.rows import Finding
from txnpipe.proof.verify import Proof
from txnpipe.traffic.manifest import Manifest

COUNT = 3000

CHANGES = {
    "amount": "amount = amount + 0.01",
    "transaction_type": "transaction_type = 'fee'",
    "timestamp": '"timestamp" = "timestamp" + INTERVAL \'1 microsecond\'',
    "account_id": "account_id = account_id || 'x'",
    "merchant": "merchant = NULL",
    "country": "country = ''",
    "currency": "currency = 'XXX'",
    "run_id": "run_id = 'another'",
}
ALERT_CHANGES = {
    "amount": "amount = amount + 0.01",
    "account_id": "account_id = NULL",
    "event_time": "event_time = event_time + INTERVAL '1 microsecond'",
    "rule": "rule = 'another'",
    "transaction_id": "transaction_id = 'another'",
    "run_id": "run_id = 'another'",
}


@dataclass
class Damage:
    """What was done, and does it. All ids are of rows, or of alerts, that nothing else was done to."""

    deleted: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    duplicated: list[str] = field(default_factory=list)
    alerts_deleted: list[str] = field(default_factory=list)
    alerts_changed: dict[str, str] = field(default_factory=dict)
    alerts_duplicated: list[str] = field(default_factory=list)

    def do(self, place: Place) -> None:
        for each in self.deleted:
            place.change("DELETE FROM transactions WHERE transaction_id = %s", [each])
        for each, column in self.changed.items():
            place.change(f"UPDATE transactions SET {CHANGES[column]} WHERE transaction_id = %s", [each])
        for each in self.duplicated:
            place.change(
                "INSERT INTO transactions SELECT * FROM transactions WHERE transaction_id = %s", [each]
            )
        for each in self.alerts_deleted:
            place.change("DELETE FROM alerts WHERE alert_id = %s", [each])
        for each, column in self.alerts_changed.items():
            place.change(f"UPDATE alerts SET {ALERT_CHANGES[column]} WHERE alert_id = %s", [each])
        for each in self.alerts_duplicated:
            place.change("INSERT INTO alerts SELECT * FROM alerts WHERE alert_id = %s", [each])

    def check(self, proof: Proof) -> None:
        rows = proof.rows
        assert named(rows.missing) == sorted(self.deleted)
        assert named(rows.changed) == sorted(self.changed)
        assert rows.fields == {each: (column,) for each, column in self.changed.items()}
        assert named(rows.duplicate) == sorted(self.duplicated)
        assert named(rows.extra) == []
        assert named(*(rule.missing for rule in proof.rules)) == sorted(self.alerts_deleted)
        assert named(*(rule.changed for rule in proof.rules)) == sorted(self.alerts_changed)
        fields = {each: columns for rule in proof.rules for each, columns in rule.fields.items()}
        assert fields == {each: (column,) for each, column in self.alerts_changed.items()}
        assert named(*(rule.duplicate for rule in proof.rules)) == sorted(self.alerts_duplicated)
        assert named(*(rule.extra for rule in proof.rules)) == []


def named(*findings: Finding) -> list[str]:
    """The ids of findings that name all that they count."""
    ids = sorted(each for finding in findings for each in finding.ids)
    assert len(ids) == sum(finding.count for finding in findings)
    return ids


def ids(manifest: Manifest, *indexes: int) -> list[str]:
    return [f"{manifest.run_id}-{index:09d}" for index in indexes]


def alerted(place: Place) -> list[tuple[str, str]]:
    """Ids of the alerts and of their transactions."""
    return place.rows("SELECT alert_id, transaction_id FROM alerts ORDER BY alert_id")


def test_a_bad_day_is_named_exactly(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = place.send(COUNT)
    alerts = [alert_id for alert_id, _ in alerted(place)]
    columns = ("amount", "merchant", "timestamp", "account_id", "run_id")
    damage = Damage(
        deleted=ids(manifest, 0, 999, 1000, 1500, 2000, 2001, 2999),
        changed=dict(zip(ids(manifest, 5, 1005, 1006, 2005, 2998), columns, strict=True)),
        duplicated=ids(manifest, 7, 1007, 1008),
        alerts_deleted=[alerts[0], alerts[-1]],
    )
    damage.do(place)
    proof = place.verify(manifest)
    damage.check(proof)
    assert len(proof.differences) == 5


def test_what_nobody_sent_is_extra(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = place.send(COUNT)
    extra = [f"{manifest.run_id}-000009999", "somebody-elses"]
    for transaction_id in extra:
        place.change(
            "INSERT INTO transactions SELECT %s, 1, 'purchase', arrived_at, account_id, NULL, NULL, NULL, "
            "run_id, arrived_at, stored_at, shard_id, sequence_number FROM transactions "
            "WHERE transaction_id = %s",
            [transaction_id, *ids(manifest, 1007)],
        )
    place.change(
        "INSERT INTO alerts SELECT 'velocity:invented', 'velocity', 'invented', account_id, amount, "
        "event_time, detected_at, run_id, detail, arrived_at, stored_at, shard_id, sequence_number "
        "FROM alerts LIMIT 1"
    )
    proof = place.verify(manifest)
    assert named(proof.rows.extra) == extra
    assert named(*(rule.extra for rule in proof.rules)) == ["velocity:invented"]
    assert proof.differences == ("2 extra rows", "1 extra velocity alert")


@pytest.mark.parametrize("column", list(ALERT_CHANGES))
def test_an_alert_that_says_something_else_is_changed(place_both_ways: Place, column: str) -> None:
    place = place_both_ways
    manifest = place.send(COUNT)
    damage = Damage(alerts_changed={alerted(place)[3][0]: column})
    damage.do(place)
    proof = place.verify(manifest)
    damage.check(proof)
    rule = next(rule.rule for rule in proof.rules if rule.changed)
    assert proof.differences == (f"1 changed {rule} alert",)


@pytest.mark.parametrize("rule", ["large_amount", "velocity", "amount_spike"])
@pytest.mark.parametrize("do", ["deleted", "duplicated", *CHANGES])
def test_a_row_that_raised_an_alert_is_named_and_its_alert_is_not(place: Place, rule: str, do: str) -> None:
    manifest = place.send(COUNT)
    subject = next(subject for alert_id, subject in alerted(place) if alert_id.startswith(rule))
    damage = Damage()
    if do in CHANGES:
        damage.changed[subject] = do
    else:
        getattr(damage, do).append(subject)
    damage.do(place)
    damage.check(place.verify(manifest))


def test_an_alert_and_its_row_that_were_changed_alike_are_both_named(place: Place) -> None:
    manifest = place.send(COUNT)
    alert_id, subject = alerted(place)[5]
    damage = Damage(changed={subject: "amount"}, alerts_changed={alert_id: "amount"})
    damage.do(place)
    damage.check(place.verify(manifest))


def test_rows_of_an_input_are_named_exactly_too(place: Place, sent_input: Callable[..., Manifest]) -> None:
    manifest = sent_input(place, 400)
    assert place.verify(manifest).equal
    damage = Damage(
        deleted=["in-0", "in-17", "in-18", "in-399"],
        changed={"in-5": "amount", "in-123": "account_id", "in-200": "timestamp"},
        duplicated=["in-40", "in-41"],
        alerts_deleted=[alerted(place)[2][0]],
        alerts_changed={alerted(place)[4][0]: "amount"},
    )
    damage.do(place)
    damage.check(place.verify(manifest))


def test_where_too_many_rows_differ_the_rules_are_asked_about_what_is_stored(place: Place) -> None:
    manifest = place.send(COUNT)
    place.change("DELETE FROM transactions WHERE MOD(CAST(sequence_number AS BIGINT), 5) = 0")
    proof = place.verify(manifest)
    assert proof.rows.missing.count == COUNT // 5
    assert sum(rule.extra.count for rule in proof.rules) > 0


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_tampered_with_is_named_and_nothing_else(place: Place, data: st.DataObject) -> None:
    place.change("TRUNCATE transactions, alerts, rejected_transactions")
    place.sources.target.client("s3").objects.clear()
    manifest = place.send(1500, seed=data.draw(st.integers(1, 5)))
    known = alerted(place)
    # Half of the rows to choose from are those around alerts: where one change has consequences.
    near = [int(subject[-9:]) + step for _, subject in known for step in (-6, -3, 0)]
    index = st.integers(0, 1499) | st.sampled_from([each for each in near if 0 <= each < 1500])
    rows = data.draw(st.lists(index, unique=True, max_size=20).map(lambda each: ids(manifest, *each)))
    alerts = data.draw(
        st.lists(st.sampled_from([alert_id for alert_id, _ in known]), unique=True, max_size=6)
    )
    damage = Damage()
    for each in rows:
        do = data.draw(st.sampled_from(["delete", "duplicate", *CHANGES]))
        if do == "delete":
            damage.deleted.append(each)
        elif do == "duplicate":
            damage.duplicated.append(each)
        else:
            damage.changed[each] = do
    for each in alerts:
        do = data.draw(st.sampled_from(["delete", "duplicate", *ALERT_CHANGES]))
        if do == "delete":
            damage.alerts_deleted.append(each)
        elif do == "duplicate":
            damage.alerts_duplicated.append(each)
        else:
            damage.alerts_changed[each] = do
    damage.do(place)
    damage.check(place.verify(manifest))
