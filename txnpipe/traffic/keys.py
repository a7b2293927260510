"""Which field of a record is its partition key: records with the same value share a shard, in their order."""

from __future__ import annotations

from typing import Literal, get_args

from txnpipe.transactions import Transaction

PartitionKey = Literal["account_id", "transaction_id", "merchant", "country", "currency", "transaction_type"]

PARTITION_KEYS: tuple[PartitionKey, ...] = get_args(PartitionKey)
ACCOUNT: PartitionKey = "account_id"
"""The default, and the only one that keeps an account's records in order, whatever they hold."""


def key_of(transaction: Transaction, field: PartitionKey = ACCOUNT) -> str:
    """The value of the field; the transaction_id where the record has none."""
    value: str | None = getattr(transaction, field)
    return value or transaction.transaction_id
