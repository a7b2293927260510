"""Asks the rules about the rows of a run as they were sent, where the stored ones differ.

A row that was deleted, changed or stored twice changes what the rules find: in itself, and around it in its
account's history. The analytics app read the stream, not the table, so its alerts are those of the rows as
they were sent. The rules' queries therefore get, in place of the table, the table without the rows that
differ and with the right ones instead. A changed or duplicated row keeps its place in the stream; a missing
one comes after the row of its account that was sent before it.

Up to RESTORED rows are put right; where more differ, the rules are asked about the table as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal

from txnpipe.proof.alerts import RuleCheck
from txnpipe.proof.expected import Expected
from txnpipe.proof.rows import RowProof
from txnpipe.traffic.content import Content, moment
from txnpipe.warehouse.interface import Warehouse

RESTORED = 100
"""A statement of the Data API has at most 100 KB (Redshift Management Guide, Data API considerations), and a
restored row takes about 300 bytes, twice."""
_TABLE = re.compile(r"\bFROM transactions\b")
_SUFFIX_DIGITS = 3
"""Put behind every sequence number, so that there is room for missing rows between two of them."""


def restored_alerts(
    warehouse: Warehouse, rules: Sequence[RuleCheck], expected: Expected, rows: RowProof
) -> dict[str, dict[str, str]] | None:
    """What each rule asks for, alert_id → transaction_id; None where too many rows differ."""
    findings = rows.missing, rows.extra, rows.changed, rows.duplicate
    if sum(finding.count for finding in findings) > RESTORED:
        return None
    wrong = sorted({each for finding in findings for each in finding.ids})
    right = expected.find(wrong)
    places = _stored_places(warehouse, [each for each in right if each not in set(rows.missing.ids)])
    missing = [right[each] for each in rows.missing.ids if each in right]
    places |= _places_of_missing(warehouse, expected, missing)
    source, parameters = _source(wrong, [(right[each], place) for each, place in sorted(places.items())])
    parameters["run_id"] = expected.run_id
    asked = {}
    for rule in rules:
        sql = _TABLE.sub(lambda _: f"FROM ({source}) AS transactions", rule.verify_sql)
        result = warehouse.query(sql, parameters)
        asked[rule.name] = {str(alert_id): str(subject) for alert_id, subject in result.rows}
    return asked


def _source(wrong: Sequence[str], right: Sequence[tuple[Content, str]]) -> tuple[str, dict[str, object]]:
    """SQL in place of the table, with the columns that rules look at, and its parameters."""
    parts = [
        'SELECT transaction_id, run_id, amount, "timestamp", account_id, '  # noqa: S608 - constants
        f"sequence_number || '{'0' * _SUFFIX_DIGITS}' AS sequence_number "
        "FROM transactions WHERE transaction_id NOT IN :wrong"
    ]
    parameters: dict[str, object] = {"wrong": tuple(wrong)}
    for n, (content, place) in enumerate(right):
        parts.append(
            f"SELECT CAST(:id_{n} AS VARCHAR(50)), CAST(:run_id AS VARCHAR(50)), "
            f"CAST(:amount_{n} AS DECIMAL(10, 2)), CAST(:when_{n} AS TIMESTAMP), "
            f"CAST(:account_{n} AS VARCHAR(50)), CAST(:place_{n} AS VARCHAR(60))"
        )
        parameters |= {
            f"id_{n}": content.transaction_id,
            f"amount_{n}": Decimal(content.cents).scaleb(-2),
            f"when_{n}": moment(content.micros),
            f"account_{n}": content.account_id,
            f"place_{n}": place,
        }
    return " UNION ALL ".join(parts), parameters


def _stored_places(warehouse: Warehouse, ids: Sequence[str]) -> dict[str, str]:
    """Where in its shard a stored row comes: of copies, the first."""
    if not ids:
        return {}
    result = warehouse.query(
        "SELECT transaction_id, MIN(LPAD(sequence_number, 60, '0')) FROM transactions "
        "WHERE transaction_id IN :ids GROUP BY transaction_id",
        {"ids": tuple(ids)},
    )
    return {str(each): _place(int(sequence), 0) for each, sequence in result.rows}


def _places_of_missing(
    warehouse: Warehouse, expected: Expected, missing: Sequence[Content]
) -> dict[str, str]:
    """A place for each missing row: behind what its account sent before it, before what it sent after it."""
    if not missing:
        return {}
    neighbours = _neighbours(warehouse, expected, {each.account_id for each in missing})
    positions = expected.positions([each.transaction_id for each in missing])
    begins = _first_sequence(warehouse, expected.run_id)
    places = {}
    for n, content in enumerate(sorted(missing, key=lambda each: positions[each.transaction_id]), start=1):
        others = neighbours.get(content.account_id, [])
        at = bisect_left(others, (positions[content.transaction_id], 0))
        before = others[at - 1][1] if at else (others[0][1] if others else begins) - 1
        places[content.transaction_id] = _place(before, n)
    return places


def _neighbours(
    warehouse: Warehouse, expected: Expected, accounts: set[str | None]
) -> Mapping[str | None, list[tuple[int, int]]]:
    """The stored rows of these accounts: position in the run and sequence number, in order of position."""
    named = tuple(sorted(account for account in accounts if account is not None))
    if not named:
        return {}
    result = warehouse.query(
        "SELECT account_id, transaction_id, sequence_number FROM transactions "
        "WHERE run_id = :run_id AND account_id IN :accounts",
        {"run_id": expected.run_id, "accounts": named},
    )
    positions = expected.positions([str(transaction_id) for _, transaction_id, _ in result.rows])
    found: dict[str | None, list[tuple[int, int]]] = {}
    for account, transaction_id, sequence in result.rows:
        if str(transaction_id) in positions:
            found.setdefault(str(account), []).append((positions[str(transaction_id)], int(sequence)))
    return {account: sorted(each) for account, each in found.items()}


def _first_sequence(warehouse: Warehouse, run_id: str) -> int:
    result = warehouse.query(
        "SELECT MIN(LPAD(sequence_number, 60, '0')) FROM transactions WHERE run_id = :run_id",
        {"run_id": run_id},
    )
    return int(result.rows[0][0] or 1)


def _place(sequence: int, behind: int) -> str:
    return f"{sequence}{behind:0{_SUFFIX_DIGITS}d}"
