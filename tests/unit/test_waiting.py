"""How long and how often somebody waits."""

from __future__ import annotations

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.waiting import wait_until


def asked_at(ready_after: float, timeout_s: float = 3600.0, interval_s: float = 1.0) -> list[float]:
    """The seconds at which a thing is asked for that is there after so many."""
    now, asked = [0.0], list[float]()

    def probe() -> bool | None:
        asked.append(now[0])
        return True if now[0] >= ready_after else None

    def sleep(seconds: float) -> None:
        now[0] += seconds

    wait_until(probe, "it", timeout_s, interval_s=interval_s, clock=lambda: now[0], sleep=sleep)
    return asked


def test_what_comes_soon_is_noticed_soon() -> None:
    assert asked_at(0.6)[-1] < 0.8
    assert asked_at(10)[-1] < 11


@pytest.mark.parametrize("seconds", [60, 240, 1200, 3000])
def test_what_takes_long_is_asked_for_less_often_and_noticed_within_a_fiftieth(seconds: float) -> None:
    asked = asked_at(seconds)
    assert asked[-1] <= seconds * 1.03
    assert len(asked) < 300


def test_the_deadline_is_kept_to_the_second_and_the_thing_named() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(TxnpipeError, match="Waited 1000 s for the moon, in vain") as caught:
        wait_until(lambda: None, "the moon", 1000, interval_s=1, clock=lambda: now[0], sleep=sleep)
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert now[0] == pytest.approx(1000)
