"""`txnpipe plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from txnpipe.cli.connector import SETS, ConnectorJar
from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode


@command(needs_target=True, sets=SETS)
def plan(
    run: Invocation,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when something would change.")
    ] = False,
    connector_jar: ConnectorJar = None,  # noqa: ARG001 - it is a setting
) -> ExitCode:
    """Show what setup would change, field by field. Only reads.

    txnpipe plan

    txnpipe plan --target aws --exit-code
    """
    from txnpipe.cli.deployment import headline, pipeline_graph, show_plan, warn
    from txnpipe.deploy.plan import make_plan

    graph = pipeline_graph(run)
    with run.out.status("Reading what is there …"):
        planned = make_plan(graph)
    run.out.say(headline(run))
    warn(run)
    show_plan(run.out.line, planned)
    run.out.result(
        "plan",
        {
            "pipeline": run.names.pipeline,
            "target": run.target.name,
            "account": run.names.account,
            "region": run.names.region,
            "counts": planned.counts(),
            "changes": [change.as_json() for change in planned.changes],
        },
    )
    if not planned.empty:
        run.out.say("To make it so: [bold]txnpipe setup[/bold]")
    return ExitCode.DIFFERENCE if exit_code and not planned.empty else ExitCode.OK
