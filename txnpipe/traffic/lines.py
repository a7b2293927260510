"""Reads real input: JSON lines or CSV, from a file or from standard input.

Input is read in a thread of its own, so that what has arrived can go on its way while more is awaited, and is
cut into rows together with the number of input bytes up to each row's end: a continued run skips exactly
those. Nothing is refused silently: a row that is no valid transaction is reported with its line number.
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

from txnpipe.transactions import MAX_EVENT_BYTES, InvalidTransaction, Transaction, parse

IDLE_S = 0.3
"""After this long without input what is there goes on its way."""
_CHUNK = 1 << 16
_LINE_LIMIT = 4 * MAX_EVENT_BYTES
"""A longer line is cut off: it cannot be valid, and must not fill the memory."""
_BOM = b"\xef\xbb\xbf"

Format = Literal["json", "csv"]


class Row(NamedTuple):
    """One row of the input. Exactly one of `transaction` and `problem` is there.

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
            yield _Line(number, ends_at, text)
        if len(rest) > _LINE_LIMIT:
            cut += len(rest) - _LINE_LIMIT
            rest = rest[:_LINE_LIMIT]
    if rest:
        yield _Line(number + 1, ends_at + len(rest) + cut, rest)


def _json_rows(lines: Iterator[_Line | None]) -> Iterator[Row | None]:
    for line in lines:
        if line is None:
            yield None
            continue
        text = line.text.removeprefix(_BOM) if line.number == 1 else line.text
        if text.strip():
            yield _row(line.number, line.number, line.ends_at, text)


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
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(first, feed.number, feed.ends_at, None, ("invalid_csv", str(error)))
            reader = csv.reader(feed, strict=True)
            continue
        if not cells:
            continue
        if position.columns is None:
            position.columns = tuple(cell.strip().removeprefix("\ufeff") for cell in cells)
        elif len(cells) != len(position.columns):
            detail = f"{len(cells)} cells, but the first row names {len(position.columns)}"
            yield Row(first, feed.number, feed.ends_at, None, ("invalid_csv", detail))
        else:
            fields = {name: cell for name, cell in zip(position.columns, cells, strict=True) if cell != ""}
            payload = json.dumps(fields, ensure_ascii=False).encode(errors="surrogateescape")
            yield _row(first, feed.number, feed.ends_at, payload)


class _CsvFeed:
    """Hands lines to csv.reader and remembers how far it got. Pauses only show between rows: csv.reader
    forgets an unfinished row when it is left."""

    def __init__(self, lines: Iterator[_Line | None]) -> None:
        self._lines = lines
        self._ahead: _Line | None = None
        self.number = 0
        self.ends_at = 0

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
        line, self._ahead = self._ahead, None
        while line is None:
            line = next(self._lines)
        self.number, self.ends_at = line.number, line.ends_at
        return line.text.decode(errors="surrogateescape") + "\n"
