"""`txnpipe doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from txnpipe.checks import Result, State, exit_code, failed, ok, run_checks
from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from txnpipe.config.settings import Settings

_COLORS = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.FAILED: "red",
    State.UNKNOWN: "magenta",
    State.SKIPPED: "dim",
}


@command()
def doctor(run: Invocation) -> ExitCode:
    """Find out whether the pipeline can run: on this machine, or in the AWS account. Changes nothing.

    txnpipe doctor

    txnpipe doctor --target aws --json

    Every check says what it found and what to do. Exit code 0 where none failed, else that of the first one
    that did. It starts no local cloud.
    """
    with run.out.status("Looking …"):
        results = _examine(run)
    _show(run, results)
    code = exit_code(results)
    run.out.result(
        "doctor", {"healthy": code is ExitCode.OK, "checks": [result.as_json() for result in results]}
    )
    return code


def _examine(run: Invocation) -> Sequence[Result]:
    from txnpipe.operate.doctor.machine import machine_checks

    machine = run_checks(machine_checks())
    try:
        settings = run.settings
    except TxnpipeError as error:
        wrong = failed(error.cause, error.fix, error.exit_code)
        return [Result("configuration", wrong), *machine]
    files = {origin.rpartition(":")[0] for origin in run.loaded.origins.values() if ":" in origin}
    read = f"The configuration of {', '.join(sorted(files))}" if files else "The configuration"
    configuration = Result("configuration", ok(f"{read} is valid; the target is {settings.target}."))
    if settings.target == "local":
        from txnpipe.local.doctor import local_checks

        return [configuration, *machine, *run_checks(local_checks(settings.local))]
    return [configuration, *machine, *_account(settings)]


def _account(settings: Settings) -> Sequence[Result]:
    from txnpipe.operate.doctor.account import examine
    from txnpipe.target import unidentified_aws

    try:
        target = unidentified_aws(settings)
    except TxnpipeError as error:
        return [Result("endpoint", failed(error.cause, error.fix, error.exit_code))]
    return examine(target, settings)


def _show(run: Invocation, results: Sequence[Result]) -> None:
    from rich.text import Text

    rows = [
        (result.name, Text(result.verdict.state.value, _COLORS[result.verdict.state]), result.verdict.found)
        for result in results
    ]
    run.out.table(None, ("check", "", "found"), rows, whole=("check",))
    for result in results:
        if result.verdict.fix:
            run.out.line(Text.assemble((f"{result.name}: ", "bold"), result.verdict.fix))
    counts = {state: sum(result.verdict.state is state for result in results) for state in State}
    run.out.say(", ".join(f"{count} {state.value}" for state, count in counts.items() if count))
