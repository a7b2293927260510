"""The Kinesis connector that goes into the analytics zip: a jar on this machine, or one that is downloaded.

The jar that SQL tables need, with all it depends on, is flink-sql-connector-aws-kinesis-streams (Flink
documentation, Kinesis SQL connector). The runtime does not bring it, and it is too large to be shipped here;
https://docs.aws.amazon.com/managed-flink/latest/java/how-flink-connectors.html lists the versions that fit.

A download goes into the user's cache and is used only with the SHA-256 that the settings (or the table below)
name: anybody may stand between here and a mirror, and the jar runs with the app's permissions. The cached
file is hashed anew each time. Nothing is downloaded for a target that brings its own connector (`local`). For
`aws` a plan downloads as a setup does, since the zip's digest is part of it; that changes only the cache.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

import platformdirs

from txnpipe.config.settings import AnalyticsSettings
from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.packaging.connector_jar import ARTIFACT, check_jar

MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
KEYS = "https://downloads.apache.org/flink/KEYS"
"""The keys that Flink's releases are signed with."""
MAX_JAR_BYTES = 128 * 1024 * 1024
"""Several times what the connector takes."""
CHUNK_BYTES = 1024 * 1024
READ_TIMEOUT_S = 30.0
DOWNLOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Release:
    """One release of the connector. sha256: of its SQL jar, in hexadecimal; None where we know of none."""

    version: str
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        """As in Maven repositories."""
        return f"{ARTIFACT}-{self.version}.jar"

    def url(self, base: str | None) -> str:
        """Where the jar is: in the Maven repository `base`, or `base` itself where that is a jar."""
        base = (base or MAVEN_CENTRAL).rstrip("/")
        return (
            base
            if base.endswith(".jar")
            else f"{base}/org/apache/flink/{ARTIFACT}/{self.version}/{self.file_name}"
        )


RELEASES = {
    "FLINK-1_20": Release("5.1.0-1.20"),
    "FLINK-2_2": Release("6.0.1-2.0"),
    "FLINK-2_3": Release("6.0.1-2.0"),
}
"""The release for each runtime. A digest belongs here only once it was checked against a signature."""

Open = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Opens an https URL for reading. Raises OSError or HTTPException."""


def connector(
    settings: AnalyticsSettings,
    jar: Path | None,
    *,
    cache: Path | None = None,
    opened: Open | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """The jar's bytes, checked.

    jar: the target's own, or the one that the settings name; None to download. cache: where downloads are
    kept; the user's cache directory by default. Raises TxnpipeError: USAGE (a jar that will not do, a digest
    that is not known or not met), ENVIRONMENT (it cannot be fetched or kept).
    """
    release = RELEASES[settings.runtime]
    if jar is not None:
        content = _read(jar)
        if settings.connector_jar is not None and Path(settings.connector_jar) == jar:
            _assert_digest(content, settings.connector_sha256, str(jar))
        check_jar(content, str(jar), settings.runtime, release.version)
        return content
    url = release.url(settings.connector_url)
    digest = settings.connector_sha256 or release.sha256
    if digest is None:
        raise _unconfigured(release, url)
    directory = cache or platformdirs.user_cache_path("txnpipe") / "connectors"
    content = _kept(directory / f"{digest}.jar", digest) or _fetched(
        url, digest, directory, opened or open_https(), clock
    )
    check_jar(content, url, settings.runtime, release.version)
    return content


def open_https(context: ssl.SSLContext | None = None) -> Open:
    """Opens URLs over TLS, with the system's certificates, and follows no redirect out of https."""
    https = urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
    opener = urllib.request.build_opener(https, _OnlyHttps())

    def opened(url: str) -> AbstractContextManager[IO[bytes]]:
        if not url.startswith("https://"):
            raise OSError(f"{url} is not https")
        return opener.open(url, timeout=READ_TIMEOUT_S)  # type: ignore[no-any-return]

    return opened


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        if not str(arguments[-1]).startswith("https://"):
            raise OSError(f"it redirects to {arguments[-1]}, which is not https")
        return super().redirect_request(*arguments)


