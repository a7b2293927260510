"""The event contract: what a transaction is, how it is read and how it is written.

One Kinesis record carries one event: a JSON object in UTF-8. This module is the one definition of it for the
sender, the loader (it is packed into the loader's zip, hence standard library only) and the proof. The
analytics app states the same rules in Flink SQL; `tests/corpus/events.py` holds the two together, and the
rules are chosen so that SQL can express them.

The record
    at most 65,536 bytes (`MAX_EVENT_BYTES`); valid UTF-8 without U+FFFD (what lenient decoders leave in place
    of invalid bytes) and without the escape of a lone surrogate; one JSON object and nothing but white space
    around it; no NaN or Infinity; nested at most 100 deep (`MAX_DEPTH`); no run of more than 1,000 digits
    (`MAX_DIGITS`). Where a key is repeated the last one counts. Unknown keys are ignored.

The fields
    transaction_id    string, 1-50 bytes of UTF-8, required, an identifier
    amount            JSON number, or a string that holds one; required; its exact value has at most two
                      decimals and lies between -99,999,999.99 and 99,999,999.99: DECIMAL(10,2). "12000.100"
                      and 1.2e4 are fine, 1.005, "+5", " 5" and "0x5" are not. Negative zero is zero
    transaction_type  string, 1-20 bytes, required
    timestamp         string, required: YYYY-MM-DDTHH:MM:SS, then 0-9 decimals of a second (kept to the
                      microsecond, the rest is cut off), then Z or an offset of at most 14 hours (+01:00) or
                      nothing, which means UTC. A space may stand for the T. No leap second, no 24:00, no
                      lower case. In UTC it lies in the years 1-9999
    account_id        string, at most 50 bytes, optional, an identifier
    merchant          string, at most 100 bytes, optional
    country           string, at most 10 bytes, optional
    currency          string, at most 10 bytes, optional
    run_id            string, at most 50 bytes, optional, an identifier: the `txnpipe send` that made it

    A required field that is absent or null is missing, one that is "" is empty; an optional field that is
    null or "" is absent. No string holds a control character (U+0000-U+001F, U+007F), a code point that
    Unicode keeps from being a character (U+FDD0-U+FDEF, U+FFFE, U+FFFF), or U+FFFD, even where it is written
    as an escape: not all of them can be stored and sent on. An identifier has no space at either end:
    Redshift ignores trailing blanks when it compares, and two ids must not become one.

A record that breaks a rule raises `InvalidTransaction` with one of `REASONS`; the first rule broken, in the
order above, names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn

MAX_EVENT_BYTES = 65_536
MAX_DEPTH = 100
"""Of objects and arrays. Python's JSON parser recurses and Flink's stops at 1,000."""
MAX_DIGITS = 1000
"""The longest number that Flink's JSON parser reads; Python's would take 4,300 digits."""

FORBIDDEN_CHARACTERS = r"[\x00-\x1f\x7f\ufdd0-\ufdef\ufffd-\uffff]"
"""What no string holds, as a regular expression of Python and of Java."""

TRANSACTION_ID_BYTES = 50
TRANSACTION_TYPE_BYTES = 20
ACCOUNT_ID_BYTES = 50
MERCHANT_BYTES = 100
COUNTRY_BYTES = 10
CURRENCY_BYTES = 10
RUN_ID_BYTES = 50

REASONS: Mapping[str, str] = {
    "too_large": "the record has more than 65,536 bytes",
    "invalid_utf8": "the record is not UTF-8, or holds U+FFFD or a lone surrogate",
    "too_deep": "objects or arrays are nested more than 100 deep",
    "number_too_long": "more than 1,000 digits in a row",
    "invalid_json": "the record is not JSON",
    "not_an_object": "the record is JSON, but not an object",
    "missing_field": "a required field is absent or null",
    "wrong_type": "a field has another type than the contract says",
    "empty_field": "a required string is empty",
    "too_long": "a string has too many bytes",
    "control_character": "a string holds a control character, U+FFFD, or a code point that is no character",
    "surrounding_space": "an identifier starts or ends with a space",
    "invalid_amount": "the amount is a string that does not hold a number",
    "amount_precision": "the amount has more than two decimals",
    "amount_out_of_range": "the amount does not fit DECIMAL(10,2)",
    "invalid_timestamp": "the timestamp is not ISO 8601 as the contract says",
    "timestamp_out_of_range": "the timestamp lies outside the years 1-9999 in UTC",
}
"""Every reason that `parse` gives, with its meaning. The loader adds its own."""


class InvalidTransaction(Exception):  # noqa: N818 - the contract's word for it
    """A record breaks the contract. `reason` is a key of REASONS, `detail` says where and how.

    `detail` is printable ASCII of at most 300 characters: it goes into logs and into the warehouse.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Transaction:
    """One valid event. `amount` has exactly two decimals, `timestamp` is UTC without a zone.

    Only `parse` checks: whoever builds one otherwise keeps to the contract, or encodes and parses it.
    """

    transaction_id: str
    amount: Decimal
    transaction_type: str
    timestamp: datetime
    account_id: str | None = None
    merchant: str | None = None
    country: str | None = None
    currency: str | None = None
    run_id: str | None = None


