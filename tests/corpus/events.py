"""Good and bad events, with what the contract says of each.

One corpus for everything that applies the contract: `txnpipe.transactions`, the analytics app's view, the
loader, and the pipeline as a whole. `CASES` is in a fixed order and names are unique.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from txnpipe.transactions import Transaction

TUTORIAL_EVENT = (
    b'{"transaction_id": "txn123", "amount": 12000, "transaction_type": "purchase", '
    b'"timestamp": "2024-12-21T10:00:00Z"}'
)
TUTORIAL_TRANSACTION = Transaction("txn123", Decimal("12000.00"), "purchase", datetime(2024, 12, 21, 10))


@dataclass(frozen=True)
class Case:
    """One record: `data` is what a producer put. Either `transaction` or `reason` is set."""

    name: str
    data: bytes
    transaction: Transaction | None = None
    reason: str | None = None

    @property
    def is_valid(self) -> bool:
        return self.transaction is not None


_ABSENT = object()
_FIELDS: dict[str, Any] = {
    "transaction_id": "t1",
    "amount": 1,
    "transaction_type": "purchase",
    "timestamp": "2024-12-21T10:00:00Z",
}
_NOON = datetime(2024, 12, 21, 12)


def _event(**changes: Any) -> bytes:
    fields = {name: value for name, value in {**_FIELDS, **changes}.items() if value is not _ABSENT}
    return json.dumps(fields).encode()


def _amount(literal: str) -> bytes:
    """The event with `literal` as the text of its amount."""
    return _event(amount="@").replace(b'"@"', literal.encode())


def _good(name: str, data: bytes, **expected: Any) -> Case:
    fields = {
        "transaction_id": "t1",
        "amount": Decimal("1.00"),
        "transaction_type": "purchase",
        "timestamp": datetime(2024, 12, 21, 10),
        **expected,
    }
    return Case(name, data, transaction=Transaction(**fields))


def _bad(name: str, data: bytes, reason: str) -> Case:
    return Case(name, data, reason=reason)


def _records() -> Iterator[Case]:
    """The rules of the record."""
    plain = _event()
    yield Case("the tutorial's event", TUTORIAL_EVENT, transaction=TUTORIAL_TRANSACTION)
    yield _good("smallest event", plain)
    yield _good("white space around", b" \t\r\n" + plain + b"\r\n")
    yield _good("white space inside", json.dumps(_FIELDS, indent=4).encode())
    yield _good("fields in another order", json.dumps(dict(reversed(_FIELDS.items()))).encode())
    yield _good("unknown fields", _event(note="x", tags=["a", 1, None], nested={"a": {"b": 1.5}}))
    yield _good("unknown field that is a deep list", _event(note=json.loads("[" * 90 + "]" * 90)))
    yield _good("many brackets, but flat", _event(note=[[] for _ in range(300)]))
    yield _good("brackets within a string", _event(note="[{" * 200))
    yield _good("unknown field with control characters", _event(note="a\x00b\n"))
    yield _good("escaped backslash before u and surrogate digits", _event(note="\\ud800"))
    yield _good("last of repeated keys counts", plain[:-1] + b', "amount": 2}', amount=Decimal("2.00"))
    yield _good("repeated key, first one bad", b'{"amount": "x", ' + plain[1:])
    yield _good("just within the size limit", _event(note="x" * (65_536 - len(_event(note="")))))
    yield _bad("one byte too large", _event(note="x" * (65_537 - len(_event(note="")))), "too_large")
    yield _bad("1 MB", _event(note="x" * 1_000_000), "too_large")
    yield _bad("empty record", b"", "invalid_json")
    yield _bad("white space only", b" \n", "invalid_json")
    yield _bad("plain text", b"hello", "invalid_json")
    yield _bad("base64 text that is none", b"%%%=not/base64!", "invalid_json")
    yield _bad("encoded twice", base64.b64encode(TUTORIAL_EVENT), "invalid_json")
    yield _bad("cut off", plain[:-1], "invalid_json")
    yield _bad("two objects", plain + plain, "invalid_json")
    yield _bad("text after the object", plain + b" x", "invalid_json")
    yield _bad("single quotes", plain.replace(b'"', b"'"), "invalid_json")
    yield _bad("trailing comma", plain[:-1] + b",}", "invalid_json")
    yield _bad("comment", b"/* x */" + plain, "invalid_json")
    yield _bad("byte order mark", b"\xef\xbb\xbf" + plain, "invalid_json")
    yield _bad("UTF-16", plain.decode().encode("utf-16-le"), "invalid_json")
    yield _bad("a raw line break within a string", plain.replace(b"purchase", b"pur\nchase"), "invalid_json")
    yield _bad("a raw NUL within a string", plain.replace(b"purchase", b"pur\x00chase"), "invalid_json")
    yield _bad("NUL after the object", plain + b"\x00", "invalid_json")
    yield _bad("CSV", b"t1,1,purchase,2024-12-21T10:00:00Z", "invalid_json")
    yield _bad("gzip", bytes.fromhex("1f8b0800000000000003"), "invalid_utf8")
    yield _bad("an array", b"[" + plain + b"]", "not_an_object")
    yield _bad("a string", b'"t1"', "not_an_object")
    yield _bad("a number", b"12000", "not_an_object")
    yield _bad("null", b"null", "not_an_object")
    yield _bad("an empty object", b"{}", "missing_field")
    yield _bad("invalid UTF-8", plain.replace(b"t1", b"t\xff"), "invalid_utf8")
    yield _bad("Latin-1", _event(merchant="@").replace(b"@", "Café".encode("latin-1")), "invalid_utf8")
    yield _bad("overlong UTF-8", plain.replace(b"t1", b"t\xc0\xaf"), "invalid_utf8")
    yield _bad("surrogate in UTF-8", plain.replace(b"t1", b"t\xed\xa0\x80"), "invalid_utf8")
    yield _bad("U+FFFD", plain.replace(b"t1", "t\ufffd".encode()), "invalid_utf8")
    yield _bad("lone high surrogate", plain.replace(b"t1", b"t\\ud800"), "invalid_utf8")
    yield _bad("lone low surrogate", plain.replace(b"t1", b"t\\udc00"), "invalid_utf8")
    yield _bad("surrogates in the wrong order", plain.replace(b"t1", b"\\udc00\\ud800"), "invalid_utf8")
    yield _bad("101 deep", b'{"note":' + b"[" * 100 + b"]" * 100 + b"," + plain[1:], "too_deep")
    yield _bad("10,000 deep", b'{"note":' + b"[" * 10_000 + b"]" * 10_000 + b"," + plain[1:], "too_deep")
    yield _bad("10,000 objects deep, cut off", b'{"a":' * 10_000, "too_deep")
    yield _bad(
        "5,000 digits in an unknown field", _event(note=0)[:-1] + b"9" * 5000 + b"}", "number_too_long"
    )


def _strings() -> Iterator[Case]:
    """The rules of text fields."""
    limits = {
        "transaction_id": 50,
        "transaction_type": 20,
        "account_id": 50,
        "merchant": 100,
        "country": 10,
        "currency": 10,
        "run_id": 50,
    }
    for name, limit in limits.items():
        longest = "é" * (limit // 2)
        yield _good(f"{name} of {limit} bytes", _event(**{name: longest}), **{name: longest})
        yield _bad(f"{name} of {limit + 1} bytes", _event(**{name: longest + "x"}), "too_long")
        yield _bad(f"{name} is a number", _event(**{name: 7}), "wrong_type")
    for name in ("transaction_id", "amount", "transaction_type", "timestamp"):
        yield _bad(f"no {name}", _event(**{name: _ABSENT}), "missing_field")
        yield _bad(f"{name} is null", _event(**{name: None}), "missing_field")
        yield _bad(f"{name} is an array", _event(**{name: ["1"]}), "wrong_type")
        yield _bad(f"{name} is an object", _event(**{name: {"a": 1}}), "wrong_type")
        yield _bad(f"{name} is true", _event(**{name: True}), "wrong_type")
    yield _bad("transaction_id is empty", _event(transaction_id=""), "empty_field")
    yield _bad("transaction_type is empty", _event(transaction_type=""), "empty_field")
    yield _bad("field name in capitals", _event().replace(b"amount", b"Amount"), "missing_field")
    yield _good("optional field is null", _event(account_id=None))
    yield _good("optional field is empty", _event(account_id="", merchant=""))
    yield _good(
        "all fields",
        _event(account_id="a-1", merchant="Café", country="FR", currency="EUR", run_id="r-1"),
        account_id="a-1",
        merchant="Café",
        country="FR",
        currency="EUR",
        run_id="r-1",
    )
    yield _bad("account_id is false", _event(account_id=False), "wrong_type")
    yield _bad("merchant is an object", _event(merchant={"name": "x"}), "wrong_type")
    yield _bad("an array of characters", _event(currency=["E", "U", "R"]), "wrong_type")
    yield _good("50 characters, 100 bytes", _event(merchant="é" * 50), merchant="é" * 50)
    yield _bad("26 characters, 52 bytes", _event(transaction_id="é" * 26), "too_long")
    yield _good("emoji as an escaped pair", _event(merchant="\U0001f600"), merchant="\U0001f600")
    yield _good(
        "emoji as UTF-8",
        json.dumps({**_FIELDS, "merchant": "\U0001f600"}, ensure_ascii=False).encode(),
        merchant="\U0001f600",
    )
    yield _good(
        "quotes and backslashes", _event(merchant='O\'Neil "&" \\ Co; --'), merchant='O\'Neil "&" \\ Co; --'
    )
    yield _good("a percent sign", _event(merchant="100%s %(x)s %"), merchant="100%s %(x)s %")
    yield _good("a line separator", _event(merchant="a\u2028b"), merchant="a\u2028b")
    yield _good("spaces around a merchant", _event(merchant=" x "), merchant=" x ")
    yield _bad("escaped NUL", _event(transaction_id="t\x00"), "control_character")
    yield _bad("escaped line break", _event(merchant="a\nb"), "control_character")
    yield _bad("tab", _event(transaction_type="a\tb"), "control_character")
    yield _bad("escape", _event(account_id="\x1b[31m"), "control_character")
    yield _bad("delete", _event(run_id="a\x7f"), "control_character")
    yield _bad("U+FFFF", _event(merchant="a\uffff"), "control_character")
    yield _bad("U+FDD0", _event(currency="\ufdd0"), "control_character")
    yield _bad("escaped U+FFFD", _event(transaction_id="t\ufffd"), "control_character")
    yield _bad("leading space in an id", _event(transaction_id=" t1"), "surrounding_space")
    yield _bad("trailing space in an id", _event(transaction_id="t1 "), "surrounding_space")
    yield _bad("trailing space in an account", _event(account_id="a "), "surrounding_space")
    yield _bad("a run that is a space", _event(run_id=" "), "surrounding_space")


def _amounts() -> Iterator[Case]:
    """The rules of the amount. Each literal stands in the JSON as it is written here."""
    good = {
        "0": "0.00",
        "-0": "0.00",
        "-0.0": "0.00",
        "0e0": "0.00",
        "0.01": "0.01",
        "-12.3": "-12.30",
        "12000.10": "12000.10",
        "12000.100": "12000.10",
        "1.2e4": "12000.00",
        "12E+3": "12000.00",
        "150e-2": "1.50",
        "10000.01": "10000.01",
        "99999999.99": "99999999.99",
        "-99999999.99": "-99999999.99",
        '"12000"': "12000.00",
        '"12000.10"': "12000.10",
        '"-1.5"': "-1.50",
        '"1.2e4"': "12000.00",
        '"-0"': "0.00",
    }
    for literal, value in good.items():
        yield _good(f"amount {literal}", _amount(literal), amount=Decimal(value))
    bad = {
        "amount_precision": ["1.005", "0.001", "-0.009", "1e-3", "99999999.985", '"1.005"', '"0.999"'],
        "amount_out_of_range": [
            "100000000",
            "-100000000",
            "99999999.995",
            "1e8",
            "1e400",
            "-1e400",
            "1e99999999999999999999",
            "9" * 400,
            '"100000000"',
            '"1e400"',
        ],
        "invalid_amount": [
            '""',
            '"abc"',
            '" 5"',
            '"5 "',
            '"+5"',
            '"5."',
            '".5"',
            '"007"',
            '"1,000.00"',
            '"1_000"',
            '"$5"',
            '"0x1F"',
            '"NaN"',
            '"Infinity"',
            '"-inf"',
            '"1e"',
            '"--1"',
            '"٣"',
            '"12\\u0000"',
        ],
        "invalid_json": [
            "NaN",
            "Infinity",
            "-Infinity",
            "+5",
            "007",
            "5.",
            ".5",
            "0x1F",
            "1_000",
            "True",
            "- 1",
        ],
        "number_too_long": ["9" * 5000, "0." + "0" * 5000, f'"{"9" * 5000}"'],
    }
    for reason, literals in bad.items():
        for literal in literals:
            shown = literal if len(literal) < 40 else f"{literal[:6]}… of {len(literal)} characters"
            yield _bad(f"amount {shown}", _amount(literal), reason)


def _timestamps() -> Iterator[Case]:
    """The rules of the timestamp."""
    good = {
        "2024-12-21T12:00:00Z": _NOON,
        "2024-12-21T12:00:00": _NOON,
        "2024-12-21 12:00:00": _NOON,
        "2024-12-21 12:00:00Z": _NOON,
        "2024-12-21T12:00:00+00:00": _NOON,
        "2024-12-21T12:00:00-00:00": _NOON,
        "2024-12-21T13:00:00+01:00": _NOON,
        "2024-12-21T06:30:00-05:30": _NOON,
        "2024-12-22T02:00:00+14:00": _NOON,
        "2024-12-20T22:00:00-14:00": _NOON,
        "2024-12-21T12:00:00.5Z": _NOON.replace(microsecond=500_000),
        "2024-12-21T12:00:00.123Z": _NOON.replace(microsecond=123_000),
        "2024-12-21T12:00:00.123456": _NOON.replace(microsecond=123_456),
        "2024-12-21T12:00:00.123456789Z": _NOON.replace(microsecond=123_456),
        "2024-12-21T12:00:00.999999999+00:00": _NOON.replace(microsecond=999_999),
        "2024-02-29T12:00:00Z": datetime(2024, 2, 29, 12),
        "0001-01-01T00:00:00Z": datetime(1, 1, 1),
        "1582-10-10T00:00:00Z": datetime(1582, 10, 10),
        "1969-12-31T23:59:59Z": datetime(1969, 12, 31, 23, 59, 59),
        "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999_999),
        "2099-01-01T00:00:00Z": datetime(2099, 1, 1),
    }
    for text, moment in good.items():
        yield _good(f"timestamp {text}", _event(timestamp=text), timestamp=moment)
    bad = [
        "",
        "yesterday",
        "2024-12-21",
        "12:00:00",
        "2024-12-21T12:00Z",
        "2024-12-21T12Z",
        "20241221T120000Z",
        "2024-12-21T12:00:00z",
        "2024-12-21t12:00:00Z",
        "2024-12-21T12:00:00 Z",
        " 2024-12-21T12:00:00Z",
        "2024-12-21T12:00:00Z\n",
        "2024-12-21T12:00:00,5Z",
        "2024-12-21T12:00:00.Z",
        "2024-12-21T12:00:00.1234567890Z",
        "2024-12-21T12:00:00+01",
        "2024-12-21T12:00:00+0100",
        "2024-12-21T12:00:00+14:01",
        "2024-12-21T12:00:00+01:60",
        "2024-12-21T12:00:00 Europe/Paris",
        "2024-12-21T12:00:00[UTC]",
        "2024-12-21T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2024-12-21T12:60:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-W51-6T12:00:00Z",
        "2024-1-1T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "21/12/2024 12:00:00",
        "1734782400",
        "２０２４-12-21T12:00:00Z",
    ]
    for text in bad:
        yield _bad(f"timestamp {text!r}", _event(timestamp=text), "invalid_timestamp")
    yield _bad(
        "timestamp before year 1", _event(timestamp="0001-01-01T00:00:00+01:00"), "timestamp_out_of_range"
    )
    yield _bad(
        "timestamp after 9999", _event(timestamp="9999-12-31T23:59:59-00:01"), "timestamp_out_of_range"
    )
    yield _bad("timestamp is a number", _event(timestamp=1734782400), "wrong_type")


CASES: tuple[Case, ...] = (*_records(), *_strings(), *_amounts(), *_timestamps())
GOOD: tuple[Case, ...] = tuple(case for case in CASES if case.is_valid)
BAD: tuple[Case, ...] = tuple(case for case in CASES if not case.is_valid)
POISON: tuple[Case, ...] = tuple(
    case
    for case in BAD
    if case.name
    in {
        "base64 text that is none",
        "encoded twice",
        "cut off",
        "invalid UTF-8",
        "lone high surrogate",
        "a raw NUL within a string",
        "1 MB",
        "10,000 deep",
        "an array",
        "an empty object",
        "no amount",
        "transaction_id is a number",
        "transaction_id of 51 bytes",
        "26 characters, 52 bytes",
        "transaction_id is empty",
        "escaped NUL",
        "amount is true",
        "amount NaN",
        "amount 1e400",
        "amount 1.005",
        "amount 999999… of 5000 characters",
        "timestamp 'yesterday'",
        "timestamp '2023-02-29T00:00:00Z'",
    }
)
"""More than twenty different ways in which a record can be bad, for tests that mix them into good ones."""
