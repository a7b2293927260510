"""What the warehouse is asked for finds every record that holds a text, wherever the text stands in it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.operate.rejects import payload_patterns

RUN = b"20261124T053112-4f9a1c"


def matches(payload: bytes, text: bytes) -> bool:
    stored = base64.b64encode(payload).decode()
    return any(pattern.strip("%") in stored for pattern in payload_patterns(text))


@given(st.binary(max_size=12), st.binary(max_size=12), st.just(RUN) | st.binary(min_size=1, max_size=60))
def test_a_payload_that_holds_the_text_is_found(before: bytes, after: bytes, text: bytes) -> None:
    assert matches(before + text + after, text)


@given(st.binary(max_size=200))
def test_one_without_it_is_not(payload: bytes) -> None:
    assert not matches(payload, RUN)


@pytest.mark.parametrize("other", [b"20261124T053113-4f9a1c", b"20261124T053112-5f9a1c", RUN[:-3]])
def test_another_runs_payload_is_not(other: bytes) -> None:
    assert not any(matches(b"x" * n + other + b'"}', RUN) for n in range(3))


def test_patterns_hold_no_wild_card_inside() -> None:
    assert all(set(pattern[1:-1]).isdisjoint("%_\\") for pattern in payload_patterns(bytes(range(256))))
