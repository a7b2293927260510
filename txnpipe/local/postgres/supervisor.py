"""Keeps one PostgreSQL server alive: notices within a quarter of a second that it died, and starts it again.

A postmaster that keeps dying is started again with growing pauses, for ever: the disk may have space again
later. Its connections break, as they do when Redshift restarts a node; whoever holds them reconnects.
"""

from __future__ import annotations

import logging
import threading

from txnpipe.errors import TxnpipeError
from txnpipe.local.part import Process
from txnpipe.local.postgres.server import PostgresServer

WATCH_INTERVAL_S = 0.25
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs a server until told to stop. Thread-safe."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.restarts = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts or adopts the server, waits until it accepts connections, and watches it from now on."""
        with self._lock:
            self.server.start()
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(
                    target=self._watch, name=f"postgres-{self.server.name}", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Stops watching, then the server."""
        self._end_watch()
        with self._lock:
            self.server.stop()

    def remove(self) -> None:
        """Stops the server and deletes all it had."""
        self._end_watch()
        with self._lock:
            self.server.remove()

    def processes(self) -> list[Process]:
        """The postmaster, where it runs."""
        return self.server.processes()

    def _end_watch(self) -> None:
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._thread = None

    def _watch(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.wait(WATCH_INTERVAL_S):
            with self._lock:
                if self.server.running():
                    pause = FIRST_PAUSE_S
                    continue
                _log.warning("PostgreSQL for %s died; starting it again", self.server.name)
                came_up = self._try_to_start()
            if came_up:
                self.restarts += 1
            else:
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    def _try_to_start(self) -> bool:
        try:
            self.server.start()
        except (TxnpipeError, OSError) as error:
            _log.error("PostgreSQL for %s: %s", self.server.name, error)
            return False
        return True
