"""The installation's access key: random, made once per home, readable by its owner alone.

The local cloud serves whoever sends this key and nobody else, so the access key id is as secret here as the
secret access key.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from txnpipe.local.files import read_json, write_json
from txnpipe.local.home import Home

_PREFIX = "LOCAL"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID_LENGTH = 20
"""AWS's access key ids have 20 characters (IAM API reference, AccessKey allows 16-128)."""


@dataclass(frozen=True)
class LocalCredentials:
    """An access key of the local cloud. `repr` shows neither half."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


def load(home: Home) -> LocalCredentials | None:
    """The installation's key, or None where it has none yet."""
    document = read_json(home.credentials_file)
    if document is None:
        return None
    key, secret = document.get("access_key_id"), document.get("secret_access_key")
    return LocalCredentials(key, secret) if isinstance(key, str) and isinstance(secret, str) else None


def load_or_make(home: Home) -> LocalCredentials:
    """The installation's key, made now if it has none. Call it only while holding the daemon's lock."""
    existing = load(home)
    if existing:
        home.credentials_file.chmod(0o600)
        return existing
    made = LocalCredentials(
        _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH - len(_PREFIX))),
        secrets.token_urlsafe(30),
    )
    write_json(
        home.credentials_file,
        {"access_key_id": made.access_key_id, "secret_access_key": made.secret_access_key},
    )
    return made