def parse(data: bytes) -> Transaction:
    """Reads one event. Raises InvalidTransaction, and nothing else, in time linear in len(data)."""
    return Transaction(*parse_values(data))


def parse_values(data: bytes) -> tuple[Any, ...]:
    """Reads one event as the values of Transaction's fields, in order. Otherwise as `parse`.

    For the loader, which needs no frozen object. What does not pass at a glance is left to the rules below.
    """
    fields, plain = _read(data)
    get = fields.get
    transaction_id = get("transaction_id")
    if not (
        plain
        and type(transaction_id) is str
        and 0 < len(transaction_id) <= TRANSACTION_ID_BYTES
        and transaction_id[0] != " " != transaction_id[-1]
    ):
        transaction_id = required_text(fields, "transaction_id", TRANSACTION_ID_BYTES, identifier=True)
    cents = amount(fields, "amount")
    kind = get("transaction_type")
    if not (plain and type(kind) is str and 0 < len(kind) <= TRANSACTION_TYPE_BYTES):
        kind = required_text(fields, "transaction_type", TRANSACTION_TYPE_BYTES)
    moment = timestamp(fields, "timestamp")
    account_id = get("account_id")
    if account_id is not None and not (
        plain
        and type(account_id) is str
        and 0 < len(account_id) <= ACCOUNT_ID_BYTES
        and account_id[0] != " " != account_id[-1]
    ):
        account_id = optional_text(fields, "account_id", ACCOUNT_ID_BYTES, identifier=True)
    merchant = get("merchant")
    if merchant is not None and not (plain and type(merchant) is str and 0 < len(merchant) <= MERCHANT_BYTES):
        merchant = optional_text(fields, "merchant", MERCHANT_BYTES)
    country = get("country")
    if country is not None and not (plain and type(country) is str and 0 < len(country) <= COUNTRY_BYTES):
        country = optional_text(fields, "country", COUNTRY_BYTES)
    currency = get("currency")
    if currency is not None and not (plain and type(currency) is str and 0 < len(currency) <= CURRENCY_BYTES):
        currency = optional_text(fields, "currency", CURRENCY_BYTES)
    run_id = get("run_id")
    if run_id is not None and not (
        plain and type(run_id) is str and 0 < len(run_id) <= RUN_ID_BYTES and run_id[0] != " " != run_id[-1]
    ):
        run_id = optional_text(fields, "run_id", RUN_ID_BYTES, identifier=True)
    return transaction_id, cents, kind, moment, account_id, merchant, country, currency, run_id


def encode(transaction: Transaction) -> bytes:
    """The event as compact ASCII JSON: equal transactions, equal bytes; absent fields are left out."""
    quote = encode_basestring_ascii
    t = transaction
    text = (
        f'{{"transaction_id":{quote(t.transaction_id)},"amount":{t.amount},'
        f'"transaction_type":{quote(t.transaction_type)},"timestamp":"{t.timestamp.isoformat()}Z"'
    )
    if t.account_id is not None:
        text += f',"account_id":{quote(t.account_id)}'
    if t.merchant is not None:
        text += f',"merchant":{quote(t.merchant)}'
    if t.country is not None:
        text += f',"country":{quote(t.country)}'
    if t.currency is not None:
        text += f',"currency":{quote(t.currency)}'
    if t.run_id is not None:
        text += f',"run_id":{quote(t.run_id)}'
    return (text + "}").encode("ascii")


