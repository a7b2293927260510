"""Input that nobody foresaw: random lines, and lines that once broke some reader."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

GOOD = {
    "transaction_id": "t-1",
    "amount": "12.50",
    "transaction_type": "purchase",
    "timestamp": "2026-01-02T03:04:05Z",
    "merchant": "Café 🙂",
}


def good(**changes: object) -> bytes:
    """A valid line, or one with these fields."""
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode()


def raw(amount: str) -> bytes:
    """A line with this text as its amount."""
    return good(amount=0).replace(b'"amount": 0', b'"amount": ' + amount.encode())


NASTY: dict[str, bytes] = {
    "truncated UTF-8": good()[: good().index("é".encode()) + 1],
    "cut in a character": good()[: good().index("🙂".encode()) + 2] + b'"}',
    "overlong UTF-8": b'{"transaction_id":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"transaction_id":"\xed\xa0\x80"}',
    "lone surrogate": good().replace(b"purchase", b"\\ud800"),
    "lone low surrogate": good().replace(b"purchase", b"\\udc00"),
    "reversed surrogates": good().replace(b"purchase", b"\\udc00\\ud800"),
    "NUL": b"\x00" * 50,
    "NUL in a string": good().replace(b"purchase", b"pur\x00chase"),
    "escaped NUL": good().replace(b"purchase", b"pur\\u0000chase"),
    "byte order mark": b"\xef\xbb\xbf" + good(),
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + good(),
    "UTF-16": json.dumps(GOOD).encode("utf-16").replace(b"\n", b""),
    "deep arrays": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000,
    "deep field": good(note=0).replace(b'"note": 0', b'"note":' + b"[" * 101 + b"]" * 101),
    "huge exponent": raw("1e999999"),
    "huge exponent of 20 digits": raw("1e99999999999999999999"),
    "tiny exponent": raw("1e-999999"),
    "tiny exponent of 20 digits": raw("-1e-99999999999999999999"),
    "many digits": raw("9" * 5000),
    "many decimals": raw("0." + "1" * 60_000),
    "NaN": raw("NaN"),
    "Infinity": raw("-Infinity"),
    "leading zeros": raw("007"),
    "hexadecimal": raw("0x10"),
    "boolean": raw("true"),
    "duplicate keys": b'{"amount": 1, "amount": 2}',
    "duplicate keys, both whole": good()[:-1] + b', "amount": "7"}',
    "more text": good() + b" " + good(),
    "trailing comma": good()[:-1] + b",}",
    "single quotes": good().replace(b'"', b"'"),
    "only a number": b"7",
    "only a string": b'"x"',
    "null": b"null",
    "base64": b"eyJ0cmFuc2FjdGlvbl9pZCI6MX0=",
    "unclosed string": b'{"transaction_id": "' + b"x" * 60_000,
    "backslashes": b'{"transaction_id": "' + b"\\" * 60_001 + b'"}',
    "too large": good(note="x" * 70_000),
    "digits everywhere": b'{"a": [' + b",".join([b"7" * 999] * 60) + b"]}",
    "carriage return": b"\r",
    "carriage returns": good() + b"\r" + good() + b"\r",
    "blank": b" \t ",
    "empty": b"",
    "other spaces": "\u00a0\u2003".encode(),
    "line separators": good(merchant="a\u2028b\u0085c"),
    "quote of a CSV": b'"a""b",c',
    "unclosed quote of a CSV": b'a,"b',
    "quote in a field of a CSV": b'a"b,c,"d"e',
    "commas": b"," * 100_000,
    "quotes": b'"' * 100_001,
    "good": good(),
    "good with CRLF": good() + b"\r",
}

COLUMNS = b"transaction_id,amount,transaction_type,timestamp,merchant"
CSV_NASTY: dict[str, bytes] = {
    "good row": b't-1,12.5,purchase,2026-01-02T03:04:05Z,"Smith, ""Sons"""',
    "line break in a field": b't-2,12.5,purchase,2026-01-02T03:04:05Z,"two\nlines"',
    "many lines in a field": b'"' + b"a\n" * 1000 + b'",1,2,3,4',
    "empty cells": b",,,,",
    "too few cells": b"a,b",
}


def one_of(rng: random.Random) -> bytes:
    """A line that may be anything; four in ten are random, the others taken from above, some cut or mixed."""
    chosen = rng.random()
    if chosen < 0.25:
        return rng.randbytes(rng.choice((0, 1, 3, 10, 40, 200))).replace(b"\n", b" ")
    if chosen < 0.4:
        text = bytearray(good(transaction_id=f"t-{rng.randrange(10**9)}"))
        for _ in range(rng.choice((1, 1, 2, 5))):
            text[rng.randrange(len(text))] = rng.choice(b'\x00\r",:{}[]\\0e9\xff\xc3 ')
        return bytes(text)
    if chosen < 0.75:
        return good(transaction_id=f"t-{rng.randrange(10**9)}")
    line = _SHORT[rng.randrange(len(_SHORT))]
    return line[: rng.randrange(len(line) + 1)] if chosen < 0.85 else line


_SHORT = [line for line in NASTY.values() if len(line) < 1000]


def lines(count: int, seed: int) -> Iterator[bytes]:
    """`count` lines with their ends, always the same ones for a seed; the last has no end."""
    rng = random.Random(seed)
    for n in range(count):
        yield one_of(rng) + (b"\n" if n < count - 1 else b"x")


class Made:
    """A file of lines that are made while they are read, so that a large one takes no memory."""

    def __init__(self, made: Iterator[bytes], heard: Callable[[bytes], None] | None = None) -> None:
        self._made = made
        self._heard = heard
        self._rest = b""

    def read1(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        pieces, length = [self._rest], len(self._rest)
        while length < size and (line := next(self._made, None)) is not None:
            if self._heard is not None:
                self._heard(line)
            pieces.append(line)
            length += len(line)
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]
