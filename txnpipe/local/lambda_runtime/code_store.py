"""Unpacked zips, by content: HOME/lambda/code/SHA256.

A directory appears by rename, whole or not at all, so that a killed daemon leaves no half-unpacked code.
"""

from __future__ import annotations

import io
import shutil
import stat
import tempfile
import threading
import zipfile
from pathlib import Path

MAX_UNPACKED_BYTES = 262_144_000
"""Lambda's limit of unpacked code and layers: 250 MB."""


class BadCodeError(Exception):
    """The zip cannot be run: not a zip, too large, or with names that leave its directory."""


class CodeStore:
    """Unpacks each zip once. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def open(self, sha256: str, content: bytes) -> Path:
        """The directory with the unpacked zip. Raises BadCodeError."""
        directory = self._root / sha256
        with self._lock:
            if not directory.is_dir():
                self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
                staging = Path(tempfile.mkdtemp(prefix=".unpack-", dir=self._root))
                try:
                    _unpack(content, staging)
                    staging.rename(directory)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        return directory

    def clear(self) -> None:
        """Removes everything: code of functions that are gone, and what a killed daemon was unpacking."""
        with self._lock:
            shutil.rmtree(self._root, ignore_errors=True)


def _unpack(content: bytes, directory: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise BadCodeError(f"Unzipped size must be smaller than {MAX_UNPACKED_BYTES} bytes")
            for member in members:
                target = (directory / member.filename).resolve()
                if not target.is_relative_to(directory.resolve()):
                    raise BadCodeError(f"the zip names a file outside of itself: {member.filename}")
                archive.extract(member, directory)
                if not member.is_dir():
                    # zipfile drops the permissions; executables in a function's zip need theirs.
                    target.chmod(0o644 | (stat.S_IMODE(member.external_attr >> 16) & 0o111))
    except zipfile.BadZipFile as error:
        raise BadCodeError(f"the code is not a zip: {error}") from error
