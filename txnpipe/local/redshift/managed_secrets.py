"""Secrets that Redshift itself keeps in Secrets Manager (moto's): passwords of administrators."""

from __future__ import annotations

import json
from typing import Any

from txnpipe.local.part import ACCOUNT


def _backend(region: str) -> Any:
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends[ACCOUNT][region]


def secret_name(resource: str, user: str) -> str:
    """The name that Redshift gives the secret of a cluster's or namespace's administrator."""
    return f"redshift!{resource}-{user}"


def put(region: str, resource: str, user: str, password: str) -> str:
    """Makes the secret, or gives it another value; returns its ARN."""
    backend = _backend(region)
    name = secret_name(resource, user)
    value = json.dumps({"username": user, "password": password})
    if name in backend.secrets:
        secret = backend.secrets[name]
        backend.put_secret_value(secret.arn, value, None, None, ["AWSCURRENT"])
        return str(secret.arn)
    secret = backend.create_managed_secret(
        "redshift",
        name,
        secret_string=value,
        description=f"Secret associated with primary Redshift user {user} of {resource}",
        tags=[{"Key": "aws:redshift:primaryCluster", "Value": resource}],
    )
    return str(secret.arn)


def exists(region: str, arn: str | None) -> bool:
    """Whether there is such a secret."""
    return bool(arn) and arn in _backend(region).secrets


def remove(region: str, resource: str, user: str) -> None:
    """Deletes the secret at once, as Redshift does with its own; no matter if there is none."""
    _backend(region).secrets.pop(secret_name(resource, user))


def read(region: str, secret_id: str) -> dict[str, str] | None:
    """Username and password in a secret (by ARN or name), None where there is no such secret.

    Raises ValueError for a secret that holds something else.
    """
    secrets = _backend(region).secrets
    if secret_id not in secrets:
        return None
    secret = secrets[secret_id]
    if secret.is_deleted():
        return None
    document = json.loads(secret.versions[secret.default_version_id].get("secret_string") or "null")
    if not isinstance(document, dict) or not {"username", "password"} <= document.keys():
        raise ValueError("the secret does not hold a username and a password")
    return {"username": str(document["username"]), "password": str(document["password"])}
