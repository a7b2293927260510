"""Ports for the servers of tests."""

from __future__ import annotations

import itertools
import os
import socket

FIRST = 20_000
"""Below those of outgoing connections on Linux and macOS: one could take a port just before its user does."""
EACH = 1_000
"""Ports of one process among those that run the tests side by side."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(FIRST + _worker * EACH, FIRST + (_worker + 1) * EACH))


def free_port() -> int:
    """A port that nobody listens on now, and that no other process of these tests is given."""
    for port in itertools.islice(_ports, EACH):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
