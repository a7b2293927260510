"""The value of `--since`: a point in time, or how long ago that was."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from txnpipe.errors import TxnpipeError, usage_error

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(rf"([0-9]+(?:\.[0-9]+)?)([{''.join(_UNITS)}])")


def since(text: str, now: datetime) -> datetime:
    """The point in time that `text` names. now: with a zone; a time without one is UTC.

    Raises TxnpipeError (USAGE) for what is neither a time nor a duration, and for what lies in the future.
    """
    match = _DURATION.fullmatch(text.strip())
    try:
        if match is not None:
            when = now - timedelta(**{_UNITS[match[2]]: float(match[1])})
        else:
            when = datetime.fromisoformat(text.strip())
            when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise _bad(text, "lies before all times") from None
    except ValueError:
        raise _bad(text, "is neither a time nor a duration") from None
    if when > now:
        raise _bad(text, f"lies in the future: it is {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return when


def _bad(text: str, why: str) -> TxnpipeError:
    return usage_error(
        f"--since {text!r} {why}.",
        "Pass a time such as 2026-11-24T05:30 (UTC, where it names no zone), or a duration such as 90m, 12h "
        "or 7d.",
    )
