"""The one place that makes boto3 clients, and the one that turns their errors into ours.

A `Target` says where AWS is: endpoint, credentials, region, account. Everything above asks it for clients
and never learns whether it talks to the local cloud or to an account.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txnpipe import __version__
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_MODEL_LOADING = threading.Lock()
"""boto3 sessions are not safe to create clients from in parallel."""
_SESSION = "session"
"""Where a target keeps its session, beside its clients."""


@dataclass(frozen=True)
class Credentials:
    """An access key. `repr` never shows the secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class FunctionPlatform:
    """What a function's zip must match: Python version ("3.13") and architecture ("x86_64", "arm64").

    `this_machine`: the functions run here, whatever the system, and not on Lambda's Linux.
    """

    python: str
    architecture: str
    this_machine: bool = False


@dataclass(frozen=True)
class Target:
    """Where AWS is, and the few settings that differ between targets.

    `credentials` is None where boto3's own chain (profile, environment, role) decides.
    `warehouse_access` is resolved: never "auto". `connector_jar` is the Kinesis connector that goes into the
    analytics zip; None where nobody named one. `asks_first`: changes cost money or data there, so commands
    ask before they make them. `final_snapshot`: whether the warehouse leaves a snapshot when it is torn down.
    `client_options` override the botocore configuration of every client.
    `revive` brings the services back after a connection failure, where that is in this program's power: it
    returns once they answer at the same endpoint, and raises TxnpipeError where it cannot.
    """

    name: str
    region: str
    account: str
    endpoint_url: str | None
    credentials: Credentials | None
    profile: str | None
    warehouse_access: str
    sslmode: str
    functions: FunctionPlatform
    batch_window_seconds: int
    checkpoint_interval_ms: int
    connector_jar: Path | None
    asks_first: bool = True
    final_snapshot: bool = True
    revive: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client, made once per service and options. Thread-safe.

        `options` override the botocore configuration (read_timeout, max_pool_connections, retries, ...).
        """
        key = service + repr(sorted(options.items()))
        with _MODEL_LOADING:
            if key not in self._clients:
                self._clients[key] = self._make(service, options)
            return self._clients[key]

    def _make(self, service: str, options: dict[str, Any]) -> BaseClient:
        from botocore.config import Config

        # One session for all clients: each would load the endpoint rules and models anew, 50-100 ms a time.
        if _SESSION not in self._clients:
            self._clients[_SESSION] = _session_with(self.credentials, self.region, self.profile)
        session = self._clients[_SESSION]
        settings: dict[str, Any] = {
            "user_agent_extra": f"txnpipe/{__version__}",
            "connect_timeout": 5,
            "read_timeout": 60,
            "retries": {"mode": "standard", "max_attempts": 5},
            "max_pool_connections": 32,
            "s3": {"addressing_style": "path"} if self.endpoint_url else {},
            "ignore_configured_endpoint_urls": self.endpoint_url is not None,
        }
        if self.credentials:
            # Whoever brings a key talks to this machine; a proxy of the user's would be asked otherwise.
            settings["proxies"] = {}
        config = Config(**(settings | dict(self.client_options) | options))
        client = session.client(service, endpoint_url=self.endpoint_url, config=config)
        client.meta.events.register("after-call-error", _name_call)
        refuse_cut_answers(client)
        return client  # type: ignore[no-any-return]


def refuse_cut_answers(client: Any) -> None:
    """Lets a client take an answer that is shorter than declared for a closed connection: it is retried.

    botocore compares no lengths, and of JSON that was cut off it makes an answer without a member: who dies
    while answering would seem to have answered that there is nothing.
    """
    from botocore.exceptions import ConnectionClosedError

    session = client._endpoint.http_session
    send = session.send

    def send_and_compare(request: Any) -> Any:
        response = send(request)
        declared = response.headers.get("Content-Length")
        has_body = declared is not None and request.method != "HEAD" and not request.stream_output
        if has_body and len(response.content) < int(declared):
            raise ConnectionClosedError(endpoint_url=request.url)
        return response

    session.send = send_and_compare


def _name_call(exception: Exception, event_name: str, **_: Any) -> None:
    """Lets a call that was never answered say which it was: botocore's time-outs name the address only."""
    exception.operation_name = event_name.rpartition(".")[2]  # type: ignore[attr-defined]


def _session_with(credentials: Credentials | None, region: str, profile: str | None) -> Any:
    """A boto3 session. With a key of its own it looks at no AWS_* variable and at no file of the user's."""
    import boto3

    if credentials is None:
        return boto3.Session(profile_name=profile, region_name=region)
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
    from botocore.session import Session

    variables = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    return boto3.Session(
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        region_name=region,
        botocore_session=Session(session_vars=variables),
    )


def error_code(error: Exception) -> str:
    """The service's error code ("ResourceNotFoundException"), or "" where it is not a service error."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def condition_not_met(error: Exception) -> bool:
    """Whether S3 refused a conditional write: the object is there, or is another one than was named.

    412 tells that it was so. 409 tells of another write at the same moment, and which of the two was taken is
    to be looked up (PutObject, Amazon S3 API reference).
    """
    return error_code(error) in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@contextmanager
def translated(action: str, resource: str, fix: str | None = None) -> Iterator[None]:
    """Turns whatever botocore raises inside into a TxnpipeError that says where, what and what to do.

    action: what was attempted, as a verb phrase ("create the stream"); resource: its name.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error_code(error)
        message = error.response.get("Error", {}).get("Message", "")
        raise TxnpipeError(
            f"Could not {action} {resource}: {error.operation_name} answered {code}: {message}",
            fix or (_AGAIN if _is_their_fault(error) else _fix(code)),
            ExitCode.LIMIT if _is_quota(code) else ExitCode.SERVICE,
        ) from error
    except BotoCoreError as error:
        operation = getattr(error, "operation_name", "")
        what = f"{operation}: {error}" if operation else str(error)
        raise TxnpipeError(
            f"Could not {action} {resource}: {what}",
            fix or "Check the network, the credentials and the region, then run the same command again.",
            ExitCode.SERVICE,
        ) from error


_AGAIN = "Run the same command again in a minute; it continues where it stopped."
_DENIED = {
    *("AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"),
    *("UnauthorizedOperation", "Client.UnauthorizedOperation", "NotAuthorized", "403"),
}
_UNKNOWN_CALLER = {
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "AuthFailure"),
    *("UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"),
}
_THROTTLED = {
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "SlowDown"),
    *("TooManyRequestsException", "DependentServiceRequestThrottlingFault", "EC2ThrottledException"),
}
_QUOTA = re.compile(r".*(Limit|Quota|Storage)Exceeded(Fault|Exception)?|TooManyBuckets")


def _fix(code: str) -> str:
    """What to do about an error code. Every service has its own word for the same trouble."""
    if code in _DENIED:
        return "Ask for a policy that allows this call, then run the same command again."
    if code in _UNKNOWN_CALLER:
        return "Sign in again, then run the same command again."
    if code in _THROTTLED:
        return _AGAIN
    if _is_quota(code):
        return "Ask AWS for a higher quota, or wait until the limit's period has passed."
    return "Run the command again with --debug to see which calls it made."


def _is_their_fault(error: Any) -> bool:
    """Whether the service itself failed, and not the request."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return isinstance(status, int) and status >= 500 and not _is_quota(error_code(error))


def _is_quota(code: str) -> bool:
    return code not in _THROTTLED and _QUOTA.fullmatch(code) is not None
