"""The event contract: the corpus, and the properties that hold for every input."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.corpus.events import CASES, POISON, TUTORIAL_EVENT, TUTORIAL_TRANSACTION, Case
from txnpipe.transactions import (
    MAX_EVENT_BYTES,
    REASONS,
    InvalidTransaction,
    Transaction,
    amount,
    encode,
    json_object,
    optional_text,
    parse,
    parse_values,
    partition_key,
    required_text,
    timestamp,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus(case: Case) -> None:
    if case.transaction is not None:
        assert parse(case.data) == case.transaction
    else:
        with pytest.raises(InvalidTransaction) as caught:
            parse(case.data)
        assert caught.value.reason == case.reason


def test_corpus_shows_every_reason_and_names_each_case_once() -> None:
    assert {case.reason for case in CASES} - {None} == set(REASONS)
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(POISON) >= 20


def test_the_tutorials_event_is_read_exactly() -> None:
    assert parse(TUTORIAL_EVENT) == TUTORIAL_TRANSACTION
    assert str(parse(TUTORIAL_EVENT).amount) == "12000.00"


NEVER = [*map(chr, (*range(0x20), 0x7F, *range(0xFDD0, 0xFDF0), 0xFFFD, 0xFFFE, 0xFFFF))]


def texts(limit: int, *, identifier: bool = False) -> st.SearchStrategy[str]:
    found = st.text(
        st.characters(codec="utf-8", exclude_characters=NEVER),
        min_size=1,
        max_size=limit,
    ).filter(lambda text: len(text.encode()) <= limit)
    return found.filter(lambda text: text == text.strip(" ")) if identifier else found


transactions = st.builds(
    Transaction,
    transaction_id=texts(50, identifier=True),
    amount=st.integers(-9_999_999_999, 9_999_999_999).map(lambda cents: Decimal(cents).scaleb(-2)),
    transaction_type=texts(20),
    timestamp=st.datetimes(),
    account_id=st.none() | texts(50, identifier=True),
    merchant=st.none() | texts(100),
    country=st.none() | texts(10),
    currency=st.none() | texts(10),
    run_id=st.none() | texts(50, identifier=True),
)


@given(transactions)
@example(dataclasses.replace(TUTORIAL_TRANSACTION, merchant="\\ud800"))
@example(dataclasses.replace(TUTORIAL_TRANSACTION, merchant="\\\\ud800"))
@example(dataclasses.replace(TUTORIAL_TRANSACTION, merchant="\\\U0001f600"))
def test_what_is_encoded_is_parsed_back(transaction: Transaction) -> None:
    assert parse(encode(transaction)) == transaction


@given(transactions)
def test_encoding_is_standard_json_without_loss(transaction: Transaction) -> None:
    fields = json.loads(encode(transaction), parse_float=Decimal)
    assert fields.pop("amount") == transaction.amount
    moment = datetime.fromisoformat(fields.pop("timestamp"))
    assert moment == transaction.timestamp.replace(tzinfo=UTC)
    expected = dataclasses.asdict(transaction)
    assert fields == {k: v for k, v in expected.items() if k not in {"amount", "timestamp"} and v is not None}


@given(transactions)
def test_repeats_and_accounts_share_a_partition_key_that_kinesis_takes(transaction: Transaction) -> None:
    key = partition_key(transaction)
    assert key == (transaction.account_id or transaction.transaction_id)
    assert 1 <= len(key) <= 256


def _parses_or_refuses(data: bytes) -> None:
    try:
        transaction = parse(data)
    except InvalidTransaction as error:
        assert error.reason in REASONS
        assert error.detail.isascii()
        assert error.detail.isprintable()
        assert len(error.detail) <= 300
    else:
        assert parse(encode(transaction)) == transaction


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_a_reason(data: bytes) -> None:
    _parses_or_refuses(data)


@given(st.data())
def test_any_mutilation_of_an_event_is_a_transaction_or_a_reason(data: st.DataObject) -> None:
    good = bytearray(TUTORIAL_EVENT)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(good)))
        end = data.draw(st.integers(start, min(len(good), start + 8)))
        good[start:end] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"\\", b"\\ud8", b"e99", b"{", b"0"])
        )
    _parses_or_refuses(bytes(good))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Transaction)]), json_values, min_size=1
    )
)
def test_any_json_in_any_field_is_a_transaction_or_a_reason(changes: dict[str, object]) -> None:
    _parses_or_refuses(json.dumps({**json.loads(TUTORIAL_EVENT), **changes}).encode())


def _by_the_rules(data: bytes) -> object:
    """What the rules of the single fields make of a record, each asked in the contract's order."""
    try:
        fields = json_object(data)
        return (
            required_text(fields, "transaction_id", 50, identifier=True),
            amount(fields, "amount"),
            required_text(fields, "transaction_type", 20),
            timestamp(fields, "timestamp"),
            optional_text(fields, "account_id", 50, identifier=True),
            optional_text(fields, "merchant", 100),
            optional_text(fields, "country", 10),
            optional_text(fields, "currency", 10),
            optional_text(fields, "run_id", 50, identifier=True),
        )
    except InvalidTransaction as error:
        return error.reason, error.detail


