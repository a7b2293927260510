"""Looks at things side by side and says of each how it is. What `txnpipe doctor` is made of.

A check never raises: what goes wrong while it looks is what it has to say. What is missing or wrong is
`failed`; what could not be found out (an API that denies the question) is `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from txnpipe.errors import ExitCode, TxnpipeError

LOOKERS = 16
"""Checks at once."""


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    """It works, or may: a person should know."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be found out."""
    SKIPPED = "skipped"
    """It does not concern this pipeline, or what it needs has failed."""


@dataclass(frozen=True)
class Verdict:
    """What a check found, a sentence, and what to do about it, a sentence. exit_code: of a failure."""

    state: State
    found: str
    fix: str = ""
    exit_code: ExitCode = ExitCode.OK


@dataclass(frozen=True)
class Check:
    """One thing to look at. `look` may raise: see `run_checks`."""

    name: str
    look: Callable[[], Verdict]


@dataclass(frozen=True)
class Result:
    """A check and its verdict."""

    name: str
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        verdict = self.verdict
        return {
            "name": self.name,
            "state": verdict.state.value,
            "found": verdict.found,
            "fix": verdict.fix,
            "exit_code": int(verdict.exit_code),
        }


def ok(found: str) -> Verdict:
    """It is as it should be."""
    return Verdict(State.OK, found)


def warning(found: str, fix: str) -> Verdict:
    """A person should know."""
    return Verdict(State.WARNING, found, fix)


def failed(found: str, fix: str, exit_code: ExitCode) -> Verdict:
    """It will not work."""
    return Verdict(State.FAILED, found, fix, exit_code)


def unknown(found: str, fix: str = "") -> Verdict:
    """It could not be found out."""
    return Verdict(State.UNKNOWN, found, fix)


def skipped(found: str) -> Verdict:
    """It was not looked at."""
    return Verdict(State.SKIPPED, found)


def run_checks(checks: Sequence[Check]) -> tuple[Result, ...]:
    """Runs all checks in parallel; the results are in their order.

    A TxnpipeError is the verdict of the check that raised it: unknown where a service answered with an error
    (SERVICE) or in no time (TIMEOUT), failed otherwise. Any other exception is unknown, with its own words.
    """
    if not checks:
        return ()
    with ThreadPoolExecutor(min(LOOKERS, len(checks)), thread_name_prefix="check") as pool:
        verdicts = list(pool.map(_guarded, checks))
    return tuple(Result(check.name, verdict) for check, verdict in zip(checks, verdicts, strict=True))


def _guarded(check: Check) -> Verdict:
    try:
        return check.look()
    except TxnpipeError as error:
        if error.exit_code in {ExitCode.SERVICE, ExitCode.TIMEOUT}:
            return unknown(error.cause, error.fix)
        return failed(error.cause, error.fix, error.exit_code)
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
        return unknown(
            f"The check itself failed with {type(error).__name__}: {error}",
            "This is a defect of txnpipe; please report it.",
        )


def exit_code(results: Sequence[Result]) -> ExitCode:
    """That of the first failure, OK where nothing failed."""
    failures = (result.verdict for result in results if result.verdict.state is State.FAILED)
    return next((verdict.exit_code for verdict in failures), ExitCode.OK)
