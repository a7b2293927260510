"""When waiting for a run ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

from txnpipe.proof.settling import Arrived, Awaited, Settled, patience_s, settle


class Time:
    """A clock that only sleeping moves."""

    now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(*looks: Arrived, target: Awaited, timeout_s: float = 100.0, quiet_s: float = 10.0) -> Settled:
    time, seen = Time(), chain(looks, repeat(looks[-1]))
    look: Callable[[], Arrived] = lambda: next(seen)  # noqa: E731
    return settle(
        look, lambda _: target, timeout_s=timeout_s, quiet_s=quiet_s, clock=time.clock, sleep=time.sleep
    )


def at(rows: int, *, passed: bool = False, rejects: int = 0, **alerts: int) -> Arrived:
    return Arrived(rows, rejects, alerts, passed)


def test_all_rows_and_alerts_end_it_at_once() -> None:
    settled = wait(at(5, large_amount=1), target=Awaited(5, {"large_amount": 1}))
    assert (settled.reason, settled.waited_s) == ("complete", 0.0)


def test_rows_that_come_later_are_waited_for() -> None:
    assert wait(at(1), at(3), at(5), target=Awaited(5, {})).reason == "complete"


def test_alerts_that_come_later_are_waited_for() -> None:
    settled = wait(at(5), at(5, velocity=1), at(5, velocity=2), target=Awaited(5, {"velocity": 2}))
    assert settled.reason == "complete"


def test_more_rows_than_were_sent_cannot_be_waited_away() -> None:
    assert wait(at(6), target=Awaited(5, {})).reason == "final"


def test_rows_that_the_loader_passed_by_are_not_waited_for() -> None:
    assert wait(at(4, passed=True), target=Awaited(5, {})).reason == "final"


def test_alerts_are_waited_for_even_then() -> None:
    looks = at(4, passed=True), at(4, passed=True, velocity=1)
    settled = wait(*looks, target=Awaited(5, {"velocity": 1}))
    assert settled.reason == "final"
    assert settled.waited_s > 0


def test_alerts_that_later_ones_overtook_are_waited_for_only_briefly() -> None:
    settled = wait(at(5), target=Awaited(5, {"velocity": 1}, alerts_passed=True), quiet_s=60.0)
    assert settled.reason == "quiet"
    assert 5 <= settled.waited_s < 7


def test_silence_ends_it() -> None:
    settled = wait(at(1), at(2), target=Awaited(5, {}), quiet_s=10.0)
    assert settled.reason == "quiet"
    assert 10 <= settled.waited_s < 12


def test_a_reject_is_no_silence() -> None:
    looks = [at(2, rejects=n) for n in range(30)]
    assert wait(*looks, target=Awaited(5, {}), quiet_s=10.0).waited_s > 20


def test_the_timeout_ends_it() -> None:
    looks = [at(n) for n in range(1000)]
    settled = wait(*looks, target=Awaited(5000, {}), timeout_s=20.0)
    assert settled.reason == "timeout"
    assert 20 <= settled.waited_s < 21


def test_patience_grows_with_the_run() -> None:
    assert patience_s(0) == 120
    assert patience_s(1_000_000) == 1120
