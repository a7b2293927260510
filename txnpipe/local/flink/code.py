"""The application's code: the zip from S3, unpacked, and what in it is to be executed."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

RUN_OPTIONS = "kinesis.analytics.flink.run.options"
STATEMENTS = "statements.sql"
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
_END_OF_STATEMENT = re.compile(r";[ \t]*(?:\n|\Z)")


class CodeError(Exception):
    """The code cannot be run; the message says why, as the operation's error."""


@dataclass(frozen=True)
class Code:
    """What to run: the SQL statements in order, and the jar with the connector (None: Flink's own only)."""

    statements: tuple[str, ...]
    jar: Path | None


def location(configuration: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Bucket, key and version (or None) of the zip. Raises CodeError where the configuration has none."""
    content = configuration.get("ApplicationCodeConfiguration", {}).get("CodeContent", {})
    s3 = content.get("S3ContentLocation")
    if not s3:
        raise CodeError("The application's code is not in S3: the local cloud runs a zip from S3.")
    return s3["BucketARN"].rsplit(":", 1)[-1], s3["FileKey"], s3.get("ObjectVersion")


def run_options(configuration: Mapping[str, Any]) -> Mapping[str, str]:
    """The property group that says what to run. Raises CodeError where it is missing, as on AWS."""
    groups = configuration.get("EnvironmentProperties", {}).get("PropertyGroups", [])
    for group in groups:
        if group["PropertyGroupId"] == RUN_OPTIONS:
            return dict(group["PropertyMap"])
    raise CodeError(f"The property group {RUN_OPTIONS} is missing: it names the Python program to run.")


def unpack(content: bytes, target: Path) -> None:
    """Unpacks the zip into `target`, which is emptied first. Raises CodeError for a zip that is not one."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o700)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise CodeError("The application's zip is larger than 1 GiB when unpacked.")
            # extractall keeps every entry below the target.
            archive.extractall(target)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise CodeError(f"The application's code is not a zip that can be read: {error}.") from error


def read(options: Mapping[str, str], directory: Path) -> Code:
    """What the unpacked zip says to run. Raises CodeError where a file that it names is not there."""
    program = options.get("python")
    if not program:
        raise CodeError(f"{RUN_OPTIONS} has no `python`: the local cloud runs Python applications.")
    main = _inside(directory, program)
    statements = main.parent / STATEMENTS
    if not statements.is_file():
        raise CodeError(
            f"The zip has no {STATEMENTS} beside {program}: that is what the local cloud executes, "
            "instead of the Python program that executes it on AWS."
        )
    jar = options.get("jarfile")
    return Code(split(statements.read_text("utf-8")), _inside(directory, jar) if jar else None)


def split(text: str) -> tuple[str, ...]:
    """The statements of a file in which each ends with a semicolon at the end of a line."""
    return tuple(part.strip() for part in _END_OF_STATEMENT.split(text) if part.strip())


def _inside(directory: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    path = directory.joinpath(*parts)
    if PurePosixPath(name).is_absolute() or ".." in parts or not path.is_file():
        raise CodeError(f"The zip has no file {name}, which {RUN_OPTIONS} names.")
    return path
