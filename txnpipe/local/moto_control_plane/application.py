"""moto behind the API server: one call at a time, its changes on disk before it is answered."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from txnpipe.local.moto_control_plane import hooks, tags
from txnpipe.local.moto_control_plane.backends import BackendKey, Tracker
from txnpipe.local.moto_control_plane.gate import Gate
from txnpipe.local.moto_control_plane.operations import operation_of
from txnpipe.local.moto_control_plane.persistence import LateSaver, StateStore
from txnpipe.local.moto_control_plane.tags import Caller
from txnpipe.local.part import ACCOUNT
from txnpipe.local.server import UnknownOperation, WsgiEnvironment
from txnpipe.local.service import Response

ENVIRONMENT = {
    "MOTO_ACCOUNT_ID": ACCOUNT,
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
    # 1,300 machine images take 100 MB and nearly a second, and nothing here starts a machine.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}
"""moto reads these when it is imported."""


def import_moto() -> None:
    """Imports moto's core with our settings. Must run before anything else imports moto."""
    os.environ.update(ENVIRONMENT)
    hooks.know_regions_at_once()
    import moto.backends
    import moto.core.models

    # The account that moto assumes where a request names none must be the one account there is.
    hooks.replace(moto.core.models, "DEFAULT_ACCOUNT_ID", ACCOUNT)
    hooks.replace(moto.core, "DEFAULT_ACCOUNT_ID", ACCOUNT)
    hooks.offer_no_machines()
    # moto lists a directory on every call to find out which services it has; the answer never changes.
    services = frozenset(moto.backends.list_of_moto_modules())
    hooks.replace(moto.backends, "list_of_moto_modules", lambda: services)


class MotoControlPlane:
    """moto as the API server's fallback. Made once per process: it changes moto's classes."""

    def __init__(self, directory: Path) -> None:
        import_moto()
        self._gate = Gate()
        self._tracker = Tracker()
        self._tracker.install()
        hooks.install(self._gate)
        self._store = StateStore(directory)
        self._saver = LateSaver(self._store, self._gate, self._tracker)
        self._application = _make_application()

    @property
    def unsavable(self) -> list[str]:
        """Services whose state will not survive a restart, and why."""
        return self._store.unsavable

    def show_tags_of(self, call: Caller) -> None:
        """Lets the tagging API list the resources of our own services, which `call` reaches."""
        tags.install(self._gate, call)

    def start(self) -> None:
        """Brings the saved state back. Raises TxnpipeError."""
        with self._gate.alone(), self._tracker.collecting(only_new=True):
            self._store.restore()
        self._saver.start()

    def stop(self) -> None:
        """Saves what is not saved yet."""
        self._saver.stop()
        self._store.close()

    def answer(self, environ: WsgiEnvironment, service: str) -> Response:
        """Answers a request. Raises UnknownOperation; OSError where its changes cannot be saved."""
        # Object keys may hold encoded slashes and percent signs: moto needs the path as it was sent.
        environ["RAW_URI"] = environ.get("REQUEST_URI", environ["PATH_INFO"])
        operation = operation_of(environ, service)
        if operation.invokes:
            # Runs for as long as a function does. What it changes in moto is saved by the late saver.
            return self._call(environ, service)
        with self._gate.alone(), self._tracker.collecting(only_new=operation.reads) as changed:
            try:
                return self._call(environ, service)
            finally:
                # A call that fails may have changed something before it failed.
                if operation.deferred:
                    self._tracker.add_unattended(changed)
                else:
                    self._save(changed)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """For threads of the daemon's parts: alone in moto, and what was changed is on disk afterwards.

        What counts as changed is what was looked up in moto's dictionaries of backends inside.
        """
        if self._gate.held:
            # Within a call of the API, whose end saves everything.
            yield
            return
        with self._gate.alone(), self._tracker.collecting(only_new=False) as changed:
            try:
                yield
            finally:
                self._save(changed)

    @contextmanager
    def changing_later(self) -> Iterator[None]:
        """As `changing`, for what may be on disk a moment later, such as log lines."""
        with self._gate.alone(), self._tracker.collecting(only_new=False) as changed:
            try:
                yield
            finally:
                self._tracker.add_unattended(changed)

    def _save(self, changed: set[BackendKey]) -> None:
        try:
            self._store.save(changed)
        except BaseException:
            self._tracker.add_unattended(changed)
            raise

    def _call(self, environ: WsgiEnvironment, service: str) -> Response:
        try:
            status, headers, body = _run(self._application, environ)
        except NotImplementedError as error:
            raise UnknownOperation(str(error) or "This call is not implemented.") from error
        content_type = headers.pop("content-type", "")
        if status >= 400 and body[:14].lower() == b"<!doctype html":
            # The web framework's own page for a path that moto does not know.
            raise UnknownOperation(f"The local cloud has no such call of {service or 'any service'}.")
        return Response(status, body, content_type or "application/octet-stream", headers)


def _make_application() -> Callable[..., Any]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    application = DomainDispatcherApplication(create_backend_app)
    find = application.get_backend_for_host

    # Two hundred regular expressions decide which service a host name means; there are few names.
    @functools.lru_cache(maxsize=1024)
    def find_once(host: str | None) -> Any:
        backend = find(host)
        if backend is None and host is not None:
            raise NotImplementedError(f"The local cloud has no service at {host}.")
        return backend

    hooks.replace(application, "get_backend_for_host", find_once)
    return application


def _run(application: Callable[..., Any], environ: WsgiEnvironment) -> tuple[int, dict[str, str], bytes]:
    """Calls a WSGI application to its end: status, headers by lower-case name, body."""
    answered: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        answered[:] = [int(status.split(" ", 1)[0]), {name.lower(): value for name, value in headers}]

    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    return answered[0], answered[1], body
