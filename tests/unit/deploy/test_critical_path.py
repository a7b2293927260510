"""How long setup and teardown take with services that take their time: no longer than those make it.

The real scheduler and the real waits run on a virtual clock. What each step is made to wait by the services
is booked; the longest way through the requirements, with those seconds, is what nobody could be faster than.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter

import pytest

from tests.unit.deploy.motion import Motion
from tests.unit.deploy.remote import Remote, tear_down
from tests.unit.deploy.scenarios import assert_nothing_is_left, settings_for
from tests.unit.deploy.variants import VARIANTS
from txnpipe.deploy.teardown import _reversed

ALLOWANCE = 1.1


TAKES_A_ROLE = ("function/", "analytics app/")


def longest(
    requirements: Mapping[str, set[str]], seconds: Mapping[str, float], roles: Mapping[str, float]
) -> tuple[float, list[str]]:
    """The longest way through the requirements: its seconds, and its steps that take any.

    A new role keeps only those waiting whom it is given to.
    """
    ends: dict[str, tuple[float, list[str]]] = {}
    for key in TopologicalSorter(requirements).static_order():
        known = roles if key.startswith(TAKES_A_ROLE) else {}
        before = max(
            ((ends[needed][0] + known.get(needed, 0.0), ends[needed][1]) for needed in requirements[key]),
            default=(0.0, list[str]()),
        )
        own = seconds.get(key, 0.0)
        ends[key] = (before[0] + own, [*before[1], f"{key} {own:.0f} s"] if own else before[1])
    return max(ends.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_setup_takes_no_longer_than_the_services_make_it(remote: Remote, variant: str) -> None:
    settings = settings_for(variant)
    motion = Motion(remote).start()
    started = remote.now
    remote.setup(settings)
    measured = remote.now - started
    path, steps = longest(remote.graph(settings).requirements(), motion.booked, motion.role_steps)
    print(f"\n{variant}: setup {measured:.0f} s, critical path {path:.0f} s: {', '.join(steps)}")
    assert path > 200
    assert path * 0.99 <= measured <= path * ALLOWANCE
    assert remote.plan(settings).empty


@pytest.mark.parametrize("variant", VARIANTS)
def test_teardown_takes_no_longer_than_the_services_make_it(remote: Remote, variant: str) -> None:
    settings = settings_for(variant)
    remote.setup(settings)
    motion = Motion(remote).start()
    started = remote.now
    tear_down(remote, settings)
    measured = remote.now - started
    path, steps = longest(_reversed(remote.graph(settings)), motion.booked, {})
    print(f"\n{variant}: teardown {measured:.0f} s, critical path {path:.0f} s: {', '.join(steps)}")
    assert path > 100
    assert path * 0.99 <= measured <= path * ALLOWANCE + 10
    assert_nothing_is_left(remote, settings)