def partition_key(transaction: Transaction) -> str:
    """account_id where there is one, else transaction_id: repeats and an account's order share a shard."""
    return transaction.account_id or transaction.transaction_id


def json_object(data: bytes) -> dict[str, Any]:
    """The record as a dict: numbers are int or Decimal, never float. Applies the rules of "The record"."""
    return _read(data)[0]


def _read(data: bytes) -> tuple[dict[str, Any], bool]:
    """The record as a dict, and whether it is plain: then every string in it is printable ASCII."""
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidTransaction("too_large", f"{len(data)} bytes; at most {MAX_EVENT_BYTES} are allowed")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidTransaction("invalid_utf8", f"byte {error.start} is not UTF-8: {error.reason}") from None
    ascii_only = text.isascii()
    escapes = "\\" in text
    if not ascii_only and "\ufffd" in text:
        raise InvalidTransaction("invalid_utf8", "holds U+FFFD: text was lost before it was sent")
    if escapes and "\\u" in text and (lone := _LONE_SURROGATE.search(text)):
        raise InvalidTransaction("invalid_utf8", f"lone surrogate at character {lone.start()}")
    if ("[" in text or text.find("{", 1) > 0) and text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    if len(text) > MAX_DIGITS and (digits := _TOO_MANY_DIGITS.search(text)):
        raise InvalidTransaction("number_too_long", f"over {MAX_DIGITS} digits at character {digits.start()}")
    value = _decoded(text)
    if type(value) is not dict:
        raise InvalidTransaction("not_an_object", f"the record is {_json_type(value)}")
    # JSON strings hold control characters only as escapes, but for DEL.
    return value, ascii_only and not escapes and "\x7f" not in text


def required_text(fields: dict[str, Any], name: str, limit: int, *, identifier: bool = False) -> str:
    """A string of 1 to `limit` bytes of UTF-8."""
    value = fields.get(name)
    if value is None:
        raise InvalidTransaction("missing_field", name)
    if value == "":
        raise InvalidTransaction("empty_field", name)
    return _text(value, name, limit, identifier)


def optional_text(fields: dict[str, Any], name: str, limit: int, *, identifier: bool = False) -> str | None:
    """A string of at most `limit` bytes of UTF-8, or None where it is absent, null or empty."""
    value = fields.get(name)
    return _text(value, name, limit, identifier) if value is not None and value != "" else None


def amount(fields: dict[str, Any], name: str) -> Decimal:
    """A required DECIMAL(10,2), as a Decimal with two decimals."""
    value: Any = fields.get(name)
    kind = type(value)
    if kind is str:
        # The length is looked at first: a string of 60,000 digits is no number, and costs nothing.
        if len(value) > MAX_DIGITS or not _NUMBER.fullmatch(value):
            raise InvalidTransaction("invalid_amount", f"{name} is the string {_shown(value)}, not a number")
        value = _number(value)
    elif kind is int:
        value = Decimal(value)
    elif kind is not Decimal:
        if value is None:
            raise InvalidTransaction("missing_field", name)
        raise InvalidTransaction("wrong_type", f"{name} is {_json_type(value)}, not a number")
    if not _LEAST <= value <= _MOST:
        raise InvalidTransaction("amount_out_of_range", f"{name} does not fit DECIMAL(10,2)")
    cents = value.quantize(_CENT)
    if cents != value:
        raise InvalidTransaction("amount_precision", f"{name} has more than two decimals")
    return cents if cents else _ZERO


