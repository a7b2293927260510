"""Which of moto's backends a call went through.

moto keeps the state of each service, account and region in an object that every call looks up in a dictionary
of dictionaries. Watching that lookup tells which backends a call may have changed, including those of other
services, without knowing what the call does.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from txnpipe.local.moto_control_plane.hooks import replace
from txnpipe.local.part import ACCOUNT


@dataclass(frozen=True, order=True)
class BackendKey:
    """One backend of moto: the module that defines it, and its region (a partition for global services)."""

    module: str
    region: str

    @property
    def service(self) -> str:
        """For people: "moto.awslambda.models" is "awslambda"."""
        return self.module.split(".")[1]


def key_of(backend: Any) -> BackendKey:
    """The key of a backend object."""
    return BackendKey(type(backend).__module__, backend.region_name)


def resolve(key: BackendKey) -> Any:
    """The backend of a key; moto makes it if it does not exist yet."""
    from moto.core.base_backend import BackendDict

    module = importlib.import_module(key.module)
    for value in vars(module).values():
        if isinstance(value, BackendDict) and value.backend.__module__ == key.module:
            return value[ACCOUNT][key.region]
    raise LookupError(f"{key.module} has no backends")


class Tracker:
    """Collects the keys of the backends that are looked up."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._unattended: set[BackendKey] = set()

    def install(self) -> None:
        """Watches moto's lookups from now on, for the life of the process."""
        from moto.core.base_backend import AccountSpecificBackend

        lookup = AccountSpecificBackend.__getitem__

        def watched(backends: Any, region: str) -> Any:
            region = "aws" if region == "global" else region
            is_new = not dict.__contains__(backends, region)
            backend = lookup(backends, region)
            self._looked_up(BackendKey(backends.backend.__module__, region), is_new)
            return backend

        replace(AccountSpecificBackend, "__getitem__", watched)

    def _looked_up(self, key: BackendKey, is_new: bool) -> None:
        collecting: set[BackendKey] | None = getattr(self._thread, "collecting", None)
        if collecting is None:
            with self._lock:
                self._unattended.add(key)
        elif is_new or not self._thread.only_new:
            collecting.add(key)

    @contextmanager
    def collecting(self, *, only_new: bool) -> Iterator[set[BackendKey]]:
        """The set that this thread's lookups fill; with `only_new`, only backends that did not exist before.

        A new backend is news even to a call that reads: EC2 makes a default network with random ids.
        """
        before = getattr(self._thread, "collecting", None), getattr(self._thread, "only_new", False)
        found: set[BackendKey] = set()
        self._thread.collecting, self._thread.only_new = found, only_new
        try:
            yield found
        finally:
            self._thread.collecting, self._thread.only_new = before

    def add_unattended(self, keys: set[BackendKey]) -> None:
        """Adds keys that somebody else has to save later."""
        with self._lock:
            self._unattended |= keys

    def take_unattended(self) -> set[BackendKey]:
        """What was looked up by threads that do not collect: parts of the daemon, functions under way."""
        with self._lock:
            taken, self._unattended = self._unattended, set()
            return taken
