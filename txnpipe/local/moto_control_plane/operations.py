"""Which AWS operation a request is, and whether it only reads: reads are not followed by a save."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

_READING = (
    "Get",
    "List",
    "Describe",
    "Head",
    "Search",
    "Lookup",
    "Filter",
    "Scan",
    "Query",
    "BatchGet",
    "Simulate",
    "Test",
    "Validate",
    "Estimate",
)
_DEFERRED = frozenset({"PutLogEvents", "PutMetricData"})


@dataclass(frozen=True)
class Operation:
    """One request to moto, as far as keeping its state is concerned.

    name: the operation ("CreateQueue"); for REST services that put it into method and path, "GET" and so on.
    reads: nothing that must be kept changes. deferred: what changes may be kept a moment after the answer
    (log lines and metrics, whose state is long and grows with every call). invokes: it runs a function, for
    up to 15 minutes.
    """

    name: str
    reads: bool
    deferred: bool = False
    invokes: bool = False


def operation_of(environ: dict[str, Any], service: str) -> Operation:
    """The operation of a request. Leaves the body where it was."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    name = _named(environ)
    if name:
        return Operation(name, name.startswith(_READING), name in _DEFERRED)
    invokes = service == "lambda" and method == "POST" and path.rstrip("/").endswith("/invocations")
    return Operation(method, method in ("GET", "HEAD", "OPTIONS"), invokes=invokes)


def _named(environ: dict[str, Any]) -> str:
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    path: str = environ["PATH_INFO"]
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        return path.rpartition("/operation/")[2]
    action = _action(environ.get("QUERY_STRING", ""))
    if action:
        return action
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return ""
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    return _action(body[:_LONGEST_SEARCH].decode("latin-1"))


_LONGEST_SEARCH = 4096
"""SDKs send Action first; a form this long without it is something else."""


def _action(form: str) -> str:
    for pair in form.split("&"):
        name, _, value = pair.partition("=")
        if name == "Action":
            return value
    return ""
