"""Lets Ctrl-C end a statement at once.

psycopg2 by itself waits inside libpq, where no signal is heard until the server has answered. With a wait
callback it waits here instead: Ctrl-C cancels the statement on the server, waits for the server to agree, and
goes on as KeyboardInterrupt. The callback holds for all of the process's connections.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, set_wait_callback

_connecting = threading.local()
"""When the connection being made by this thread has to be there: libpq leaves that to whoever waits."""


def install() -> None:
    """Makes all connections of this process interruptible."""
    set_wait_callback(_wait)


@contextmanager
def connecting(timeout_s: float) -> Iterator[None]:
    """Connections made inside must be there in time. Raises psycopg2.OperationalError when they are not."""
    _connecting.deadline = time.monotonic() + timeout_s
    try:
        yield
    finally:
        del _connecting.deadline


def _wait(connection: Any) -> None:
    interrupted = False
    while True:
        try:
            state = connection.poll()
            if state == POLL_OK:
                break
            if state not in (POLL_READ, POLL_WRITE):
                raise psycopg2.OperationalError(f"unexpected state {state} of a connection")
            _wait_for_socket(connection.fileno(), writing=state == POLL_WRITE)
        except KeyboardInterrupt:
            if interrupted or getattr(_connecting, "deadline", None) is not None:
                raise
            interrupted = True
            connection.cancel()
        except psycopg2.errors.QueryCanceled:
            if interrupted:
                raise KeyboardInterrupt from None
            raise
    if interrupted:
        raise KeyboardInterrupt


def _wait_for_socket(descriptor: int, *, writing: bool) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    deadline = getattr(_connecting, "deadline", None)
    if deadline is None:
        poll.poll()
    elif not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise psycopg2.OperationalError("timeout expired: the server did not answer in time")
