"""Setup, a change and teardown killed after each changing call in turn, and run once more.

A command is killed after its first call, run again and killed after the next one, and so on to the end: every
state that a kill can leave is one that the same command goes on from. From some of them it is also let run.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from botocore.awsrequest import AWSResponse

from tests.unit.deploy.faults import Counted, subject
from tests.unit.deploy.remote import Killed, Remote
from tests.unit.deploy.scenarios import Scenario, every_variant
from tests.unit.deploy.variants import VARIANTS
from tests.unit.deploy.wire import Call, Forward

pytestmark = pytest.mark.timeout(900)  # some hundred commands in a test
CREATIONS = ("Create", "Start", "Run")
EVERY = 6
"""From every so many-th state the command is let run to its end."""
MOST_RUNS = 200


class KillOnce:
    """A layer: nothing runs any more once a call was answered that is not in `proven`."""

    def __init__(self, remote: Remote, proven: set[str]) -> None:
        self._remote = remote
        self._proven = proven
        self._counted = Counted()
        self._mutex = threading.Lock()

    def __call__(self, call: Call, forward: Forward) -> AWSResponse:
        if not call.changes:
            return forward()
        name = self._counted.name(call)
        with self._mutex:  # so that nothing is answered between this call and the kill
            self._remote.recorder.assert_alive()
            answer = forward()
            if name not in self._proven:
                self._proven.add(name)
                self._remote.recorder.dead = True
        return answer


def run_killed(remote: Remote, scenario: Scenario, proven: set[str]) -> bool:
    """Runs a command; whether it was killed."""
    remote.wire.layers.insert(0, KillOnce(remote, proven))
    try:
        scenario.command()
    except Killed:
        return True
    finally:
        remote.wire.layers.pop(0)
        remote.recorder.revive()
    return False


def assert_nothing_is_made_twice(made: list[Call]) -> None:
    counted = Counter(subject(call) for call in made if call.operation.startswith(CREATIONS))
    assert {name: count for name, count in counted.items() if count > 1} == {}


def finish_from_here(remote: Remote, scenario: Scenario) -> None:
    """Lets the command run from the present state, which is there again afterwards."""
    made, bring_back = list(remote.recorder.taken), remote.keep()
    scenario.command()
    assert_nothing_is_made_twice(remote.recorder.taken)
    scenario.assert_done()
    bring_back()
    remote.recorder.taken[:] = made


@pytest.mark.parametrize("command", ["setup", "change", "teardown"])
def test_a_command_killed_after_any_change_is_finished_by_the_same_command_and_makes_nothing_twice(
    remote: Remote, command: str
) -> None:
    proven: set[str] = set()
    for variant, scenarios in every_variant(remote):
        (scenario,) = (each for each in scenarios if each.name == command)
        scenario.before()
        kills = 0
        while run_killed(remote, scenario, proven):
            kills += 1
            assert kills < MOST_RUNS
            if kills % EVERY == 0:
                finish_from_here(remote, scenario)
        print(f"{variant}: {command} killed after each of {kills} calls")
        assert kills or variant != next(iter(VARIANTS))
        assert_nothing_is_made_twice(remote.recorder.taken)
        scenario.assert_done()
