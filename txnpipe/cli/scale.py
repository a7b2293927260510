"""`txnpipe scale`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command


@command()
def scale(
    run: Invocation,
    shards: Annotated[int, typer.Option(help="Shards that the stream of transactions should have.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Change the number of shards, in the steps that AWS allows.

    txnpipe scale --shards 4

    txnpipe scale --shards 1 --yes

    A step at most doubles or halves the number; a stream may change ten times in 24 hours. Each shard takes
    1,000 records and 1 MB a second. A stopped scale is continued by the same command.
    """
    from txnpipe.scaling import reshard

    reshard.check_target(shards)
    client, stream = run.target.client("kinesis"), run.names.stream
    state = reshard.describe(client, stream)
    if state.status != "ACTIVE":
        with run.out.status(f"{stream} is {state.status}; waiting for that change first …"):
            reshard.settled(client, stream)
    plan = reshard.plan(client, stream, shards)
    payload: dict[str, Any] = {
        "stream": stream,
        "from": plan.current,
        "to": plan.target,
        "steps": list(plan.steps),
    }
    if not plan.steps:
        run.out.result("scale", {**payload, "changes": 0})
        run.out.line(f"{stream} has {_shards(plan.current)} already: nothing to do.")
        return
    path = " → ".join(str(step) for step in (plan.current, *plan.steps))
    changes = f"{len(plan.steps)} change{'s' if len(plan.steps) != 1 else ''}"
    run.out.say(f"{stream}: {path} shards, {changes} of the ten that Kinesis allows in 24 hours")
    if run.target.asks_first:
        payload |= _price(run, plan.current, plan.target)
        if not yes:
            run.out.confirm(f"Change {stream} to {_shards(plan.target)}?")
    with run.out.status(f"{stream}: {plan.current} → {plan.steps[0]} shards …") as status:

        def stepping(before: int, after: int) -> None:
            if status is not None:
                status.update(f"{stream}: {before} → {after} shards …")
            else:
                run.out.say(f"  {before} → {after} shards")

        impatient = run.target.client("kinesis", retries={"mode": "standard", "total_max_attempts": 2})
        made = reshard.walk(client, stream, plan.target, impatient=impatient, on_step=stepping)
    run.out.result("scale", {**payload, "changes": made})
    capacity = f"{plan.target * 1000:,} records and {plan.target} MB a second"
    run.out.line(f"{stream} has {_shards(plan.target)} and takes {capacity}.")


def _price(run: Invocation, before: int, after: int) -> dict[str, Any]:
    """Says what the change costs; the same for `--json`, in dollars a month."""
    from txnpipe.operate.cost.bill import money, number
    from txnpipe.operate.cost.estimate import cost_of_shards
    from txnpipe.operate.cost.prices import HOURS_PER_MONTH

    now, then = (cost_of_shards(run.settings, shards, HOURS_PER_MONTH) for shards in (before, after))
    run.out.say(f"The stream's shards cost {money(now, 2)} a month now and {money(then, 2)} afterwards.")
    return {"cost": {"month_before": number(now), "month_after": number(then)}}


def _shards(count: int) -> str:
    return f"{count:,} shard{'s' if count != 1 else ''}"
