"""Real input: every row is either a transaction or a problem with a line number."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.lines import Chunks, Format, Position, Row, rows
from txnpipe.transactions import encode


def line(number: int, **changes: object) -> bytes:
    fields = {
        "transaction_id": f"t-{number}",
        "amount": "12.50",
        "transaction_type": "purchase",
        "timestamp": "2026-01-02T03:04:05Z",
    }
    return json.dumps(fields | changes).encode() + b"\n"


def read(data: bytes, form: Format = "json", chunk: int = 7) -> list[Row]:
    pieces: Iterator[bytes | None] = iter([data[at : at + chunk] for at in range(0, len(data), chunk)])
    return [row for row in rows(pieces, form, Position()) if row is not None]


def held(found: list[Row]) -> list[Row]:
    """The rows that are neither blank nor a header."""
    return [row for row in found if row.transaction or row.problem]


def ids(found: list[Row]) -> list[str]:
    return [row.transaction.transaction_id for row in found if row.transaction]


def test_json_lines() -> None:
    found = read(line(1) + b"\n   \n" + line(2).rstrip(b"\n"))
    assert ids(found) == ["t-1", "t-2"]
    assert [row.line for row in held(found)] == [1, 4]
    assert [row.line for row in found] == [1, 2, 3, 4]


def test_a_bad_line_is_named_and_the_others_are_read() -> None:
    found = read(line(1) + b"{oops\n" + b"\xff\xfe\n" + line(2, amount="NaN") + line(3))
    assert ids(found) == ["t-1", "t-3"]
    problems = [(row.line, row.problem[0]) for row in found if row.problem]
    assert problems == [(2, "invalid_json"), (3, "invalid_utf8"), (4, "invalid_amount")]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    data = b"x" * 3_000_000 + b"\n" + line(2)
    found = read(data, chunk=65_536)
    assert [row.problem[0] for row in found if row.problem] == ["too_large"]
    assert ids(found) == ["t-2"]
    assert found[-1].ends_at == len(data)


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    assert ids(read(b"\xef\xbb\xbf" + line(1))) == ["t-1"]


def test_csv_with_quotes_line_breaks_and_empty_cells() -> None:
    data = (
        "transaction_id,amount,transaction_type,timestamp,merchant\n"
        't-1,12.5,purchase,2026-01-02T03:04:05Z,"Smith, ""Sons"""\n'
        "t-2,3,purchase,2026-01-02T03:04:05Z,\n"
        "t-3,x,purchase,2026-01-02T03:04:05Z,m\n"
        "t-4,1\n"
        't-5,1,purchase,2026-01-02T03:04:05Z,"two\nlines"\n'
        "t-6,1,purchase,2026-01-02T03:04:05Z,Café\r\n"
    ).encode()
    found = read(data, "csv")
    assert ids(found) == ["t-1", "t-2", "t-6"]
    merchants = [row.transaction.merchant for row in found if row.transaction]
    assert merchants == ['Smith, "Sons"', None, "Café"]
    problems = [(row.line, row.last_line, row.problem[0]) for row in found if row.problem]
    assert problems == [(4, 4, "invalid_amount"), (5, 5, "invalid_csv"), (6, 7, "control_character")]
    assert found[-1].ends_at == len(data)


def test_an_unclosed_quote_is_a_problem_and_not_the_end() -> None:
    data = b'transaction_id,amount,transaction_type,timestamp\nt-1,1,"purchase,2026-01-02T03:04:05Z\n'
    assert [row.problem[0] for row in read(data, "csv") if row.problem] == ["invalid_csv"]


def test_a_pause_between_rows_is_told_and_one_within_a_row_is_not() -> None:
    pieces: Iterator[bytes | None] = iter(
        [
            b"transaction_id,amount,transaction_type,timestamp,merchant\n",
            None,
            b"t-1,1,purchase,",
            None,
            b'2026-01-02T03:04:05Z,"a',
            None,
            b'b"\n',
        ]
    )
    found = list(rows(pieces, "csv", Position()))
    assert [row.transaction.merchant for row in found if row and row.transaction] == ["ab"]
    assert found.count(None) >= 1


@given(
    st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 99).map(line)), max_size=20), st.integers(1, 50)
)
def test_any_input_is_read_to_its_end_and_positions_add_up(lines: list[bytes], chunk: int) -> None:
    data = b"\n".join(lines)
    found = read(data, chunk=chunk)
    assert [row.ends_at for row in found] == sorted(row.ends_at for row in found)
    assert all(row.transaction is None or row.problem is None for row in found)
    expected = [text for text in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if text.strip()]
    assert len(held(found)) == len(expected)
    assert [row.line for row in found] == list(range(1, len(found) + 1))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_csv_is_read_without_a_crash(data: bytes, chunk: int) -> None:
    found = read(b"transaction_id,amount\n" + data, "csv", chunk)
    assert all(row.transaction is None for row in found)
    assert [row.line for row in found] == [1, *(row.last_line + 1 for row in found[:-1])]
    assert found[-1].ends_at == len(data) + len(b"transaction_id,amount\n")


@given(st.integers(0, 10))
def test_reading_may_start_after_any_row(skipped: int) -> None:
    data = b"".join(line(n) for n in range(10))
    whole = read(data)
    offset = whole[skipped - 1].ends_at if skipped else 0
    rest = [row for row in rows(iter([data[offset:]]), "json", Position(offset, skipped)) if row is not None]
    assert [(row.line, row.ends_at) for row in rest] == [(row.line, row.ends_at) for row in whole[skipped:]]
    assert [encode(row.transaction) for row in rest if row.transaction] == [
        encode(row.transaction) for row in whole[skipped:] if row.transaction
    ]


def test_chunks_pass_on_what_the_input_raises() -> None:
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            raise OSError("input/output error")

    with pytest.raises(TxnpipeError, match="cannot be read any further: input/output error") as caught:
        list(Chunks(Broken()))
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
