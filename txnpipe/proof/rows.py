"""Compares what is stored with what was sent: by bucket first, row by row only where buckets differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from txnpipe.proof.checksum import CONTENT_COLUMNS, bucket_query, digest_sql, row_content, total_query
from txnpipe.proof.expected import Expected
from txnpipe.traffic.content import Checksum, Content, digest
from txnpipe.warehouse.interface import Warehouse

NAMED = 1000
"""Of each kind of difference this many ids are named; all are counted."""
EXPLAINED = 200
"""Of the changed rows this many are read again to say which fields differ."""
_BUCKETS_PER_QUERY = 20
_IDS_PER_QUERY = 500

T = TypeVar("T")


@dataclass
class Finding:
    """Ids of one kind of difference: all are counted, the first NAMED are named."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, transaction_id: str, times: int = 1) -> None:
        """Counts an id, and names it while there is room."""
        self.count += times
        if len(self.ids) < NAMED:
            self.ids.append(transaction_id)

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass
class RowProof:
    """expected: records sent, those with a repeated id counted once where a bucket was looked into.

    repeats: records of the input that say again what another record of the same input says: stored once.
    elsewhere: records whose id and content an earlier run has stored already. Neither is a difference.
    fields: for some of the changed ids, the columns that differ.
    """

    expected: int
    stored: int = 0
    missing: Finding = field(default_factory=Finding)
    extra: Finding = field(default_factory=Finding)
    duplicate: Finding = field(default_factory=Finding)
    changed: Finding = field(default_factory=Finding)
    elsewhere: Finding = field(default_factory=Finding)
    repeats: int = 0
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether everything that was sent is stored, once and unchanged, and nothing else of this run."""
        return not (self.missing or self.extra or self.duplicate or self.changed)


def compare_rows(warehouse: Warehouse, expected: Expected, sums: dict[str, Checksum]) -> RowProof:
    """Proves the rows of a run. `sums` is expected.checksums(), which callers compute while they wait."""
    asked, there = sum(sums.values(), Checksum()), stored_total(warehouse, expected)
    proof = RowProof(expected=asked.rows, stored=there.rows)
    stored = stored_checksums(warehouse, expected) if asked != there else sums
    differing = sorted(
        bucket
        for bucket in sums.keys() | stored.keys()
        if sums.get(bucket, Checksum()) != stored.get(bucket, Checksum())
    )
    for some in portions(differing, _BUCKETS_PER_QUERY):
        digests = _stored_digests(warehouse, expected, some)
        missing: dict[str, Content] = {}
        for bucket, rows in expected.members(some):
            missing |= _compare_bucket(proof, rows, digests.get(bucket, []))
            if bucket in sums:
                proof.repeats += sums[bucket].rows - len(rows)
        if not expected.ids_are_ours:
            missing = _without_stored_elsewhere(warehouse, proof, missing)
        for transaction_id in missing:
            proof.missing.add(transaction_id)
    proof.expected -= proof.repeats
    _find_copies(warehouse, expected, proof)
    if proof.missing and expected.ids_are_ours:
        _find_renamed(warehouse, proof)
    if proof.changed:
        _explain(warehouse, expected, proof)
    return proof


def stored_total(warehouse: Warehouse, expected: Expected) -> Checksum:
    """The checksum of all of the run's rows, computed by the warehouse: one pass, and nothing to sort."""
    ((rows, high, low),) = warehouse.query(total_query(warehouse.dialect), {"run_id": expected.run_id}).rows
    return Checksum(int(rows), int(high or 0), int(low or 0))


def stored_checksums(warehouse: Warehouse, expected: Expected) -> dict[str, Checksum]:
    """The checksum of every bucket of the run's rows, computed by the warehouse."""
    sql = bucket_query(warehouse.dialect, expected.bucket_sql)
    result = warehouse.query(sql, {"run_id": expected.run_id})
    return {str(bucket): Checksum(int(rows), int(high), int(low)) for bucket, rows, high, low in result.rows}


