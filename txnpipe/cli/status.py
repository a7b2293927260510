"""`txnpipe status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode

if TYPE_CHECKING:
    from txnpipe.deploy.inspection import Finding


@command(needs_target=True)
def status(run: Invocation) -> ExitCode:
    """Show every resource of the pipeline and how it is.

    txnpipe status

    txnpipe status --json
    """
    from txnpipe.cli.deployment import headline, pipeline_graph
    from txnpipe.deploy.inspection import inspect, row_counts
    from txnpipe.deploy.teardown import Inventory, nothing_there

    graph = pipeline_graph(run, every_warehouse=True)
    with run.out.status("Reading what is there …"):
        findings = inspect(graph)
        if not any(finding.present and not finding.facts.get("shared") for finding in findings):
            raise nothing_there(graph, Inventory((), tuple(f.problem for f in findings if f.problem), ()))
        counts, problem = row_counts(graph)
    run.out.say(headline(run))
    run.out.table(None, ("kind", "name", "status", ""), [_row(finding) for finding in findings])
    if counts:
        run.out.table(None, ("table", "rows"), counts.items(), right="rows")
    if problem:
        run.out.warn(f"rows could not be counted: {problem}")
    run.out.result(
        "status",
        {
            "pipeline": run.names.pipeline,
            "target": run.target.name,
            "account": run.names.account,
            "region": run.names.region,
            "resources": [finding.as_json() for finding in findings],
            "rows": counts,
        },
    )
    missing = [finding for finding in findings if not finding.present]
    if missing:
        run.out.say(f"{len(missing)} missing. To complete the pipeline: [bold]txnpipe setup[/bold]")
    return ExitCode.OK


_FOR_PROGRAMS = {"arn", "id"}
"""Facts that only --json shows."""


def _row(finding: Finding) -> tuple[str, str, str, str]:
    told = {
        key: value
        for key, value in finding.facts.items()
        if key not in _FOR_PROGRAMS and value not in (None, "", [], False)
    }
    facts = ", ".join(f"{key.replace('_', ' ')} {_text(value)}" for key, value in told.items())
    return finding.kind, finding.name, finding.status, finding.problem or facts


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
