"""`txnpipe teardown`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from txnpipe.deploy.teardown import Inventory


@command(needs_target=True)
def teardown(
    run: Invocation,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="NAME", help="The pipeline's name, instead of asking.")
    ] = None,
) -> ExitCode:
    """Remove everything the pipeline owns, its data included. Safe to run again, also after a kill.

    txnpipe teardown

    txnpipe teardown --target aws --confirm default
    """
    from txnpipe.cli.deployment import headline, pipeline_graph, shown
    from txnpipe.deploy.apply import lock_of
    from txnpipe.deploy.teardown import nothing_there, sweep, take_inventory
    from txnpipe.deploy.teardown import teardown as remove

    started = time.monotonic()
    graph = pipeline_graph(run, every_warehouse=True)
    with run.out.status("Reading what is there …"):
        inventory = take_inventory(graph)
        if inventory.empty:
            raise nothing_there(graph, inventory)
        lock_of(graph, "teardown").check()
    run.out.say(headline(run))
    _announce(run, inventory)
    _confirm(run, confirm)
    with shown(run.out, len(inventory.present)) as listener:
        removed = remove(graph, inventory, listener)
    with run.out.status("Looking for what is left …"):
        left = sweep(graph)
    for sentence in left.foreign:
        run.out.warn(f"left alone: {sentence}")
    leftovers = [*left.present, *left.tagged]
    for leftover in left.present:
        run.out.warn(f"still there: {leftover}")
    for leftover in left.tagged:
        run.out.warn(f"carries the pipeline's tag and is none that setup makes: {leftover}")
    seconds = time.monotonic() - started
    run.out.result(
        "teardown",
        {
            "pipeline": run.names.pipeline,
            "target": run.target.name,
            "account": run.names.account,
            "region": run.names.region,
            "seconds": round(seconds, 1),
            "removed": [change.resource for change in removed],
            "left_alone": list(left.foreign),
            "leftovers": leftovers,
        },
    )
    run.out.say(
        f"Removed {len(removed)} resources in {seconds:.1f} s."
        + (" Run the same command again to remove the rest." if left.present else "")
        + (" Remove by hand what only carries the tag." if left.tagged else "")
        + ("" if leftovers else " Nothing is left.")
    )
    return ExitCode.DIFFERENCE if leftovers else ExitCode.OK


def _announce(run: Invocation, inventory: Inventory) -> None:
    from rich.markup import escape

    for resource in reversed(inventory.present):
        run.out.say(f"  - delete  {escape(resource.replace('/', ' ', 1))}")
    for sentence in inventory.foreign:
        run.out.warn(f"left alone: {sentence}")
    if run.target.final_snapshot and any(
        item.startswith(("warehouse/", "namespace/")) for item in inventory.present
    ):
        days = run.settings.warehouse.final_snapshot_retention_days
        kept = "for ever" if days < 0 else f"for {days} days"
        run.out.say(f"The warehouse leaves a final snapshot, kept {kept}; the rows are in no other place.")


def _confirm(run: Invocation, confirm: str | None) -> None:
    """A person types the name; a script passes it. On a target where nothing of value is lost, neither."""
    name = run.names.pipeline
    if confirm is not None:
        if confirm != name:
            raise TxnpipeError(
                f"--confirm says {confirm}, but the pipeline is called {name}.",
                f"Pass --confirm {name}, or choose the other pipeline with --pipeline.",
                ExitCode.REFUSED,
            )
        return
    if run.environment.interactive:
        typed = run.out.ask(f"Type the pipeline's name ([bold]{name}[/bold]) to remove all of it:")
        if typed != name:
            raise TxnpipeError(
                "The name was not typed, so nothing was changed.",
                f"Run the same command again, or with --confirm {name}.",
                ExitCode.REFUSED,
            )
    elif run.target.asks_first:
        raise TxnpipeError(
            f"Removing the pipeline {name} needs a confirmation, and there is no terminal to ask on.",
            f"Run the same command with --confirm {name}.",
            ExitCode.REFUSED,
        )