def _stored_digests(
    warehouse: Warehouse, expected: Expected, buckets: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    result = warehouse.query(
        f"SELECT {expected.bucket_sql}, transaction_id, {digest_sql(warehouse.dialect)} FROM transactions "  # noqa: S608 - constants
        f"WHERE run_id = :run_id AND {expected.bucket_sql} IN :buckets",
        {"run_id": expected.run_id, "buckets": tuple(buckets)},
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for bucket, transaction_id, row_digest in result.rows:
        found.setdefault(str(bucket), []).append((str(transaction_id), str(row_digest)))
    return found


def _compare_bucket(
    proof: RowProof, expected: dict[str, Content], stored: Sequence[tuple[str, str]]
) -> dict[str, Content]:
    """Books what differs in one bucket, but for the missing rows, which it returns."""
    times = Counter(transaction_id for transaction_id, _ in stored)
    digests: dict[str, set[str]] = {}
    for transaction_id, row_digest in stored:
        digests.setdefault(transaction_id, set()).add(row_digest)
    missing = {}
    for transaction_id, content in expected.items():
        if transaction_id not in times:
            missing[transaction_id] = content
        elif digests[transaction_id] != {digest(content)}:
            proof.changed.add(transaction_id)
    for transaction_id, count in sorted(times.items()):
        if transaction_id not in expected:
            proof.extra.add(transaction_id)
        if count > 1:
            proof.duplicate.add(transaction_id, count - 1)
    return missing


def _without_stored_elsewhere(
    warehouse: Warehouse, proof: RowProof, missing: dict[str, Content]
) -> dict[str, Content]:
    """An input that was sent before is stored under its first run."""
    others = stored_under_any_run(warehouse, list(missing))
    still_missing = {}
    for transaction_id, content in missing.items():
        if digest(content) in others.get(transaction_id, ()):
            proof.elsewhere.add(transaction_id)
        else:
            still_missing[transaction_id] = content
    return still_missing


def _find_renamed(warehouse: Warehouse, proof: RowProof) -> None:
    """A row whose run_id was changed is not missing but changed."""
    renamed = stored_under_any_run(warehouse, proof.missing.ids)
    for transaction_id in sorted(renamed):
        proof.changed.add(transaction_id)
        proof.fields[transaction_id] = ("run_id",)
    proof.missing.ids = [each for each in proof.missing.ids if each not in renamed]
    proof.missing.count -= len(renamed)


def _find_copies(warehouse: Warehouse, expected: Expected, proof: RowProof) -> None:
    """A row of this run that is stored under another run_id as well is there twice, all the same."""
    result = warehouse.query(
        "SELECT transaction_id, COUNT(*) FROM transactions "
        "WHERE (run_id IS NULL OR run_id <> :run_id) AND transaction_id IN "
        "(SELECT transaction_id FROM transactions WHERE run_id = :run_id) "
        "GROUP BY transaction_id ORDER BY transaction_id",
        {"run_id": expected.run_id},
    )
    for transaction_id, copies in result.rows:
        proof.duplicate.add(str(transaction_id), int(copies))


def stored_under_any_run(warehouse: Warehouse, ids: Sequence[str]) -> dict[str, set[str]]:
    """The digests of the rows with these ids, whichever run they belong to."""
    found: dict[str, set[str]] = {}
    for some in portions(ids, _IDS_PER_QUERY):
        result = warehouse.query(
            f"SELECT transaction_id, {digest_sql(warehouse.dialect)} FROM transactions "  # noqa: S608
            "WHERE transaction_id IN :ids",
            {"ids": tuple(some)},
        )
        for transaction_id, row_digest in result.rows:
            found.setdefault(str(transaction_id), set()).add(str(row_digest))
    return found


def _explain(warehouse: Warehouse, expected: Expected, proof: RowProof) -> None:
    ids = [each for each in proof.changed.ids if each not in proof.fields][:EXPLAINED]
    if not ids:
        return
    result = warehouse.query(
        f"SELECT {CONTENT_COLUMNS} FROM transactions WHERE run_id = :run_id AND transaction_id IN :ids",  # noqa: S608
        {"run_id": expected.run_id, "ids": tuple(ids)},
    )
    sent = expected.find(ids)
    for row in result.rows:
        stored = row_content(row)
        content = sent.get(stored.transaction_id)
        if content is not None:
            differing = tuple(
                name
                for name, is_, should in zip(_COLUMN_NAMES, stored, content, strict=True)
                if is_ != should
            )
            proof.fields[stored.transaction_id] = differing or proof.fields.get(stored.transaction_id, ())


_COLUMN_NAMES = (
    "transaction_id",
    "amount",
    "transaction_type",
    "timestamp",
    "account_id",
    "merchant",
    "country",
    "currency",
)


def portions(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items, `size` at a time."""
    return [items[at : at + size] for at in range(0, len(items), size)]