def timestamp(fields: dict[str, Any], name: str) -> datetime:
    """A required point in time, as UTC without a zone."""
    value = fields.get(name)
    if type(value) is not str:
        if value is None:
            raise InvalidTransaction("missing_field", name)
        raise InvalidTransaction("wrong_type", f"{name} is {_json_type(value)}, not a string")
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        raise InvalidTransaction("invalid_timestamp", f"{name} is {_shown(value)}")
    in_utc = value[-1] == "Z"  # as nearly all are
    local, zone = (value[:-1], None) if in_utc else match.groups()
    try:
        moment = datetime.fromisoformat(local)
    except ValueError as error:  # 30 February, or the year 0
        raise InvalidTransaction("invalid_timestamp", f"{name} is {_shown(value)}: {error}") from None
    if zone is None:
        return moment
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    try:
        return moment - offset if zone[0] == "+" else moment + offset
    except OverflowError:
        raise InvalidTransaction("timestamp_out_of_range", f"{name} is {_shown(value)}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidTransaction("invalid_json", f"{name} is not a JSON number")


def _number(text: str) -> Decimal:
    """The exact value of a JSON number, except that an exponent beyond Decimal's is cut to one within."""
    try:
        return Decimal(text)
    except InvalidOperation:  # the exponent has 19 digits or more
        mantissa, exponent = re.split("[eE]", text)
        return Decimal(f"{mantissa}E{'-' if exponent[0] == '-' else '+'}{10**6}")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)
_PATIENT_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant)
"""Reads exponents beyond Decimal's as well, and takes longer."""
_WHITE_SPACE = " \t\n\r"
_LONE_SURROGATE = re.compile(
    r"(?<!\\)(?:\\\\)*"
    r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])"
)
_TOO_MANY_DIGITS = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_FORBIDDEN = re.compile(FORBIDDEN_CHARACTERS)
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?)"
    r"(Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?"
)
_CENT = Decimal("0.01")
_ZERO = Decimal("0.00")
_MOST = Decimal("99999999.99")
_LEAST = -_MOST


def _decoded(text: str) -> Any:
    stripped = text if text[:1] == "{" else text.lstrip(_WHITE_SPACE)
    try:
        try:
            value, end = _DECODER.raw_decode(stripped)
        except InvalidOperation:
            value, end = _PATIENT_DECODER.raw_decode(stripped)
    except RecursionError:  # the caller's own stack was nearly full
        raise InvalidTransaction("too_deep", "nested deeper than this process can read") from None
    except ValueError as error:
        message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        hint = "; it looks like base64: was it encoded twice?" if _BASE64_OBJECT.fullmatch(stripped) else ""
        raise InvalidTransaction("invalid_json", f"{message}{where}{hint}") from None
    if end != len(stripped) and stripped[end:].strip(_WHITE_SPACE):
        raise InvalidTransaction("invalid_json", f"more text after the JSON value, at character {end}")
    return value


_BASE64_OBJECT = re.compile(r"e[wy][A-Za-z0-9+/]{6,}={0,2}\s*")
"""The base64 of something that starts with a brace."""


def _check_depth(text: str) -> None:
    # Before parsing, by counting brackets outside strings, so that the answer is the same in every Python.
    depth = 0
    for part in _STRING_OR_BRACKET.findall(text):
        if part in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidTransaction("too_deep", f"nested more than {MAX_DEPTH} deep")
        elif part in "]}":
            depth -= 1


def _text(value: Any, name: str, limit: int, identifier: bool) -> str:
    if type(value) is not str:
        raise InvalidTransaction("wrong_type", f"{name} is {_json_type(value)}, not a string")
    # Nearly every string is short printable ASCII, where a character is a byte; others cost a closer look.
    if len(value) > limit or not (value.isascii() and value.isprintable()):
        _check_closely(value, name, limit)
    if identifier and (value[0] == " " or value[-1] == " "):
        raise InvalidTransaction("surrounding_space", f"{name} is {_shown(value)}")
    return value


def _check_closely(value: str, name: str, limit: int) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidTransaction("invalid_utf8", f"{name} holds a lone surrogate") from None
    if size > limit:
        raise InvalidTransaction("too_long", f"{name} has {size} bytes; at most {limit} are allowed")
    if found := _FORBIDDEN.search(value):
        raise InvalidTransaction("control_character", f"{name} holds U+{ord(found[0]):04X}")


def _shown(value: str) -> str:
    """A value from outside, quoted, in printable ASCII, and short."""
    return ascii(value if len(value) <= 40 else value[:40] + "...")


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    return _JSON_TYPES[type(value)]


_JSON_TYPES: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    Decimal: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
