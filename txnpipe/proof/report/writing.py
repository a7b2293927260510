"""Puts the page on disk: whole or not at all, and refuses early a place where it cannot lie."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError, usage_error


def checked_place(path: Path) -> Path:
    """The file that a report at `path` will be: behind a symbolic link, the file it leads to.

    Tries whether a file can be made beside it, so that nobody proves for an hour first. Raises TxnpipeError:
    USAGE where a directory or something else is in the way or the directory is missing, ENVIRONMENT where
    nothing can be written.
    """
    place = Path(os.path.realpath(path))
    try:
        if not place.parent.is_dir():
            raise usage_error(
                f"There is no directory {place.parent} for the report.",
                "Make it first, or choose another file with --report.",
            )
        if (mode := _mode(place)) is not None and not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "no ordinary file"
            raise usage_error(
                f"The report cannot be written to {path}: it is {what}.",
                "Name a file, such as --report proof.html.",
            )
        probe = _beside(place)
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    return place


def write_report(place: Path, page: str) -> None:
    """Replaces the file in one step; its permissions stay. Raises TxnpipeError (ENVIRONMENT)."""
    new = _beside(place)
    try:
        try:
            with os.fdopen(
                os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "w", encoding="utf-8", newline="\n"
            ) as file:
                if (mode := _mode(place)) is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(place, error) from error


def _mode(place: Path) -> int | None:
    try:
        return place.stat().st_mode
    except FileNotFoundError:
        return None


def _beside(place: Path) -> Path:
    return place.with_name(f".txnpipe-report-{secrets.token_hex(6)}")


def _unwritable(path: Path, error: OSError) -> TxnpipeError:
    return TxnpipeError(
        f"The report cannot be written to {path}: {error.strerror}.",
        "Choose another file with --report, or make room and give yourself the right to write there.",
        ExitCode.ENVIRONMENT,
    )
