"""`--since`: a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from txnpipe.cli.since import since
from txnpipe.errors import ExitCode, TxnpipeError

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        (" 0s ", timedelta()),
        ("2026-11-24", timedelta(hours=12)),
        ("2026-11-24T05:30", timedelta(hours=6, minutes=30)),
        ("2026-11-24 05:30:30Z", timedelta(hours=6, minutes=29, seconds=30)),
        ("2026-11-24T05:30+02:00", timedelta(hours=8, minutes=30)),
    ],
)
def test_times_and_durations(text: str, ago: timedelta) -> None:
    assert since(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a time nor a duration"),
        ("yesterday", "neither a time nor a duration"),
        ("5", "neither a time nor a duration"),
        ("-5m", "neither a time nor a duration"),
        ("5 minutes", "neither a time nor a duration"),
        ("2026-02-30", "neither a time nor a duration"),
        ("999999999999999d", "before all times"),
        ("9999999d", "before all times"),
        ("0001-01-01T00:00+14:00", "before all times"),
        ("2026-11-24T12:01", "in the future: it is 2026-11-24T12:00:00Z"),
        ("2027-01-01", "in the future"),
    ],
)
def test_what_is_neither_says_so_and_what_to_pass(text: str, why: str) -> None:
    with pytest.raises(TxnpipeError) as raised:
        since(text, NOW)
    assert raised.value.exit_code == ExitCode.USAGE
    assert why in raised.value.cause
    assert "7d" in raised.value.fix
