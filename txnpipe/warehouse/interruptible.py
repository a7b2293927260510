"""Connections on which Ctrl-C ends a statement at once.

psycopg2 by itself waits inside libpq, where no signal is heard until the server has answered. These
connections are psycopg2's asynchronous ones, and the waiting is done here: Ctrl-C cancels the statement on
the server, waits for the server to agree, and goes on as KeyboardInterrupt.

psycopg2's wait callback would do the same, but for every connection of the process, where it ends COPY and
large objects. An asynchronous connection is always in autocommit mode and knows neither of the two.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, connection, cursor

CANCEL_AGAIN_S = 0.5
"""How long the server has for a cancellation before it is sent once more."""


class _TimeUpError(psycopg2.OperationalError):
    """The server has not answered in time."""


class _WaitingCursor(cursor):
    """Its `execute` returns when the server has answered, as that of a synchronous connection."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        try:
            super().execute(query, vars)
            _await_answer(self.connection)
        except KeyboardInterrupt:
            _call_off(self.connection)
            raise


def connect(timeout_s: float, **parameters: Any) -> connection:
    """A connection in autocommit mode, made with libpq's parameters.

    Raises psycopg2.OperationalError, also where it is not there in `timeout_s` seconds: libpq leaves that
    to whoever waits.
    """
    opening: connection = psycopg2.connect(async_=True, cursor_factory=_WaitingCursor, **parameters)
    deadline = time.monotonic() + timeout_s
    try:
        while not _step(opening, max(0.0, deadline - time.monotonic())):
            pass
    except BaseException:
        opening.close()
        raise
    return opening


def _await_answer(waiting: connection) -> None:
    while not _step(waiting, None):
        pass


def _call_off(waiting: connection) -> None:
    """Ends what the server works on, where Ctrl-C came after it was sent and before its answer was read.

    The server passes over a cancellation that it reads before the statement, so it is sent until there is an
    answer. That answer, mostly that the statement was cancelled, interests nobody any more.
    """
    with contextlib.suppress(psycopg2.Error):
        while waiting.isexecuting():
            waiting.cancel()
            with contextlib.suppress(_TimeUpError):
                while not _step(waiting, CANCEL_AGAIN_S):
                    pass


def _step(waiting: connection, timeout_s: float | None) -> bool:
    """Goes on as far as the socket allows, waits for it, and returns False; True where nothing is left."""
    state = waiting.poll()
    if state == POLL_OK:
        return True
    if state not in (POLL_READ, POLL_WRITE):
        raise psycopg2.OperationalError(f"unexpected state {state} of a connection")
    socket = select.poll()
    socket.register(waiting.fileno(), select.POLLOUT if state == POLL_WRITE else select.POLLIN)
    if not socket.poll(None if timeout_s is None else timeout_s * 1000):
        raise _TimeUpError("timeout expired: the server did not answer in time")
    return False
