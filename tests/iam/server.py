"""moto behind a gate that enforces IAM: action, resource and condition of every call of a role.

moto's own enforcement looks at actions only: it asks whether a policy allows them on the resource "*", which
no statement with an ARN does. Here the caller is found by the access key, its policies are read from IAM as
they are at that moment, and the request is taken apart.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.iam.evaluator import Document, allowed
from tests.iam.requests import Request, checks
from txnpipe.local.wire import Code, error_response, protocol_of

ACCOUNT = "123456789012"
REGION = "us-east-1"
OWNER = {"aws_access_key_id": "owner", "aws_secret_access_key": "owner"}
"""The account's owner: may do everything, and is not judged."""
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
_S3 = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}


@dataclass
class Gate:
    """WSGI middleware."""

    application: Callable[..., Iterable[bytes]]
    roles: dict[str, str] = field(default_factory=dict)
    """Access key → name of the role that it belongs to."""
    iam: Any = None
    streams: dict[str, str] = field(default_factory=dict)
    """Shard iterator → the stream that it was made for."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if found is None:
            return self._deny(environ, start_response, "", "an unsigned request")
        key, service = found.groups()
        if key != OWNER["aws_access_key_id"]:
            policies = self._policies(key)
            operation, parameters = _taken_apart(service, environ, body)
            request = Request(service, operation, parameters, self, ACCOUNT, REGION)
            for check in checks(request):
                if not allowed(policies, check):
                    return self._deny(environ, start_response, service, f"{check.action} on {check.resource}")
        return self.application(environ, start_response)

    def _policies(self, key: str) -> list[Document]:
        role = self.roles[key]
        names = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]

    def _deny(self, environ: Any, start_response: Any, service: str, what: str) -> list[bytes]:
        protocol = protocol_of(environ, service)
        answer = error_response(protocol, Code.DENIED.in_protocol(protocol), f"not authorized: {what}", 403)
        headers = {"Content-Type": answer.content_type, **answer.headers}
        start_response("403 Forbidden", list(headers.items()))
        return [answer.body]

    def ec2_tags(self, _identifier: str) -> Mapping[str, str]:
        """Nothing here depends on tags."""
        return {}

    def function_arn(self, mapping: str) -> str:
        """No role looks at mappings."""
        raise AssertionError(mapping)

    def secret_arn(self, name: str) -> str | None:
        """The functions name secrets by ARN."""
        raise AssertionError(name)

    def serverless_tags(self, arn: str | None, part: str, name: str | None) -> Mapping[str, str]:
        """No role looks at a warehouse."""
        raise AssertionError(arn, part, name)

    def stream_key(self, _name: str) -> str | None:
        """The streams have AWS's own key."""
        return None

    def stream_name(self, token: str) -> str:
        """As the service would know it."""
        return self.streams[token]


def _taken_apart(service: str, environ: Mapping[str, Any], body: bytes) -> tuple[str, dict[str, Any]]:
    """Operation and parameters of a request."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return target.rpartition(".")[2], json.loads(body)
    if service == "s3":
        bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
        version = parse_qs(environ["QUERY_STRING"]).get("versionId", [None])[0]
        operation = _S3[environ["REQUEST_METHOD"]] if key else "ListObjectsV2"
        return operation, {"Bucket": bucket, "Key": key, "VersionId": version}
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    groups = [value for name, value in form.items() if name.startswith("SecurityGroupId.")]
    return form["Action"], {**form, "SecurityGroupIds": groups}


@dataclass(frozen=True)
class Account:
    """An account on a server that enforces IAM."""

    url: str
    gate: Gate
    _clients: dict[str, Any] = field(default_factory=dict)

    def owner(self, service: str) -> Any:
        """A client that may do everything."""
        if service not in self._clients:
            options = {"region_name": REGION, "endpoint_url": self.url, **OWNER}
            session: Any = boto3.Session()
            self._clients[service] = session.client(service, **options)
        return self._clients[service]

    def assume(self, role: str) -> dict[str, str]:
        """Credentials of a role, as boto3 takes them."""
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        found = self.owner("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        self.gate.roles[found["AccessKeyId"]] = role
        return {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }


@contextmanager
def account() -> Iterator[Account]:
    """An empty account on loopback."""
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        made = Account(f"http://127.0.0.1:{server.server_port}", gate)
        gate.iam = made.owner("iam")
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
