"""Runs moto's web application: one typed answer per request, saved before it is given."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from txnpipe.local.part import ACCOUNT
from txnpipe.local.server import UnknownOperation, WsgiEnvironment
from txnpipe.local.service import Response

ENVIRONMENT = {
    "MOTO_ACCOUNT_ID": ACCOUNT,
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}
"""moto reads these when it is imported."""


def import_moto() -> None:
    """Imports moto's core with our settings. Must run before anything else imports moto."""
    os.environ.update(ENVIRONMENT)
    import moto.backends
    import moto.core.models

    # The account that moto assumes where a request names none must be the one account there is.
    moto.core.models.DEFAULT_ACCOUNT_ID = ACCOUNT
    moto.core.DEFAULT_ACCOUNT_ID = ACCOUNT
    # moto lists a directory on every call to find out which services it has; the answer never changes.
    services = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: services


class MotoApplication:
    """moto's WSGI application as the API server's fallback."""

    def __init__(self) -> None:
        import_moto()
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._application = DomainDispatcherApplication(create_backend_app)
        # Two hundred regular expressions decide which service a host name means; there are few names.
        self._application.get_backend_for_host = functools.lru_cache(maxsize=1024)(
            self._application.get_backend_for_host
        )

    def answer(self, environ: WsgiEnvironment, service: str) -> Response:
        """Answers a request. Raises UnknownOperation."""
        # Object keys may hold encoded slashes and percent signs: moto needs the path as it was sent.
        environ["RAW_URI"] = environ.get("REQUEST_URI", environ["PATH_INFO"])
        try:
            status, headers, body = _run(self._application, environ)
        except NotImplementedError as error:
            raise UnknownOperation(str(error) or "This call is not implemented.") from error
        content_type = headers.pop("content-type", "")
        if status >= 400 and content_type.startswith("text/html"):
            raise UnknownOperation(f"The local cloud has no such call of {service or 'any service'}.")
        return Response(status, body, content_type or "application/octet-stream", headers)


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
