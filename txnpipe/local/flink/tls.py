"""Locks the ports that Flink opens beside the gateway (REST, blob server) with mutual TLS.

Flink cannot be started without them, and whoever reaches the REST port can stop the cluster or have files
written. With a certificate that only this JVM has, nobody else gets past the handshake. Nothing here talks to
these ports itself: the job is driven through the gateway.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path


def lock_options(keystore: Path) -> dict[str, str]:
    """Writes a keystore with a fresh key (mode 0600) and returns Flink's options that make it required."""
    password = secrets.token_urlsafe(24)
    descriptor = os.open(keystore, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_pkcs12(password))
    options = {
        "security.ssl.internal.enabled": "true",
        "security.ssl.rest.enabled": "true",
        "security.ssl.rest.authentication-enabled": "true",
    }
    for side in ("internal", "rest"):
        for store in ("keystore", "truststore"):
            options[f"security.ssl.{side}.{store}"] = str(keystore)
            options[f"security.ssl.{side}.{store}-password"] = password
        options[f"security.ssl.{side}.key-password"] = password
    return options


def _pkcs12(password: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return pkcs12.serialize_key_and_certificates(
        b"flink", key, certificate, None, BestAvailableEncryption(password.encode())
    )
