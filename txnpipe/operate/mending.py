"""Which rejected records are transactions by now: as they are, or with fields set to other values.

A rejected record stays in `rejected_transactions` whatever becomes of it: the table tells what was sent. What
is sent in its place is a record of its own, in a run of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal

from txnpipe.operate.rejects import Reject
from txnpipe.transactions import InvalidTransaction, Transaction, encode, json_object, parse
from txnpipe.warehouse.interface import Warehouse

FIELDS = tuple(each.name for each in fields(Transaction) if each.name != "run_id")
"""What can be set. run_id is the run's that sends."""
IDS_PER_QUERY = 500


@dataclass
class Mended:
    """payloads: to be sent, in the order in which the rejects arrived, without a run_id.

    What stays: invalid, by the reason that they have now; cut, of which only the beginning was kept; stored,
    whose transaction_id is stored already; repeated, whose transaction_id an earlier one of these has.
    """

    payloads: list[bytes] = field(default_factory=list)
    invalid: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    stored: int = 0
    repeated: int = 0

    @property
    def left(self) -> dict[str, int]:
        """Everything that stays, by cause."""
        others = {"cut_off": self.cut, "stored_already": self.stored, "same_transaction_id": self.repeated}
        return dict(self.invalid) | {cause: count for cause, count in others.items() if count}


def mend(
    warehouse: Warehouse, rejects: Iterable[Reject], changes: Mapping[str, str], taken: Set[str] = frozenset()
) -> Mended:
    """Sorts rejects into those to send and those that stay. changes: field → value; "" takes it away.

    taken: transaction_ids that a run which goes on has already; whatever is stored of them by now, they are
    neither to be sent nor do they stay. Raises WarehouseError.
    """
    mended = Mended()
    found: dict[str, Transaction] = {}
    left_of_taken = set(taken)
    for reject in rejects:
        if not reject.whole:
            mended.cut += 1
            continue
        try:
            transaction = mended_transaction(reject.payload, changes)
        except InvalidTransaction as problem:
            mended.invalid[problem.reason] += 1
            continue
        id_ = transaction.transaction_id
        if id_ in left_of_taken:
            left_of_taken.remove(id_)
        elif id_ in found or id_ in taken:
            mended.repeated += 1
        else:
            found[id_] = transaction
    stored = stored_ids(warehouse, list(found))
    mended.stored = len(stored)
    mended.payloads = [encode(each) for id_, each in found.items() if id_ not in stored]
    return mended


def mended_transaction(payload: bytes, changes: Mapping[str, str]) -> Transaction:
    """The transaction of a payload with fields changed, without a run_id. Raises InvalidTransaction."""
    if changes:
        known = json_object(payload)
        values = {name: known[name] for name in FIELDS if name in known} | dict(changes)
        if isinstance(values.get("amount"), Decimal):
            values["amount"] = str(values["amount"])  # exact, and the contract takes it
        # Elsewhere a number is of the wrong type, whatever its value.
        payload = json.dumps(values, default=float).encode()
    return replace(parse(payload), run_id=None)


def stored_ids(warehouse: Warehouse, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are stored, under any run. Raises WarehouseError."""
    found: set[str] = set()
    for first in range(0, len(ids), IDS_PER_QUERY):
        result = warehouse.query(
            "SELECT DISTINCT transaction_id FROM transactions WHERE transaction_id IN :ids",
            {"ids": tuple(ids[first : first + IDS_PER_QUERY])},
        )
        found |= {str(transaction_id) for (transaction_id,) in result.rows}
    return found