_FIELD_VALUES: st.SearchStrategy[object] = st.sampled_from(
    [
        None,
        "",
        " ",
        "x",
        " x",
        "x ",
        "x y",
        "\x7f",
        "\t",
        "é",
        "\ufffe",
        "'\\\"",
        "€" * 17,
        0,
        1.5,
        True,
        [],
        {},
    ]
) | st.sampled_from([10, 11, 20, 21, 50, 51, 100, 101]).map(lambda length: "n" * length)


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Transaction)]), _FIELD_VALUES, min_size=1
    ),
    st.booleans(),
)
def test_what_passes_at_a_glance_is_what_the_rules_let_pass(
    changes: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps({**json.loads(TUTORIAL_EVENT), **changes}, ensure_ascii=ascii_only)
    data = text.encode("utf-8", "surrogatepass")
    found: object
    try:
        found = parse_values(data)
    except InvalidTransaction as error:
        found = error.reason, error.detail
    assert found == _by_the_rules(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * MAX_EVENT_BYTES,
        b'{"a":' * (MAX_EVENT_BYTES // 5),
        b'"' * MAX_EVENT_BYTES,
        b"\\" * MAX_EVENT_BYTES,
        b'{"amount":"' + b"9" * 65_000 + b'"}',
        b'{"amount":' + b"9" * 65_000 + b"}",
        b'{"amount":1e' + b"9" * 900 + b"}",
        b'{"amount":' + b"1." * 30_000 + b"}",
        b'{"note":"' + b"\\ud83d\\ude00" * 5_000 + b'"}',
        b'{"note":"' + b"\\\\" * 30_000 + b'"}',
        b"9" * 10_000_000,
    ],
    ids=lambda data: f"{data[:12]!r}… of {len(data)} bytes",
)
def test_hostile_records_are_refused_within_a_moment(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InvalidTransaction):
        parse(data)
    assert time.process_time() - started < 0.2


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_taken_off(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    data = json.dumps({**json.loads(TUTORIAL_EVENT), "timestamp": zoned.isoformat()}).encode()
    assert parse(data).timestamp == zoned.astimezone(UTC).replace(tzinfo=None)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9))
def test_an_amount_is_exact_or_refused(amount: Decimal) -> None:
    fields = {**json.loads(TUTORIAL_EVENT), "amount": "@"}
    literal = f"{amount:f}" if amount.adjusted() > -50 else str(amount)
    for written in (literal, f'"{literal}"'):
        data = json.dumps(fields).replace('"@"', written).encode()
        fits = abs(amount) < 10**8 and amount == round(amount, 2)
        if fits:
            assert parse(data).amount == amount
            assert parse(data).amount.as_tuple().exponent == -2
        else:
            with pytest.raises(InvalidTransaction, match="amount_"):
                parse(data)


def test_parsing_leaves_the_callers_recursion_room_alone() -> None:
    """A record of depth 100 is read from a stack that is fairly deep already."""
    data = b'{"note":' + b"[" * 99 + b"]" * 99 + b"," + TUTORIAL_EVENT[1:]

    def deeper(levels: int) -> Transaction:
        return deeper(levels - 1) if levels else parse(data)

    assert deeper(500) == TUTORIAL_TRANSACTION
    try:
        assert _at_the_edge(data) == TUTORIAL_TRANSACTION  # Python 3.12 and later count C recursion apart
    except InvalidTransaction as error:
        assert error.reason == "too_deep"


def _at_the_edge(data: bytes) -> Transaction:
    """Parses where the stack has room for parse itself, and not for the record's depth."""
    try:
        return _at_the_edge(data)
    except RecursionError:
        return parse(data)
