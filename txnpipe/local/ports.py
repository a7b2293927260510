"""Which port the API server listens on: the one of last time, else the preferred one, else a free one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.files import read_json, write_json
from txnpipe.local.home import Home

LOOPBACK = "127.0.0.1"
_BACKLOG = 1024


def bind_api(home: Home, preferred: int) -> socket.socket:
    """A listening socket on loopback.

    The port of the last run comes first, as long as the same port is preferred: environments that
    `txnpipe local env` has set go on working after a restart.
    """
    for port in _candidates(home, preferred):
        listener = _try(port)
        if listener is not None:
            write_json(home.ports_file, {"preferred": preferred, "api": listener.getsockname()[1]})
            return listener
    raise TxnpipeError(
        f"Port {preferred} is taken and this machine offers no other on {LOOPBACK}.",
        "End the program that holds it, or set local.api_port to a free one.",
        ExitCode.ENVIRONMENT,
    )


def _candidates(home: Home, preferred: int) -> Iterator[int]:
    last = read_json(home.ports_file)
    if last and last.get("preferred") == preferred and isinstance(last.get("api"), int):
        yield last["api"]
    yield preferred
    yield 0


def _try(port: int) -> socket.socket | None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Connections of the last run in TIME_WAIT must not keep the port from the next one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            return None
        raise
    return listener
