"""What sql/verify says a rule must have found, against the same rule in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.proof.conftest import ARRIVED, Place
from txnpipe.proof.alerts import expected_alerts

RUN, BEFORE = "20261124T053101-4f9a1c", "20261124T040000-000000"


@dataclass(frozen=True)
class Sent:
    """A transaction; `earlier`: of a run before the one that is proven."""

    account: str | None
    cents: int
    seconds: int
    earlier: bool


sent = st.builds(
    Sent,
    st.sampled_from(["a", "b", None]),
    st.sampled_from([-500, 0, 1, 100, 5000, 10_000, 10_001, 50_000, 1_000_000, 1_000_001]),
    st.integers(0, 400),
    st.just(False),
)


def spikes(rows: Sequence[tuple[str, Sent]]) -> Iterator[str]:
    histories: dict[str, list[Decimal]] = defaultdict(list)
    for name, each in rows:
        if each.account is None:
            continue
        history, amount = histories[each.account], Decimal(each.cents) / 100
        before = history[-20:]
        total = sum(before)
        if len(before) >= 5 and amount > 100 and total > 0 and amount * len(before) > 5 * total:
            yield name
        history.append(amount)


def bursts(rows: Sequence[tuple[str, Sent]]) -> Iterator[str]:
    times: dict[str, list[int]] = defaultdict(list)
    hot: set[str] = set()
    for name, each in rows:
        if each.account is None:
            continue
        history = times[each.account]
        history.append(each.seconds)
        close = len(history) >= 5 and abs(history[-1] - history[-5]) <= 60
        if close and each.account not in hot:
            yield name
        (hot.add if close else hot.discard)(each.account)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(sent, max_size=10), st.lists(sent, min_size=1, max_size=60), st.integers(1, 10**6))
def test_they_agree(place: Place, before: list[Sent], run: list[Sent], first: int) -> None:
    place.change("TRUNCATE transactions")
    rows = [(f"t-{n}", each, n < len(before)) for n, each in enumerate([*before, *run])]
    for n, (name, each, earlier) in enumerate(rows):
        place.change(
            "INSERT INTO transactions "
            "VALUES (%s, %s, 'purchase', %s, %s, NULL, NULL, NULL, %s, %s, %s, 's', %s)",
            [
                name,
                Decimal(each.cents) / 100,
                datetime(2026, 1, 1) + timedelta(seconds=each.seconds),
                each.account,
                BEFORE if earlier else RUN,
                ARRIVED,
                ARRIVED,
                str(first + n),
            ],
        )
    of_run = {name for name, _, earlier in rows if not earlier}
    in_order = [(name, each) for name, each, _ in rows]
    wanted = {
        "amount_spike": set(spikes(in_order)) & of_run,
        "large_amount": {name for name, each in in_order if each.cents > 1_000_000} & of_run,
        "velocity": set(bursts(in_order)) & of_run,
    }
    for rule in place.sources.rules:
        found = expected_alerts(place.warehouse, rule, RUN)
        assert set(found.values()) == wanted[rule.name]
        assert all(alert_id == f"{rule.name}:{subject}" for alert_id, subject in found.items())
