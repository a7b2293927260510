"""Who may talk to the local cloud: whoever sends the installation's access key, and no web page at all.

A page in a browser can reach loopback, so a request that a browser made for a page (Origin, Sec-Fetch-Site)
is refused, and so is a Host that is not loopback (a name that was rebound to 127.0.0.1). moto's own control
API, which would reset everything, and its instance metadata are closed to everybody.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_CLOSED_PATHS = ("/moto-api", "/favicon.ico", "/latest/meta-data", "/latest/api")


@dataclass(frozen=True)
class Refusal:
    """Why a request is not served; always status 403. `key` tells a wrong key from the rest."""

    message: str
    key: bool = False


class Guard:
    """Judges requests by their WSGI environment, before anything else looks at them."""

    def __init__(self, access_key_id: str) -> None:
        self._key = access_key_id.encode()

    def refusal(self, environ: Mapping[str, Any]) -> Refusal | None:
        """None for a request that may be served."""
        if "HTTP_ORIGIN" in environ:
            return Refusal("Requests of web pages are not served.")
        if environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
            return Refusal("Requests of web pages are not served.")
        if _host_name(environ.get("HTTP_HOST", "")) not in _LOOPBACK_HOSTS:
            return Refusal("The Host header must name this machine's loopback interface.")
        if environ.get("PATH_INFO", "").startswith(_CLOSED_PATHS):
            return Refusal("This path is closed.")
        sent = access_key_of(environ.get("HTTP_AUTHORIZATION", ""), environ.get("QUERY_STRING", ""))
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), self._key):
            return Refusal("The request does not carry the access key of this local cloud.", key=True)
        return None


def access_key_of(authorization: str, query: str) -> str:
    """The access key id that a request was signed with, in a header or a presigned query; "" for none."""
    if authorization:
        scope = _between(authorization, "Credential=")
        if scope:
            return scope.split("/", 1)[0]
        kind, _, rest = authorization.partition(" ")
        return rest.partition(":")[0] if kind == "AWS" else ""
    return credential_scope(authorization, query).split("/", 1)[0] or _parameter(query, "AWSAccessKeyId")


def credential_scope(authorization: str, query: str) -> str:
    """`KEY/DATE/REGION/SERVICE/aws4_request` of a request signed with version 4; "" for none."""
    if authorization:
        return _between(authorization, "Credential=")
    return _parameter(query, "X-Amz-Credential")


def _between(text: str, start: str) -> str:
    position = text.find(start)
    if position < 0:
        return ""
    position += len(start)
    end = text.find(",", position)
    return text[position : end if end >= 0 else len(text)].strip()


def _parameter(query: str, name: str) -> str:
    if name not in query:
        return ""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == name:
            return unquote(value)
    return ""


def _host_name(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.rsplit(":", 1)[0]
