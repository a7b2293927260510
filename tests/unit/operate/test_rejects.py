"""What is shown of a refused record."""

from __future__ import annotations

from datetime import datetime

import pytest

from txnpipe.operate.rejects import Reject

AT = datetime(2026, 1, 1)


def reject(payload: bytes) -> Reject:
    return Reject("s", "shardId-0", "1", "invalid_json", "d", len(payload), "0" * 64, payload, AT, AT)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"a":\t1}\n', '{"a":\t1}\n'),
        ("Café ✓".encode(), "Café ✓"),
        (b"\x1b]0;title\x07\x1b[2J\r", "\\x1b]0;title\\x07\\x1b[2J\\r"),
        (b"\xff\x00", "\\xff\\x00"),
        ("\u202eright to left".encode(), "\\u202eright to left"),
    ],
)
def test_a_payload_cannot_control_the_terminal(payload: bytes, text: str) -> None:
    assert reject(payload).text == text
