"""`txnpipe alerts`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import usage_error

if TYPE_CHECKING:
    from txnpipe.operate.alerts import StoredAlert

FOLLOW_INTERVAL_S = 1.0
LOOKED_AT = 1000
"""While following, this many of the newest alerts are compared with those shown before."""
_COLUMNS = ("stored", "rule", "transaction", "amount", "detail")


@command()
def alerts(
    run: Invocation,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.")] = 20,
    rule: Annotated[str | None, typer.Option(help="Of this rule only.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Of this run only.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing new ones until Ctrl-C.")
    ] = False,
) -> None:
    """Show the newest alerts.

    txnpipe alerts

    txnpipe alerts --rule large_amount --limit 100

    txnpipe alerts --follow
    """
    from txnpipe.operate.alerts import newest_alerts
    from txnpipe.packaging.rules import known_rules
    from txnpipe.warehouse import open_warehouse

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    if follow and run.json:
        raise usage_error("--follow has no end, --json has one document.", "Leave out one of the two.")
    if rule is not None and rule not in known_rules():
        raise usage_error(f"There is no rule {rule}.", f"Known are: {', '.join(known_rules())}.")
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        # What is older than the first ones shown is known, too, and must not come as new.
        asked = max(limit, LOOKED_AT) if follow else limit
        found = newest_alerts(warehouse, limit=asked, rule=rule, run_id=run_id)
        run.out.result("alerts", {"alerts": [_document(alert) for alert in found]})
        if not found and not follow:
            run.out.say("No alerts.")
            return
        rows = [_row(alert) for alert in reversed(found[:limit])]
        run.out.table(None, _COLUMNS, rows, right="amount", whole=("rule", "transaction", "amount"))
        seen = {alert.alert_id for alert in found}
        while follow and not run.out.gone:
            time.sleep(FOLLOW_INTERVAL_S)
            newest = newest_alerts(warehouse, limit=LOOKED_AT, rule=rule, run_id=run_id)
            for alert in reversed([each for each in newest if each.alert_id not in seen]):
                run.out.raw("  ".join(_row(alert)))
            seen |= {alert.alert_id for alert in newest}


def _row(alert: StoredAlert) -> tuple[str, ...]:
    return (
        alert.stored_at.isoformat(sep=" ", timespec="milliseconds"),
        alert.rule,
        alert.transaction_id,
        "" if alert.amount is None else f"{alert.amount:,.2f}",
        alert.detail or "",
    )


def _document(alert: StoredAlert) -> dict[str, Any]:
    def when(moment: Any) -> str | None:
        return None if moment is None else moment.isoformat() + "Z"

    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "transaction_id": alert.transaction_id,
        "account_id": alert.account_id,
        "amount": alert.amount,
        "event_time": when(alert.event_time),
        "detected_at": when(alert.detected_at),
        "stored_at": when(alert.stored_at),
        "run_id": alert.run_id,
        "detail": alert.detail,
    }
