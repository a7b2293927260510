"""Checks: they run side by side, and none hides another."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import PATIENCE_S
from txnpipe.checks import Check, Result, State, Verdict, exit_code, failed, ok, run_checks, unknown, warning
from txnpipe.errors import ExitCode, TxnpipeError


def raising(error: Exception) -> Check:
    def look() -> Verdict:
        raise error

    return Check("raising", look)


def test_results_come_in_the_order_of_the_checks_which_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)

    def meet(found: str) -> Verdict:
        both.wait()
        return ok(found)

    results = run_checks([Check("a", lambda: meet("first")), Check("b", lambda: meet("second"))])
    assert [(result.name, result.verdict.found) for result in results] == [("a", "first"), ("b", "second")]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (ExitCode.SERVICE, State.UNKNOWN),
        (ExitCode.TIMEOUT, State.UNKNOWN),
        (ExitCode.CONFLICT, State.FAILED),
        (ExitCode.ENVIRONMENT, State.FAILED),
        (ExitCode.LIMIT, State.FAILED),
        (ExitCode.USAGE, State.FAILED),
    ],
)
def test_an_error_with_a_cause_is_the_check_s_own_verdict(code: ExitCode, state: State) -> None:
    [result] = run_checks([raising(TxnpipeError("Cause.", "Fix.", code))])
    assert (result.verdict.state, result.verdict.found, result.verdict.fix) == (state, "Cause.", "Fix.")


def test_a_check_that_breaks_says_so_and_hides_no_other() -> None:
    results = run_checks([raising(KeyError("x")), Check("fine", lambda: ok("Fine."))])
    assert [result.verdict.state for result in results] == [State.UNKNOWN, State.OK]
    assert "KeyError: 'x'" in results[0].verdict.found


def test_the_exit_code_is_that_of_the_first_failure() -> None:
    verdicts = [
        ok(""),
        warning("", ""),
        unknown(""),
        failed("", "", ExitCode.LIMIT),
        failed("", "", ExitCode.USAGE),
    ]
    results = [Result("x", verdict) for verdict in verdicts]
    assert exit_code(results) is ExitCode.LIMIT
    assert exit_code(results[:3]) is ExitCode.OK
    assert run_checks([]) == ()
