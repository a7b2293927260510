"""Reads real input: JSON lines or CSV, from a file or from standard input.

Input is read in a thread of its own, so that what has arrived can go on its way while more is awaited, and is
cut into rows together with the number of input bytes up to each row's end: a continued run skips exactly
those. Nothing is refused silently: a row that is no valid transaction is reported with its line number, and
rows follow each other without a gap. Whatever the input holds, memory stays flat: a line, and a row of
several lines, has a limit.
"""

from __future__ import annotations

import csv
import json
import queue
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.transactions import MAX_EVENT_BYTES, InvalidTransaction, Transaction, parse

IDLE_S = 0.3
"""After this long without input what is there goes on its way."""
_CHUNK = 1 << 16
_LINE_LIMIT = 4 * MAX_EVENT_BYTES
"""A longer line is cut off: it cannot be valid, and must not fill the memory. A CSV's row ends with the line
that reaches it."""
_BOM = b"\xef\xbb\xbf"

Format = Literal["json", "csv"]


class Row(NamedTuple):
    """One row of the input: a transaction, or a problem, or neither where it is blank or a CSV's header.

    line, last_line: numbers of its first and last line, from 1. ends_at: bytes of input up to its end.
    problem: reason and detail.
    """

    line: int
    last_line: int
    ends_at: int
    transaction: Transaction | None
    problem: tuple[str, str] | None