def _unconfigured(release: Release, url: str) -> TxnpipeError:
    return usage_error(
        f"The analytics app needs Flink's Kinesis connector ({ARTIFACT} {release.version}); none is named.",
        f"Download {url} and {url}.asc, check the signature (gpg --verify {release.file_name}.asc; keys: "
        f"{KEYS}), and name the file: --connector-jar PATH or analytics.connector_jar. Or set "
        "analytics.connector_sha256 to what sha256sum says of it: every machine then downloads that file.",
    )


def _read(jar: Path) -> bytes:
    if not jar.is_file():
        raise usage_error(
            f"There is no Kinesis connector at {jar}.",
            f"Give --connector-jar or analytics.connector_jar the path of a {ARTIFACT} jar.",
        )
    try:
        return jar.read_bytes()
    except OSError as error:
        raise usage_error(
            f"The Kinesis connector {jar} cannot be read: {error.strerror}.", "Make it readable."
        ) from error


def _assert_digest(content: bytes, wanted: str | None, origin: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if wanted is not None and actual != wanted:
        raise _other_digest(origin, wanted, actual)


def _other_digest(origin: str, wanted: str, actual: str) -> TxnpipeError:
    return usage_error(
        f"{origin} is not the connector that was asked for: its SHA-256 is {actual}, not {wanted}.",
        "Find out why before you trust it: check its signature (.asc), then correct "
        "analytics.connector_sha256 or the place it comes from.",
    )


def _kept(file: Path, digest: str) -> bytes | None:
    """The cached jar, if it is there and still whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None


def _fetched(url: str, digest: str, directory: Path, opened: Open, clock: Callable[[], float]) -> bytes:
    """Downloads into a file beside its place and renames it there once it is whole and the right one."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=directory) as workshop:
            partial = Path(workshop) / "connector.jar"
            with partial.open("wb") as file:
                actual = _streamed(url, file, opened, clock)
                file.flush()
                os.fsync(file.fileno())
            if actual != digest:
                raise _other_digest(url, digest, actual)
            content = partial.read_bytes()
            partial.replace(directory / f"{digest}.jar")
            return content
    except OSError as error:
        raise TxnpipeError(
            f"The cache {directory} cannot be written: {error.strerror or error}.",
            "Make room in it or make it writable, then run the same command again.",
            ExitCode.ENVIRONMENT,
        ) from error


def _streamed(url: str, file: IO[bytes], opened: Open, clock: Callable[[], float]) -> str:
    """Copies what the URL holds into the file; returns its SHA-256."""
    digest, size, began = hashlib.sha256(), 0, clock()
    for chunk in _chunks(url, opened):
        size += len(chunk)
        if size > MAX_JAR_BYTES:
            raise _not_fetched(url, f"it is larger than {MAX_JAR_BYTES // 1024 // 1024} MiB")
        if clock() - began > DOWNLOAD_TIMEOUT_S:
            raise _not_fetched(url, f"it took longer than {DOWNLOAD_TIMEOUT_S:.0f} s")
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()


def _chunks(url: str, opened: Open) -> Iterator[bytes]:
    try:
        with opened(url) as answer:
            while chunk := answer.read(CHUNK_BYTES):
                yield chunk
            if getattr(answer, "length", None):
                raise OSError("the connection ended before the file did")
    except (OSError, HTTPException) as error:
        raise _not_fetched(url, str(error) or type(error).__name__) from error


def _not_fetched(url: str, why: str) -> TxnpipeError:
    return TxnpipeError(
        f"The Kinesis connector could not be downloaded from {url}: {why}.",
        "Check the network, set analytics.connector_url to a mirror that this machine reaches, or download "
        "the jar elsewhere and name it: --connector-jar PATH.",
        ExitCode.ENVIRONMENT,
    )
