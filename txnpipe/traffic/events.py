"""What the generator makes: events, what was planted in them, and what must become of them."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event in the form that is cheap to compute; `micros` is UTC in microseconds since 1970."""

    transaction_id: str
    cents: int
    transaction_type: str
    micros: int
    account_id: str
    merchant: str
    country: str
    currency: str


class Label(NamedTuple):
    """A planted anomaly. `story` is the lane where it takes place, or the index of a single event.

    decisive: whether this is the event that completes the anomaly; the others only prepare it.
    """

    rule: str
    story: int
    decisive: bool


class Outcome(NamedTuple):
    """What must become of one record: a row, or a reject for this reason, or nothing more where it repeats an
    earlier one. planted: the rule whose anomaly this record completes."""

    row: Event | None
    reason: str | None
    planted: str | None