class Chunks:
    """The input as chunks of bytes, None whenever nothing came for IDLE_S seconds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(maxsize=64)
        threading.Thread(target=self._read, name="input", daemon=True).start()

    def __iter__(self) -> Iterator[bytes | None]:
        while True:
            try:
                chunk = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(chunk, OSError):
                raise TxnpipeError(
                    f"The input cannot be read any further: {chunk.strerror or chunk}.",
                    "Run the same command again once it can: it continues where this one stopped.",
                    ExitCode.ENVIRONMENT,
                ) from chunk
            if isinstance(chunk, BaseException):
                raise chunk
            if not chunk:
                return
            yield chunk

    def _read(self) -> None:
        try:
            # read1 returns what is there; read would wait for a whole chunk.
            read = self._stream.read1 if hasattr(self._stream, "read1") else self._stream.read
            while (chunk := read(_CHUNK)) != b"":
                if chunk is None:  # a non-blocking input that has nothing now has not ended
                    select.select([self._stream], [], [])
                else:
                    self._queue.put(chunk)
            self._queue.put(b"")
        except BaseException as error:  # noqa: BLE001 - raised again where the input is used
            self._queue.put(error)


@dataclass
class Position:
    """Where in the input reading starts: after so many bytes and lines.

    columns: the field names of a CSV, from its first row; None until that is read.
    """

    ends_at: int = 0
    line: int = 0
    columns: tuple[str, ...] | None = None


def rows(chunks: Iterator[bytes | None], form: Format, position: Position) -> Iterator[Row | None]:
    """The rows of the input from `position` on, None where it pauses. Keeps position.columns up to date."""
    lines = _lines(chunks, position)
    return _json_rows(lines) if form == "json" else _csv_rows(lines, position)


class _Line(NamedTuple):
    number: int
    ends_at: int
    text: bytes


def _lines(chunks: Iterator[bytes | None], position: Position) -> Iterator[_Line | None]:
    rest, number, ends_at, cut = b"", position.line, position.ends_at, 0
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        *complete, rest = (rest + chunk).split(b"\n")
        for text in complete:
            number += 1
            ends_at += len(text) + cut + 1
            cut = 0
            yield _Line(number, ends_at, text.removeprefix(_BOM) if number == 1 else text)
        if len(rest) > _LINE_LIMIT:
            cut += len(rest) - _LINE_LIMIT
            rest = rest[:_LINE_LIMIT]
    if rest:
        text = rest.removeprefix(_BOM) if number == 0 else rest
        yield _Line(number + 1, ends_at + len(rest) + cut, text)


def _json_rows(lines: Iterator[_Line | None]) -> Iterator[Row | None]:
    for line in lines:
        if line is None:
            yield None
        elif line.text.strip():
            yield _row(line.number, line.number, line.ends_at, line.text)
        else:
            yield Row(line.number, line.number, line.ends_at, None, None)


def _row(line: int, last_line: int, ends_at: int, payload: bytes) -> Row:
    try:
        return Row(line, last_line, ends_at, parse(payload), None)
    except InvalidTransaction as problem:
        return Row(line, last_line, ends_at, None, (problem.reason, problem.detail))


def _csv_rows(lines: Iterator[_Line | None], position: Position) -> Iterator[Row | None]:
    """The first row names the fields. A quoted field may span lines; an empty one is absent."""
    feed = _CsvFeed(lines)
    reader = csv.reader(feed, strict=True)
    feed.number, feed.ends_at = position.line, position.ends_at
    while True:
        first = feed.number + 1
        if not feed.ready():
            yield None
            continue
        feed.row_bytes = 0
        problem, cells = None, []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _RowTooLongError) as error:
            reader = csv.reader(feed, strict=True)
            spans = f", lines {first} to {feed.number}" if feed.number > first else ""
            problem = ("invalid_csv", f"{error}{spans}")
        blank = not cells or (len(cells) == 1 and not cells[0].strip())
        if problem is None and blank:
            yield Row(first, feed.number, feed.ends_at, None, None)
        elif position.columns is None:
            position.columns = _header(cells, problem, feed.row_bytes)
            yield Row(first, feed.number, feed.ends_at, None, None)
        elif problem is None and len(cells) != len(position.columns):
            problem = ("invalid_csv", f"{len(cells)} cells, but the first row names {len(position.columns)}")
            yield Row(first, feed.number, feed.ends_at, None, problem)
        elif problem is not None:
            yield Row(first, feed.number, feed.ends_at, None, problem)
        else:
            fields = {name: cell for name, cell in zip(position.columns, cells, strict=True) if cell != ""}
            payload = json.dumps(fields, ensure_ascii=False).encode(errors="surrogateescape")
            yield _row(first, feed.number, feed.ends_at, payload)


def _header(cells: list[str], problem: tuple[str, str] | None, size: int) -> tuple[str, ...]:
    """The names of the fields. Raises TxnpipeError (USAGE) where nothing below the header could be read."""
    if size > _LINE_LIMIT:
        problem = ("too_large", f"it has more than {_LINE_LIMIT:,} bytes")
    if problem is not None:
        raise usage_error(
            f"The first row of the CSV, which names its columns, cannot be read: {problem[1]}.",
            "Save the file with line breaks of LF or CRLF and a header such as "
            "transaction_id,amount,transaction_type,timestamp.",
        )
    columns = tuple(cell.strip() for cell in cells)
    twice = next((name for at, name in enumerate(columns) if name and name in columns[:at]), None)
    if twice is not None:
        raise usage_error(
            f"The first row of the CSV names the column {twice[:40]!r} twice.",
            "Rename one of the two columns, or remove it.",
        )
    return columns


class _RowTooLongError(Exception):
    def __str__(self) -> str:
        return f"a row has more than {_LINE_LIMIT:,} bytes"


class _CsvFeed:
    """Hands lines to csv.reader and remembers how far it got. Pauses only show between rows: csv.reader
    forgets an unfinished row when it is left. row_bytes: handed out since the row began."""

    def __init__(self, lines: Iterator[_Line | None]) -> None:
        self._lines = lines
        self._ahead: _Line | None = None
        self.number = 0
        self.ends_at = 0
        self.row_bytes = 0

    def ready(self) -> bool:
        """Whether the next row, or the end, is there; False where the input pauses."""
        if self._ahead is None:
            try:
                self._ahead = next(self._lines)
            except StopIteration:
                return True
        return self._ahead is not None

    def __iter__(self) -> _CsvFeed:
        return self

    def __next__(self) -> str:
        if self.row_bytes > _LINE_LIMIT:
            raise _RowTooLongError
        line, self._ahead = self._ahead, None
        while line is None:
            line = next(self._lines)
        self.number, self.ends_at = line.number, line.ends_at
        self.row_bytes += len(line.text) + 1
        return line.text.decode(errors="surrogateescape") + "\n"
