"""Which rejects a run sends, as `txnpipe rejects redrive` was asked for them."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two calls of `rejects redrive` the same command, and so the second continue the first's run.

    records: sequence numbers in full, sorted; empty where they were not named one by one. reason: None for
    any. since: as it was asked for, where it is relative ("2h"), else the moment in ISO 8601, UTC without a
    zone; None for all. changes: field → value, as --set has them.
    arrived_since: the moment that `since` meant when the run began, UTC without a zone. It is no part of the
    command: "2h" means another moment every time, and the run goes on with its own.

    Which rejects these are is no part of it either: what the run has sent is stored by and by and so is not
    chosen again, and others arrive.
    """

    records: tuple[str, ...] = ()
    reason: str | None = None
    since: str | None = None
    changes: dict[str, str] = {}
    arrived_since: datetime | None = None

    @property
    def command(self) -> tuple[object, ...]:
        """What is compared."""
        return self.records, self.reason, self.since, self.changes
