"""The rows of a synthetic run, computed from its manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from txnpipe.proof.tally import BUCKET_ROWS, Tally, Tallying
from txnpipe.traffic.content import Checksum, Content
from txnpipe.traffic.generator import INDEX_DIGITS, Generator
from txnpipe.traffic.manifest import RUN_ID_LENGTH, Manifest

_NAMED_DIGITS = INDEX_DIGITS - (len(str(BUCKET_ROWS)) - 1)


class Story(NamedTuple):
    """A planted anomaly. whole: whether the run goes on to the event that completes it."""

    rule: str
    number: int
    whole: bool


class GeneratedRows:
    """See `Expected`. A bucket is named by the ids' common beginning."""

    ids_are_ours = True

    def __init__(self, manifest: Manifest) -> None:
        self.run_id = manifest.run_id
        self._manifest = manifest
        self._count = manifest.count or 0
        self._generator = Generator(manifest)
        self._mixed = bool(manifest.mix.duplicates or manifest.mix.invalid)
        self._tallying: Tallying | None = None
        self.bucket_sql = f"SUBSTRING(transaction_id, 1, {len(manifest.run_id) + 1 + _NAMED_DIGITS})"

    def begin(self) -> None:
        """See `Expected`."""
        if self._tallying is None:
            self._tallying = Tallying(self._manifest, self._count)

    def close(self) -> None:
        """See `Expected`."""
        if self._tallying is not None:
            self._tallying.close()

    def count(self) -> int:
        """See `Expected`. Repeats and bad records become no rows."""
        return sum(each.rows for each in self._tally().sums) if self._mixed else self._count

    def rejects(self) -> Mapping[bytes, str]:
        """See `Expected`."""
        return self._tally().bad if self._manifest.mix.invalid else {}

    def planted(self) -> Mapping[str, int] | None:
        """See `Expected`."""
        return self._tally().planted

    def checksums(self) -> dict[str, Checksum]:
        """See `Expected`."""
        return {self._name(bucket): each for bucket, each in enumerate(self._tally().sums)}

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """See `Expected`."""
        for name in buckets:
            number = self._number(name)
            if number is None:
                yield name, {}
            else:
                yield name, {content.transaction_id: content for content in self._contents(number)}

    def find(self, ids: Collection[str]) -> dict[str, Content]:
        """See `Expected`."""
        found = {}
        for transaction_id, index in self.positions(ids).items():
            row = self._generator.row(index)
            if row is not None:
                found[transaction_id] = Content(*row)
        return found

    def positions(self, ids: Collection[str]) -> dict[str, int]:
        """See `Expected`. Ids of repeats and bad records are among them."""
        indexes = {transaction_id: self.index(transaction_id) for transaction_id in ids}
        return {transaction_id: index for transaction_id, index in indexes.items() if index is not None}

    def index(self, transaction_id: str) -> int | None:
        """The index of an id of this run."""
        if run_of(transaction_id) != self.run_id:
            return None
        index = int(transaction_id[-INDEX_DIGITS:])
        return index if index < self._count else None

    def reason(self, transaction_id: str) -> str | None:
        """See `Expected`."""
        index = self.index(transaction_id)
        return None if index is None else self._generator.reason(index)

    def story(self, transaction_id: str) -> Story | None:
        """See `Expected`."""
        index = self.index(transaction_id)
        label = None if index is None else self._generator.label(index)
        if label is None:
            return None
        return Story(label.rule, label.story, self._generator.completed_at(label) < self._count)

    def _tally(self) -> Tally:
        self.begin()
        assert self._tallying is not None
        return self._tallying.result()

    def _contents(self, bucket: int) -> Iterator[Content]:
        first = bucket * BUCKET_ROWS
        for outcome in self._generator.outcomes(first, min(first + BUCKET_ROWS, self._count)):
            if outcome.row is not None:
                yield Content(*outcome.row)

    def _name(self, bucket: int) -> str:
        return f"{self.run_id}-{bucket:0{_NAMED_DIGITS}d}"

    def _number(self, name: str) -> int | None:
        digits = name.removeprefix(self.run_id + "-")
        if digits == name or not _is_number(digits) or self._name(int(digits)) != name:
            return None
        return int(digits) if int(digits) * BUCKET_ROWS < self._count else None


def run_of(transaction_id: str) -> str | None:
    """The run that a synthetic event's id names, None where the id is of another making."""
    head, dash = transaction_id[:RUN_ID_LENGTH], transaction_id[RUN_ID_LENGTH : RUN_ID_LENGTH + 1]
    digits = transaction_id[RUN_ID_LENGTH + 1 :]
    return head if dash == "-" and len(digits) == INDEX_DIGITS and _is_number(digits) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
