"""Whatever an input holds: no crash, no hang, flat memory, and every line is accounted for."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeS3, FakeStream, spans, target_with
from tests.unit.traffic.hostile import COLUMNS, CSV_NASTY, NASTY, Made, good, lines
from tests.unit.traffic.making import wanted_input
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.digest import KEPT_BYTES, InputDigest
from txnpipe.traffic.lines import Format, Position, Row, rows
from txnpipe.traffic.runs import RunResult, RunStore
from txnpipe.traffic.send import choose, send
from txnpipe.transactions import InvalidTransaction, parse

MEGABYTE = 1 << 20


def sent(data: bytes | Made, name: str = "/data/in.jsonl") -> RunResult:
    store = RunStore(target_with(s3=FakeS3()), "bucket")
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    job = choose(store, wanted_input(name=name))
    result = send(store, FakeStream(spans(1)), job, source=source, workers=1).result  # type: ignore[arg-type]
    assert result is not None
    return result


def read(data: bytes, form: Format, chunk: int = 65_536) -> list[Row]:
    pieces: Iterator[bytes | None] = iter([data[at : at + chunk] for at in range(0, len(data), chunk)])
    return [row for row in rows(pieces, form, Position()) if row is not None]


def check_tiling(found: list[Row], data: bytes) -> None:
    """Rows follow each other without a gap, from the first line to the last byte."""
    assert [row.line for row in found] == [1, *(row.last_line + 1 for row in found[:-1])][: len(found)]
    ends = [row.ends_at for row in found]
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(data)
    assert (found[-1].last_line if found else 0) == data.count(b"\n") + (data[-1:] not in (b"\n", b""))


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_line_is_sent_or_named_or_blank_and_its_neighbours_are_sent(name: str) -> None:
    line = NASTY[name]
    data = good(transaction_id="before") + b"\n" + line + b"\n" + good(transaction_id="after")
    found = read(data, "json")
    check_tiling(found, data)
    assert [row.transaction.transaction_id for row in (found[0], found[2]) if row.transaction] == [
        "before",
        "after",
    ]
    try:
        expected = parse(line)
    except InvalidTransaction as problem:
        expected = None
        if line.strip():
            assert found[1].problem == (problem.reason, problem.detail)
        else:
            assert found[1].problem is None
    assert found[1].transaction == expected


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_line_alone_is_accounted_for(name: str) -> None:
    result = sent(NASTY[name])
    assert result.lines == result.count + result.invalid + result.blank
    assert result.lines == (1 if NASTY[name] else 0)


pieces = st.sampled_from([*NASTY.values(), *CSV_NASTY.values()]) | st.binary(max_size=60)
ends = st.sampled_from([b"\n", b"\r\n", b"\r", b""])


@settings(max_examples=150)
@given(st.lists(st.tuples(pieces, ends), max_size=12), st.integers(1, 9000), st.sampled_from(["json", "csv"]))
def test_any_mixture_is_read_to_its_end_without_a_gap(
    parts: list[tuple[bytes, bytes]], chunk: int, form: Format
) -> None:
    header = COLUMNS + b"\n" if form == "csv" else b""
    data = header + b"".join(piece + end for piece, end in parts)
    check_tiling(read(data, form, chunk), data)


@settings(max_examples=30)
@given(st.lists(pieces, max_size=8), st.integers(1, 9000))
def test_how_an_input_is_cut_into_chunks_makes_no_difference(parts: list[bytes], chunk: int) -> None:
    data = COLUMNS + b"\n" + b"\n".join(parts)
    assert read(data, "csv", chunk) == read(data, "csv")
    assert read(data, "json", chunk) == read(data, "json")


@settings(max_examples=60)
@given(st.lists(st.tuples(pieces, ends), max_size=8))
def test_every_line_of_a_run_is_counted(parts: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(piece + end for piece, end in parts)
    result = sent(data)
    assert result.lines == result.count + result.invalid + result.blank
    assert result.lines == data.count(b"\n") + (data[-1:] not in (b"\n", b""))


def test_a_run_of_random_lines_adds_up() -> None:
    result = sent(Made(lines(20_000, seed=7)))
    assert result.lines == 20_000 == result.count + result.invalid + result.blank
    assert min(result.count, result.invalid, result.blank) > 100


@pytest.mark.parametrize("name", ["/data/in.jsonl", "/data/in.csv"])
def test_a_hundred_megabytes_without_a_line_break_take_no_memory(name: str) -> None:
    def made() -> Iterator[bytes]:
        yield COLUMNS + b"\n" if name.endswith("csv") else good() + b"\n"
        for _ in range(1600):
            yield b'"x' * (1 << 15)
        yield b"\n" + (CSV_NASTY["good row"] if name.endswith("csv") else good(transaction_id="t-2"))

    tracemalloc.start()
    result = sent(Made(made()), name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.invalid == 1
    assert result.count == (1 if name.endswith("csv") else 2)
    assert peak < 30 * MEGABYTE


def test_a_row_that_never_ends_takes_no_memory() -> None:
    def made() -> Iterator[bytes]:
        yield COLUMNS + b"\n"
        for _ in range(20):
            yield (b'"' + b"a" * 3000 + b'\n",') * 1000
        yield b"\n"

    tracemalloc.start()
    result = sent(Made(made()), "/data/in.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result.count, result.lines) == (0, 20_002)
    assert "a row has more than 262,144 bytes, lines 2 to " in result.invalid_lines[0].detail
    assert peak < 30 * MEGABYTE


def test_bad_lines_alone_take_no_memory() -> None:
    tracemalloc.start()
    result = sent(Made(b"x" * 40_000 + b"\n" for _ in range(2000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result.invalid, len(result.invalid_lines)) == (2000, 100)
    assert peak < 30 * MEGABYTE


HEADERS_REFUSED = {
    "the same column twice": (b"transaction_id,amount,amount\n1,2,3\n", "names the column 'amount' twice"),
    "twice but for spaces": (b"amount, amount\n1,2\n", "names the column 'amount' twice"),
    "carriage returns only": (COLUMNS + b"\r" + CSV_NASTY["good row"] + b"\r", "cannot be read"),
    "text behind a quote": (b'"a"b,c\nd,e\n', "cannot be read"),
    "an unclosed quote": (b'"transaction_id,amount\n1,2\n', "cannot be read"),
    "longer than any header": (b"a," * 200_000 + b"\n", "cannot be read: it has more than"),
}


@pytest.mark.parametrize("name", HEADERS_REFUSED)
def test_a_header_that_names_no_columns_is_refused(name: str) -> None:
    data, words = HEADERS_REFUSED[name]
    with pytest.raises(TxnpipeError, match=words) as caught:
        sent(data, "/data/in.csv")
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.fix


HEADERS_READ = {
    "a byte order mark": b"\xef\xbb\xbf" + COLUMNS,
    "a byte order mark before a quote": b"\xef\xbb\xbf"
    + COLUMNS.replace(b"transaction_id", b'"transaction_id"'),
    "blank lines before it": b"\n \n\r\n" + COLUMNS,
    "spaces around names": COLUMNS.replace(b",", b" , "),
}


@pytest.mark.parametrize("name", HEADERS_READ)
def test_a_header_is_read_with(name: str) -> None:
    result = sent(HEADERS_READ[name] + b"\r\n" + CSV_NASTY["good row"] + b"\r\n", "/data/in.csv")
    assert (result.count, result.invalid) == (1, 0)
    assert result.lines == 1 + result.blank


def test_columns_without_a_name_may_be_many() -> None:
    row = b"t-1,1,purchase,2026-01-02T03:04:05Z,,\n"
    data = b"transaction_id,amount,transaction_type,timestamp,,\n" + row
    assert sent(data, "/data/in.csv").count == 1


@pytest.mark.parametrize("data", [COLUMNS, COLUMNS + b"\n", b"\xef\xbb\xbf" + COLUMNS + b"\r\n", b"", b"\n"])
def test_a_csv_without_a_row_sends_nothing(data: bytes) -> None:
    result = sent(data, "/data/in.csv")
    assert (result.count, result.invalid) == (0, 0)
    assert result.lines == result.blank


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 3 * KEPT_BYTES), st.booleans()), max_size=12),
    st.integers(1, 1 << 19),
    st.integers(0, 5),
)
def test_the_digest_is_that_of_the_input_up_to_any_row(
    rows_made: list[tuple[int, bool]], chunk: int, skipped: int
) -> None:
    import hashlib

    data = b"".join(bytes([65 + n % 26]) * size + b"\n" for n, (size, _) in enumerate(rows_made))
    size = max(chunk, 4096)
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    row_ends = [sum(size + 1 for size, _ in rows_made[: n + 1]) for n in range(len(rows_made))]
    digest = InputDigest(iter(cut))
    begin = row_ends[skipped - 1] if 0 < skipped <= len(row_ends) else 0
    assert digest.skip(begin) == hashlib.sha256(data[:begin]).hexdigest()
    read_to, waiting = begin, [(end, asked) for end, (_, asked) in zip(row_ends, rows_made, strict=True)]
    for piece in digest:
        read_to += len(piece or b"")
        while waiting and waiting[0][0] <= read_to:
            end, asked = waiting.pop(0)
            if end > begin:
                digest.row_end = end
                if asked:
                    assert digest.up_to(end) == hashlib.sha256(data[:end]).hexdigest()
    assert digest.up_to(digest.row_end) == hashlib.sha256(data[: digest.row_end]).hexdigest()
