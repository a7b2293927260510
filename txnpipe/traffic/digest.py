"""The SHA-256 of an input up to any row's end, while the input is being read, in flat memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

KEPT_BYTES = 1 << 20
"""So much may lie between the last row's end and what was read; a longer line is hashed and not kept."""


class InputDigest:
    """Passes chunks on and can tell the SHA-256 of the input up to the end of any row from the last one on.

    row_end: bytes up to the end of the last row. Whoever reads keeps it up to date, and reads every row of a
    chunk before it asks for the next chunk: so no row ends inside what was read before and lies behind
    row_end.
    """

    def __init__(self, chunks: Iterator[bytes | None]) -> None:
        self.row_end = 0
        self._chunks = chunks
        self._sha256 = hashlib.sha256()
        self._hashed = 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._ahead = (self._sha256, 0)
        """A state of the hash behind a long line that has not ended yet, and the bytes that it covers."""
        self._again = b""

    def skip(self, size: int) -> str:
        """Reads `size` bytes and forgets them. Returns their SHA-256."""
        while self._hashed < size:
            chunk = next(self._chunks, b"")
            if chunk is None:
                continue
            if not chunk:
                break
            wanted = chunk[: size - self._hashed]
            self._sha256.update(wanted)
            self._hashed += len(wanted)
            self._again = chunk[len(wanted) :]
        self.row_end = self._hashed
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[bytes | None]:
        if self._again:
            self._keep(self._again)
            yield self._again
        for chunk in self._chunks:
            if chunk is not None:
                self._keep(chunk)
            yield chunk

    def up_to(self, offset: int) -> str:
        """The SHA-256 of the first `offset` bytes; `offset` is row_end."""
        if self._ahead[1] > self._hashed and offset >= self._ahead[1]:
            self._sha256, self._hashed = self._ahead
        if self._ahead[1] <= self._hashed:
            while self._hashed < offset and self._kept:
                chunk = self._kept.popleft()
                wanted = chunk[: offset - self._hashed]
                self._sha256.update(wanted)
                self._hashed += len(wanted)
                self._kept_bytes -= len(wanted)
                if len(wanted) < len(chunk):
                    self._kept.appendleft(chunk[len(wanted) :])
        if self._hashed != offset:
            raise ValueError("no row ends there")
        return self._sha256.hexdigest()

    def _keep(self, chunk: bytes) -> None:
        if self._kept_bytes > KEPT_BYTES:
            self.up_to(self.row_end)
        if self._kept_bytes > KEPT_BYTES:
            sha256, hashed = self._ahead if self._ahead[1] > self._hashed else (self._sha256, self._hashed)
            sha256 = sha256.copy()
            while self._kept:
                kept = self._kept.popleft()
                sha256.update(kept)
                hashed += len(kept)
            self._kept_bytes = 0
            self._ahead = (sha256, hashed)
        self._kept.append(chunk)
        self._kept_bytes += len(chunk)
