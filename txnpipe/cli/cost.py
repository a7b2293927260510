"""`txnpipe cost`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from txnpipe.cli.frame import Invocation, command

if TYPE_CHECKING:
    from txnpipe.operate.cost.bill import Kind, Line
    from txnpipe.operate.cost.estimate import Cost

MONTH = 730.0


@command()
def cost(
    run: Invocation,
    records_per_second: Annotated[
        float,
        typer.Option(min=0, max=1e9, help="Records a second, day and night; 0: the standing cost alone."),
    ] = 10,
    record_bytes: Annotated[
        int, typer.Option(min=1, max=10_485_760, help="Bytes of a record (up to 10 MiB).")
    ] = 300,
    hours: Annotated[
        float, typer.Option(min=0, max=1e6, help="Hours that the pipeline stands, instead of a month.")
    ] = MONTH,
) -> None:
    """Show what the pipeline costs on AWS, line by line. Asks no account: it reads the settings alone.

    txnpipe cost

    txnpipe cost --records-per-second 2000 --record-bytes 500

    txnpipe cost --hours 3 --records-per-second 0

    Prices are a dated table of us-east-1; `prices` in the configuration sets your own.
    """
    from txnpipe.operate.cost.estimate import estimate
    from txnpipe.operate.cost.traffic import Traffic

    span = _exact(hours)
    found = estimate(run.settings, Traffic(_exact(records_per_second), record_bytes))
    if run.settings.target == "local":
        run.out.say("On this machine it costs nothing. The same settings on AWS:")
    _show(run, found, span)
    run.out.result(
        "cost", {"pipeline": run.settings.pipeline, "target": run.settings.target, **found.as_json(span)}
    )


def _exact(value: float) -> Decimal:
    return Decimal(str(value))


def _show(run: Invocation, found: Cost, hours: Decimal) -> None:
    from rich.markup import escape

    monthly = hours == Decimal(str(MONTH))
    span = "" if monthly else f", {_plain(hours)} hours"
    rows = [_row(line, hours) for line in found.lines if line.kind == "standing"]
    rows.append(_sum(found, "standing", f"standing{span}", hours))
    flowing = [_row(line, hours) for line in found.lines if line.kind == "traffic"]
    if flowing:
        load = found.load
        rate = f"{_plain(load.records_per_second)} records a second, {load.record_bytes:,} bytes each"
        rows += [*flowing, _sum(found, "traffic", rate, hours), _sum(found, None, "together", hours)]
    last = "monthly" if monthly else "total"
    run.out.table(None, ("part", "what", "hourly", last), rows, right="hourly monthly total")
    for note in found.notes:
        run.out.line(escape(note))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():,f}"


def _row(line: Line, hours: Decimal) -> tuple[str, str, str, str]:
    from txnpipe.operate.cost.bill import money

    hour, total = line.cost(Decimal(1)), line.cost(hours)
    mark = " †" if line.uncertain else ""
    if hour is None or total is None:
        return line.part, line.what, "?", "?"
    return line.part, line.what + mark, money(hour, 4), money(total, 2)


def _sum(found: Cost, kind: Kind | None, what: str, hours: Decimal) -> tuple[str, str, str, str]:
    from txnpipe.operate.cost.bill import money

    return "", what, money(found.total(Decimal(1), kind), 4), money(found.total(hours, kind), 2)
