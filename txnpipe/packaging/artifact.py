"""One built file, and the way every zip is written.

The same files give the same bytes, on every machine: entries are sorted, carry one fixed date and fixed
modes, and are stored, not deflated. Compressed bytes depend on the zlib at hand (zlib-ng packs differently),
and a plan would then show an update where nothing changed.
"""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say."""
_UNIX = 3


@dataclass(frozen=True)
class Artifact:
    """A built file. `name` is its file name, `sha256` of the content in hexadecimal."""

    name: str
    content: bytes = field(repr=False)
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Artifact:
        """The artifact of that content."""
        return cls(name, content, hashlib.sha256(content).hexdigest())


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip of path → content; every file is 0644. Paths are relative and use slashes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _DATE)
            entry.create_system = _UNIX  # whatever system this is
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()
