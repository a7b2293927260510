"""What the daemon knows of each part it runs, and what each part knows of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ACCOUNT = "000000000000"
"""The account id of every local cloud."""


@dataclass(frozen=True)
class LocalContext:
    """Handed to every part when it is made.

    home: the installation's directory, each part keeps its state in a subdirectory of its own name.
    endpoint_url: where the API server listens. It listens before the parts have started; a request to one
    that has not waits for it.
    access_key_id, secret_access_key: the installation's key; every request to the API server must carry it.
    client: makes a boto3 client of the local cloud: `client("s3", "us-east-1")`.
    moto_gate: held by a part's own threads while they touch moto's objects; moto's calls hold it already.
    moto_gate_later: the same, for changes that need not be on disk at once.
    """

    home: Path
    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    enforce_limits: bool
    flink_heap_mb: int
    client: Callable[[str, str], Any]
    moto_gate: Callable[[], AbstractContextManager[None]] = nullcontext
    moto_gate_later: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Process:
    """An operating-system process that a part owns."""

    name: str
    pid: int


@dataclass(frozen=True)
class Listener:
    """A loopback port that a part owns."""

    name: str
    port: int


class Part(Protocol):
    """A part of the local cloud with threads, processes or files of its own."""

    name: str

    def start(self) -> None:
        """Brings back everything the state on disk says should be running. Returns quickly."""
        ...

    def stop(self) -> None:
        """Stops threads and ends child processes; state stays on disk."""
        ...

    def processes(self) -> list[Process]:
        """The child processes alive now."""
        ...

    def listeners(self) -> list[Listener]:
        """The ports bound now."""
        ...
