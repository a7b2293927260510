"""Every call of setup, of a change and of teardown goes wrong once, in the ways in which a call can.

What was told must name the call and the resource, and say what to do; the same command must then go on, and
nothing may exist twice. The calls that go wrong in one run are in steps that do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from botocore.awsrequest import AWSResponse

from tests.unit.deploy.faults import DENIED, FAULTS, Counted, Fault, Striker, Struck
from tests.unit.deploy.remote import Remote, tear_down
from tests.unit.deploy.scenarios import Scenario, every_variant, settings_for
from tests.unit.deploy.variants import VARIANTS
from tests.unit.deploy.wire import Call, Forward
from txnpipe.deploy.inspection import inspect
from txnpipe.errors import TxnpipeError
from txnpipe.names import BucketKeys

pytestmark = pytest.mark.timeout(900)  # some hundred commands in a test
MOST_RUNS = 100


def strike(remote: Remote, scenario: Scenario, fault: Fault, proven: set[str]) -> tuple[int, int]:
    """Runs a command until nothing goes wrong any more: how many calls did, and in how many runs."""
    scenario.before()
    calls = 0
    for runs in range(1, MOST_RUNS):
        striker = Striker(fault, lambda call: call.changes, proven)
        remote.wire.layers = [striker]
        try:
            scenario.command()
        except TxnpipeError as error:
            assert striker.struck, error
            for struck in striker.struck:
                assert_told(error, struck, fault)
        else:
            assert all(may_be_overlooked(struck, fault) for struck in striker.struck), striker.struck
        remote.wire.layers = []
        calls += len(striker.struck)
        if not striker.struck:
            scenario.assert_done()
            return calls, runs
    raise AssertionError(f"{scenario.name} does not come to an end")


def changing_calls(remote: Remote, scenario: Scenario) -> set[str]:
    """The names of the changing calls of a command that goes well."""
    scenario.before()
    counted, names = Counted(), set[str]()

    def listen(call: Call, forward: Forward) -> AWSResponse:
        if call.changes:
            names.add(counted.name(call))
        return forward()

    remote.wire.layers = [listen]
    scenario.command()
    return names


def assert_told(error: TxnpipeError, struck: Struck, fault: Fault) -> None:
    if may_be_overlooked(struck, fault):
        return
    causes = [error.cause, *error.details]
    resource = struck.step.partition("/")[2]
    told = [cause for cause in causes if struck.call.operation in cause and resource in cause]
    assert told, f"{struck.name} ({struck.step}) is not told in {causes}"
    if error.cause in told:
        assert fault.fix in error.fix, (struck.name, error.fix)


def may_be_overlooked(struck: Struck, fault: Fault) -> bool:
    """A lock that is not given back ends with its lease. A repetition may tell that a call is done."""
    return struck.call.parameters.get("Key") == BucketKeys.LOCK or not fault.lasts


def test_a_call_that_goes_wrong_is_told_and_the_same_command_goes_on(remote: Remote) -> None:
    proven: dict[str, set[str]] = {fault.name: set() for fault in FAULTS}
    for variant, scenarios in every_variant(remote):
        for scenario in scenarios:
            names = changing_calls(remote, scenario)
            for fault in FAULTS:
                if names <= proven[fault.name]:
                    continue
                calls, runs = strike(remote, scenario, fault, proven[fault.name])
                print(f"{variant}: {scenario.name}: {calls} calls {fault.name}, in {runs} runs")
                assert calls or variant != next(iter(VARIANTS))


def test_a_read_that_is_denied_is_told_and_nothing_is_changed_on_its_account(remote: Remote) -> None:
    proven: set[str] = set()
    for variant in VARIANTS:
        settings = settings_for(variant)
        remote.setup(settings)
        calls = 0
        for _ in range(MOST_RUNS):
            striker = Striker(DENIED, lambda call: not call.changes, proven)
            remote.wire.layers = [striker]
            before = len(remote.recorder.changes)
            if not denied_read_is_told(partial(remote.plan, settings), striker):
                break
            calls += len(striker.struck)
            assert remote.recorder.changes[before:] == []
        print(f"{variant}: {calls} reads denied")
        remote.wire.layers = []
        assert remote.plan(settings).empty
        tear_down(remote, settings)


def denied_read_is_told(command: Callable[[], object], striker: Striker) -> bool:
    """Runs a command; false if it met no denied read."""
    try:
        command()
    except TxnpipeError as error:
        causes = [error.cause, *error.details]
        for struck in striker.struck:
            told = [cause for cause in causes if struck.call.operation in cause]
            closed = [cause for cause in causes if "does not let this account in" in cause]
            assert told or (struck.call.operation == "HeadBucket" and closed), (struck.name, causes)
        assert DENIED.fix in error.fix or "Allow s3:ListBucket" in error.fix
    else:
        assert striker.struck == []
    return bool(striker.struck)


def test_a_status_tells_of_every_read_that_is_denied(remote: Remote) -> None:
    proven: set[str] = set()
    for variant in VARIANTS:
        settings = settings_for(variant)
        remote.setup(settings)
        for _ in range(MOST_RUNS):
            striker = Striker(DENIED, lambda call: not call.changes, proven)
            remote.wire.layers = [striker]
            findings = inspect(remote.graph(settings))
            if not striker.struck:
                break
            problems = [finding.problem for finding in findings if finding.problem]
            for struck in striker.struck:
                assert any(struck.call.operation in problem for problem in problems) or (
                    struck.call.operation == "HeadBucket"
                ), (struck.name, problems)
        remote.wire.layers = []
        assert all(finding.ready for finding in findings)
        tear_down(remote, settings)
