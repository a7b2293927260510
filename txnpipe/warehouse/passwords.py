"""The form in which CREATE USER and ALTER USER are told a password: a hash, so that no statement holds it.

Statements are kept: by the Data API for a day, by the database in its logs. Neither form lets anybody compute
the password, and ours are random.

Redshift: the documented MD5 form, "md5" and the MD5 of password and user name ("CREATE USER", Redshift
Database Developer Guide). Redshift also takes 'sha256|digest|salt', but such a user can only log in with
AWS's own drivers: the server then asks for authentication method 13, which libpq, and so psycopg2 in the
loader, does not know ("authentication method 13 not supported"). ALTER USER documents the MD5 form only.

PostgreSQL: a SCRAM-SHA-256 verifier, as pg_authid holds it (RFC 5802, RFC 7677).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from txnpipe.warehouse.interface import Dialect

SCRAM_ITERATIONS = 4096
"""PostgreSQL's own default (scram_iterations)."""
SALT_BYTES = 16


def hashed(dialect: Dialect, user: str, password: str) -> str:
    """What stands between the quotes of PASSWORD '…'. `password` is printable ASCII."""
    if dialect == "redshift":
        return redshift_md5(user, password)
    return scram_verifier(password, os.urandom(SALT_BYTES))


def redshift_md5(user: str, password: str) -> str:
    """Redshift's md5hash: it accepts the password of this user."""
    return "md5" + hashlib.md5((password + user).encode("ascii")).hexdigest()  # noqa: S324 - Redshift's form


def scram_verifier(password: str, salt: bytes, iterations: int = SCRAM_ITERATIONS) -> str:
    """SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY. ASCII needs no SASLprep."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
