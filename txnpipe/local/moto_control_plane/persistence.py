"""Keeps moto's state: every changed backend is on disk before the answer, and back at the next start.

One SQLite database holds one row per backend, so that a call that changed several (a message published to a
topic lies in a queue) is kept whole or not at all, whatever kills the daemon. A row is written only when its
bytes differ. Everything here happens inside the gate.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.moto_control_plane import trimming
from txnpipe.local.moto_control_plane.backends import BackendKey, Tracker, resolve
from txnpipe.local.moto_control_plane.contents import ContentFiles
from txnpipe.local.moto_control_plane.gate import Gate
from txnpipe.local.moto_control_plane.pickling import Contents, UnsavableState, dump, load

log = logging.getLogger(__name__)

_NOT_KEPT = frozenset({"moto.resourcegroupstaggingapi.models", "moto.instance_metadata.models"})
"""Backends without state of their own: what they hold is pages of an answer under way."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS backend (
    module TEXT NOT NULL, region TEXT NOT NULL, moto TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (module, region)
)
"""


class StateStore:
    """moto's backends on disk."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._contents = Contents(ContentFiles(directory / "contents"))
        file = directory / "state.sqlite"
        try:
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            # A commit survives the daemon without waiting for the disk; after a power cut the last ones may
            # be missing, but whole.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise TxnpipeError(
                f"The local cloud's saved state {file} cannot be opened: {error}.",
                "Check the disk; if the file is damaged, run txnpipe local reset to begin anew.",
                ExitCode.ENVIRONMENT,
            ) from error
        self._saved: dict[BackendKey, bytes] = {}
        self._names: dict[BackendKey, set[str]] = {}
        self._unsavable: dict[BackendKey, str] = {}

    @property
    def unsavable(self) -> list[str]:
        """Services whose state cannot be kept, and why; none of those that the pipeline uses."""
        return [f"{key.service}: {why}" for key, why in sorted(self._unsavable.items())]

    def restore(self) -> None:
        """Brings every saved backend back into moto. Raises TxnpipeError (ENVIRONMENT)."""
        rows = self._database.execute("SELECT module, region, moto, state FROM backend").fetchall()
        for module, region, moto, state in rows:
            key = BackendKey(module, region)
            try:
                attributes, names = load(state, self._contents)
                trimming.put_back(resolve(key), attributes)
            except Exception as error:
                raise TxnpipeError(
                    f"The local cloud's saved state of {key.service} cannot be read "
                    f"({type(error).__name__}: {error}); moto {moto} wrote it and {version('moto')} is here.",
                    "Install the version of txnpipe that wrote it, or run txnpipe local reset to begin anew.",
                    ExitCode.ENVIRONMENT,
                ) from error
            self._saved[key], self._names[key] = _digest(state), names
        self._contents.files.keep_only(self._all_names())

    def save(self, keys: Iterable[BackendKey]) -> None:
        """Writes those of the backends that differ from what is on disk, all or none.

        Raises OSError (ENOSPC) where the disk is full; nothing is lost from memory then.
        """
        changed: dict[BackendKey, tuple[bytes, set[str]]] = {}
        for key in keys:
            if key.module in _NOT_KEPT:
                continue
            try:
                state, names = dump(trimming.take_out(resolve(key)), self._contents)
            except UnsavableState as error:
                if key not in self._unsavable:
                    log.warning("the state of %s will not survive a restart: %s", key.service, error)
                self._unsavable[key] = str(error)
                continue
            if _digest(state) != self._saved.get(key):
                changed[key] = state, names
        if not changed:
            return
        self._write({key: state for key, (state, _) in changed.items()})
        before = self._all_names()
        for key, (state, names) in changed.items():
            self._saved[key], self._names[key] = _digest(state), names
        self._contents.remove(before - self._all_names())

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def _write(self, states: dict[BackendKey, bytes]) -> None:
        moto = version("moto")
        rows = [(key.module, key.region, moto, state) for key, state in states.items()]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO backend VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "No space left on device") from error
            raise

    def _all_names(self) -> set[str]:
        return set().union(*self._names.values())


def _digest(state: bytes) -> bytes:
    return hashlib.blake2b(state, digest_size=16).digest()


class LateSaver:
    """Saves, a moment later, what no answer waits for: log lines, metrics, what the daemon's threads do.

    A backend whose saving takes long is saved rarely: saving takes at most one part in `_RARENESS`.
    """

    _PAUSE_S = 0.5
    _RARENESS = 20

    def __init__(
        self, store: StateStore, gate: Gate, tracker: Tracker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._gate = gate
        self._tracker = tracker
        self._clock = clock
        self._due: dict[BackendKey, float] = {}
        self._waiting: set[BackendKey] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="late-saver", daemon=True)

    def start(self) -> None:
        """Begins to save."""
        self._thread.start()

    def stop(self) -> None:
        """Saves what is left and ends. Where nothing was started, nothing is written over what is saved."""
        if not self._thread.is_alive():
            return
        self._stopping.set()
        self._thread.join()
        self.save_now()

    def save_due(self) -> None:
        """Saves every backend whose time has come."""
        self._waiting |= self._tracker.take_unattended()
        now = self._clock()
        for key in sorted(key for key in self._waiting if self._due.get(key, 0.0) <= now):
            began = self._clock()
            self._save({key})
            self._due[key] = self._clock() + self._RARENESS * (self._clock() - began)

    def save_now(self) -> None:
        """Saves everything that is waiting."""
        self._waiting |= self._tracker.take_unattended()
        self._save(set(self._waiting))

    def _save(self, keys: set[BackendKey]) -> None:
        with self._gate.alone(), self._tracker.collecting(only_new=True):
            self._store.save(keys)
        self._waiting -= keys

    def _run(self) -> None:
        while not self._stopping.wait(self._PAUSE_S):
            try:
                self.save_due()
            except Exception:  # a full disk: the next round tries again
                log.exception("could not save")
