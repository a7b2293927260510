"""`txnpipe setup`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.connector import SETS, ConnectorJar
from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from txnpipe.deploy.graph import Graph


@command(needs_target=True, sets=SETS)
def setup(
    run: Invocation,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing an account.")] = False,
    connector_jar: ConnectorJar = None,  # noqa: ARG001 - it is a setting
) -> None:
    """Create the pipeline, or bring it up to the configuration. Safe to run again, also after a kill.

    txnpipe setup

    txnpipe setup --pipeline staging

    txnpipe setup --target aws --yes --connector-jar flink-sql-connector-aws-kinesis-streams-6.0.1-2.0.jar
    """
    from txnpipe.cli.deployment import headline, pipeline_graph, show_plan, shown, warn
    from txnpipe.deploy.apply import apply, lock_of
    from txnpipe.deploy.plan import make_plan

    started = time.monotonic()
    graph = pipeline_graph(run)
    run.out.say(headline(run))
    warn(run)
    with run.out.status("Reading what is there …"):
        lock_of(graph, "setup").check()
        planned = make_plan(graph)
    show_plan(run.out.say, planned)
    price = _price(run) if run.target.asks_first else {}
    if not planned.empty and run.target.asks_first and not yes:
        run.out.confirm(f"Change account {run.names.account}, region {run.names.region}?")
    with shown(run.out, len(planned.work)) as listener:
        applied = apply(graph, planned, listener)
    seconds = time.monotonic() - started
    where = _where(run, graph)
    run.out.result(
        "setup",
        {
            "pipeline": run.names.pipeline,
            "target": run.target.name,
            "account": run.names.account,
            "region": run.names.region,
            "seconds": round(seconds, 1),
            "changes": [change.as_json() for change in applied.changes],
            **price,
            **where,
        },
    )
    _summary(run, seconds, where)


def _price(run: Invocation) -> dict[str, Any]:
    """Says what the pipeline will cost, before anything is made; the same for `--json`.

    A stream that is there has the shards that `scale` gave it, which setup leaves alone.
    """
    from txnpipe.operate.cost.estimate import estimate, in_a_sentence
    from txnpipe.scaling.reshard import describe

    try:
        shards = describe(run.target.client("kinesis"), run.names.stream).shards
    except TxnpipeError as error:
        if error.exit_code is not ExitCode.NOT_FOUND:
            raise
        shards = None
    cost = estimate(run.settings, shards=shards)
    run.out.say(in_a_sentence(cost))
    return {"cost": cost.standing_document()}


def _where(run: Invocation, graph: Graph) -> dict[str, Any]:
    """Where things can be reached now."""
    from txnpipe.aws import translated
    from txnpipe.resources.warehouse_address import endpoint

    with translated("find", "the warehouse's address"):
        address = endpoint(graph.cloud)
    return {
        "endpoint_url": run.target.endpoint_url,
        "stream": run.names.stream,
        "alert_stream": run.names.alert_stream,
        "topic_arn": run.names.topic_arn,
        "bucket": run.names.bucket,
        "warehouse": {
            "host": address[0] if address else None,
            "port": address[1] if address else None,
            "database": run.settings.warehouse.database,
        },
    }


def _summary(run: Invocation, seconds: float, where: dict[str, Any]) -> None:
    warehouse = where["warehouse"]
    rows = [
        ("stream", where["stream"]),
        ("warehouse", f"{warehouse['host']}:{warehouse['port']}/{warehouse['database']}"),
        ("alerts", where["topic_arn"]),
        ("bucket", where["bucket"]),
    ]
    if where["endpoint_url"]:
        rows.append(("AWS APIs", where["endpoint_url"]))
    run.out.say(f"[green]Ready[/green] after {seconds:.1f} s.")
    run.out.table(None, ("what", "where"), rows)
    run.out.say("Next: [bold]txnpipe send --count 1000[/bold], then [bold]txnpipe verify[/bold]")
