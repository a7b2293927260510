"""Long contents in files of their own: S3 objects and function code.

A backend is saved as a whole after each change, so what is long and never changes must not be part of it:
the saved state names a file. A file is written once, before the state that names it, and removed after the
last state that named it.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

LARGEST_IN_MEMORY = 1_000_000


class ContentFiles:
    """A directory of contents."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, content: bytes) -> str:
        """Writes a content to disk, durably, and returns its name."""
        name = uuid.uuid4().hex
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self.path(name).unlink()
            raise
        return name

    def path(self, name: str) -> Path:
        """Where a content lies."""
        return self._directory / name

    def remove(self, names: Iterable[str]) -> None:
        """Removes contents that no saved state names any more."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Removes everything else: what a killed daemon wrote and never named."""
        self.remove(entry.name for entry in self._directory.iterdir() if entry.name not in names)


class StoredContent:
    """An S3 object's content on disk, in place of the temporary file in which moto keeps it.

    Only what moto does with that file is here: seek to an absolute position, read, truncate, write, close.
    Overwriting leaves the file on disk alone and goes on in a temporary one, until it is saved again.
    """

    def __init__(self, files: ContentFiles, name: str) -> None:
        self._files = files
        self.name: str | None = name
        self._position = 0
        self._changed: tempfile.SpooledTemporaryFile[bytes] | None = None

    def seek(self, position: int) -> int:
        """Moves to an absolute position."""
        self._position = position
        return position if self._changed is None else self._changed.seek(position)

    def read(self, size: int = -1) -> bytes:
        """Reads from the position on."""
        if self._changed is not None:
            return self._changed.read(size)
        if self.name is None:
            raise ValueError("I/O operation on closed file.")
        with self._files.path(self.name).open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def truncate(self) -> None:
        """Drops what comes after the position."""
        self._own().truncate()

    def write(self, data: bytes) -> int:
        """Writes at the position."""
        return self._own().write(data)

    def close(self) -> None:
        """Gives the content up; a file on disk is removed when no saved state names it."""
        if self._changed is not None:
            self._changed.close()
        self._changed, self.name = None, None

    def _own(self) -> tempfile.SpooledTemporaryFile[bytes]:
        if self._changed is None:
            before, position = b"", self._position
            if self.name is not None:
                before = self._files.path(self.name).read_bytes()
            self._changed = tempfile.SpooledTemporaryFile(LARGEST_IN_MEMORY)  # noqa: SIM115 - closed in close
            self._changed.write(before)
            self._changed.seek(position)
            self.name = None
        return self._changed
