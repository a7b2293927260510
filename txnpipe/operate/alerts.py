"""The newest alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from txnpipe.warehouse.interface import Warehouse


@dataclass(frozen=True)
class StoredAlert:
    """One row of `alerts`; times are UTC without a zone."""

    alert_id: str
    rule: str
    transaction_id: str
    account_id: str | None
    amount: Decimal | None
    event_time: datetime | None
    detected_at: datetime | None
    run_id: str | None
    detail: str | None
    stored_at: datetime


_COLUMNS = (
    "alert_id, rule, transaction_id, account_id, amount, event_time, detected_at, run_id, detail, stored_at"
)


def newest_alerts(
    warehouse: Warehouse, *, limit: int, rule: str | None = None, run_id: str | None = None
) -> list[StoredAlert]:
    """At most `limit` alerts, the last stored first."""
    conditions = ["1 = 1"]
    parameters: dict[str, object] = {"limit": limit}
    if rule is not None:
        conditions.append("rule = :rule")
        parameters["rule"] = rule
    if run_id is not None:
        conditions.append("run_id = :run_id")
        parameters["run_id"] = run_id
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM alerts WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        "ORDER BY stored_at DESC, alert_id LIMIT :limit",
        parameters,
    )
    return [StoredAlert(*row) for row in result.rows]


def alerts_of(warehouse: Warehouse, transaction_id: str) -> list[StoredAlert]:
    """Every alert of one transaction."""
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM alerts WHERE transaction_id = :id ORDER BY alert_id",  # noqa: S608 - constants
        {"id": transaction_id},
    )
    return [StoredAlert(*row) for row in result.rows]
