"""As much of an ELF file as says where it loads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MACHINES = {0x3E: "x86_64", 0xB7: "arm64"}
_DYNAMIC, _NEEDED_VERSIONS = 6, 0x6FFFFFFE
"""Section types SHT_DYNAMIC and SHT_GNU_verneed."""
_DT_NEEDED = 1


@dataclass(frozen=True)
class SharedObject:
    """bits: 32 or 64. libraries: what it needs by name. versions: symbol versions, such as "GLIBC_2.17"."""

    bits: int
    machine: str
    libraries: frozenset[str]
    versions: frozenset[str]

    @property
    def newest_glibc(self) -> int:
        """The highest N of the GLIBC_2.N that it needs; 0 where it needs none."""
        numbers = [each.removeprefix("GLIBC_2.") for each in self.versions if each.startswith("GLIBC_2.")]
        return max([int(number.partition(".")[0]) for number in numbers], default=0)


def read(content: bytes) -> SharedObject:
    """Parses a little-endian 64-bit ELF file. AssertionError where it is none."""
    assert content[:4] == b"\x7fELF"
    assert content[4:6] == b"\x02\x01", "64 bits, little-endian"
    (machine,) = struct.unpack_from("<H", content, 18)
    (sections_at,) = struct.unpack_from("<Q", content, 40)
    entry_size, count = struct.unpack_from("<HH", content, 58)
    sections = [struct.unpack_from("<IIQQQQII", content, sections_at + entry_size * n) for n in range(count)]
    libraries: set[str] = set()
    versions: set[str] = set()
    for _, kind, _, _, offset, size, link, entries in sections:
        text = sections[link][4] if link else 0
        if kind == _DYNAMIC:
            pairs = struct.iter_unpack("<QQ", content[offset : offset + size])
            libraries |= {_text(content, text + value) for tag, value in pairs if tag == _DT_NEEDED}
        elif kind == _NEEDED_VERSIONS:
            versions |= {_text(content, text + name) for name in _version_names(content, offset, entries)}
    return SharedObject(64, MACHINES[machine], frozenset(libraries), frozenset(versions))


def _version_names(content: bytes, at: int, count: int) -> Iterator[int]:
    for _ in range(count):
        _, auxiliaries, _, first, following = struct.unpack_from("<HHIII", content, at)
        auxiliary = at + first
        for _ in range(auxiliaries):
            _, _, _, name, next_one = struct.unpack_from("<IHHII", content, auxiliary)
            yield name
            auxiliary += next_one
        at += following


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode()
