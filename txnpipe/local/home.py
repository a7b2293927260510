"""Where an installation of the local cloud keeps everything it has.

One directory per installation: two homes are two independent local clouds. TXNPIPE_HOME chooses it; otherwise
it is the user's state directory (XDG on Linux), and /var/lib/txnpipe for root, because PostgreSQL refuses to
run as root and the user it runs as cannot enter /root.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError

ENVIRONMENT_VARIABLE = "TXNPIPE_HOME"
ROOT_HOME = Path("/var/lib/txnpipe")
LEAST_FREE_BYTES = 200_000_000
"""Free space that a start asks for: a new database takes 60 MB, its write-ahead log 64 MB."""

PARTS = ("redshift", "kinesis", "lambda", "event_sources", "flink", "moto")
"""Names of the directories in which parts keep their state."""
_OURS = frozenset(
    {
        *PARTS,
        "credentials.json",
        "daemon.lock",
        "failure.json",
        "logs",
        "pgpass",
        "ports.json",
        "processes.json",
        "runtime.json",
        "tmp",
    }
)
"""Everything that lies directly in a home."""
_UNFINISHED = re.compile(r"\.(.+)\.\d+")
"""What `files.write_json` was writing when it was killed."""


@dataclass(frozen=True)
class Home:
    """The directory of one installation and the places in it."""

    root: Path

    @classmethod
    def of_user(cls, environ: Mapping[str, str] | None = None) -> Home:
        """The home that TXNPIPE_HOME names, or the user's own."""
        named = (os.environ if environ is None else environ).get(ENVIRONMENT_VARIABLE)
        if named:
            return cls(Path(named).expanduser().absolute())
        if _is_root():
            return cls(ROOT_HOME)
        import platformdirs

        return cls(Path(platformdirs.user_state_dir("txnpipe", appauthor=False)))

    @property
    def runtime_file(self) -> Path:
        """What the running daemon says of itself (0600)."""
        return self.root / "runtime.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the daemon for as long as it lives."""
        return self.root / "daemon.lock"

    @property
    def credentials_file(self) -> Path:
        """The installation's access key (0600)."""
        return self.root / "credentials.json"

    @property
    def failure_file(self) -> Path:
        """Why the last start failed, for the command that asked for it."""
        return self.root / "failure.json"

    @property
    def processes_file(self) -> Path:
        """The processes the daemon's parts own, for cleaning up after a daemon that was killed."""
        return self.root / "processes.json"

    @property
    def ports_file(self) -> Path:
        """The ports of the last run, so that the next one takes the same."""
        return self.root / "ports.json"

    @property
    def temporary(self) -> Path:
        """Temporary files of the daemon; emptied at start."""
        return self.root / "tmp"

    @property
    def password_files(self) -> Path:
        """Directory of PGPASSFILEs, one per pipeline."""
        return self.root / "pgpass"

    @property
    def logs(self) -> Path:
        """Directory of log files."""
        return self.root / "logs"

    @property
    def daemon_log(self) -> Path:
        """What the daemon writes."""
        return self.logs / "daemon.log"

    def state(self, name: str) -> Path:
        """The directory of a part's state; the part makes it."""
        return self.root / name

    def prepare(self) -> None:
        """Makes the directory and proves that it can be written.

        Raises TxnpipeError (ENVIRONMENT): read-only, full, not ours, a file in the way.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._require_ours()
            self.lock_file.touch(mode=0o600)
            # Root's PostgreSQL runs as another user, who must be able to pass through, not to look around.
            self.root.chmod(0o711 if _is_root() else 0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.temporary.mkdir(mode=0o700, exist_ok=True)
            probe = self.temporary / f"probe-{os.getpid()}"
            try:
                probe.write_bytes(b"x" * 4096)
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(self.root, error) from error
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE_BYTES:
            raise TxnpipeError(
                f"The disk of the local cloud's home {self.root} is full: "
                f"{free // 1_000_000} MB are free and it needs {LEAST_FREE_BYTES // 1_000_000} MB.",
                _ELSEWHERE.format(verb="Free some space"),
                ExitCode.ENVIRONMENT,
            )

    def remove(self) -> None:
        """Removes everything an installation keeps here, and the directory if nothing else is in it.

        The caller holds the daemon's lock, whose file is the last to go. Only what is known to be ours goes:
        the directory may be anything that somebody named. Raises TxnpipeError (ENVIRONMENT).
        """
        try:
            ours = [path for path in self._entries() if _is_ours(path.name)]
            # What the last daemon said goes first, or its id would be believed while the lock is held.
            for path in sorted(ours, key=lambda path: (path == self.lock_file, path != self.runtime_file)):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            if self.root.is_dir() and not any(self.root.iterdir()):
                self.root.rmdir()
        except OSError as error:
            raise unusable(self.root, error) from error

    def _entries(self) -> list[Path]:
        return list(self.root.iterdir()) if self.root.is_dir() else []

    def _require_ours(self) -> None:
        owner = self.root.stat().st_uid
        if owner != os.geteuid():
            raise TxnpipeError(
                f"The local cloud's home {self.root} belongs to another user (id {owner}).",
                f"Set {ENVIRONMENT_VARIABLE} to a directory of your own.",
                ExitCode.ENVIRONMENT,
            )
        strangers = self.strangers()
        if strangers:
            raise TxnpipeError(
                f"{self.root} cannot be the local cloud's home: it holds other files ({strangers[0]}, ...).",
                f"Set {ENVIRONMENT_VARIABLE} to an empty directory, or to one that does not exist yet.",
                ExitCode.ENVIRONMENT,
            )

    def strangers(self) -> list[str]:
        """Names of files that make the directory somebody else's: a home that was never one holds none.

        A home's permissions are changed and `reset` empties it: not somebody's documents.
        """
        if self.lock_file.exists():
            return []
        return sorted(entry.name for entry in self._entries() if not _is_ours(entry.name))


def unusable(path: Path, error: OSError) -> TxnpipeError:
    """What to tell a user about a home that the operating system refuses."""
    causes = {
        errno.EROFS: ("is on a read-only file system", "Mount it writable"),
        errno.ENOSPC: ("is on a full disk", "Free some space"),
        errno.EDQUOT: ("is on a disk whose quota is used up", "Free some space"),
        errno.EACCES: ("may not be written by this user", "Change its permissions"),
        errno.EPERM: ("may not be written by this user", "Change its permissions"),
        errno.ENOTDIR: ("cannot be a directory: a file is in the way", "Move that file away"),
        errno.EEXIST: ("cannot be a directory: a file is in the way", "Move that file away"),
    }
    cause, verb = causes.get(
        error.errno or 0, (f"cannot be used ({error.strerror})", "Repair what stands in the way")
    )
    return TxnpipeError(
        f"The local cloud's home {path} {cause}.", _ELSEWHERE.format(verb=verb), ExitCode.ENVIRONMENT
    )


_ELSEWHERE = f"{{verb}}, or set {ENVIRONMENT_VARIABLE} to a directory on another disk."


def _is_ours(name: str) -> bool:
    unfinished = _UNFINISHED.fullmatch(name)
    return (unfinished[1] if unfinished else name) in _OURS


def _is_root() -> bool:
    return os.geteuid() == 0
