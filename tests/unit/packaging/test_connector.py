"""Where the connector comes from: a file, the cache, or a server; a real one, over TLS."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.unit.packaging.jars import FLINK_1, entries, jar
from txnpipe.config.settings import AnalyticsSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.packaging import connector as connectors
from txnpipe.packaging.connector import RELEASES, Open, connector, open_https

JAR = jar()
DIGEST = hashlib.sha256(JAR).hexdigest()
PATH = (
    "/org/apache/flink/flink-sql-connector-aws-kinesis-streams/6.0.1-2.0/"
    "flink-sql-connector-aws-kinesis-streams-6.0.1-2.0.jar"
)


@dataclass
class Mirror:
    """A web server with files: path → status, headers, body; what it was asked for."""

    url: str
    opened: Open
    files: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def settings(self, digest: str | None = DIGEST, path: str = "") -> AnalyticsSettings:
        return AnalyticsSettings(connector_sha256=digest, connector_url=self.url + path)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, headers, body = found.files.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    certificate = _certificate(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(certificate))
    found = Mirror(f"https://127.0.0.1:{server.server_port}", open_https(trusting))
    found.files[PATH] = (200, {}, JAR)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def _certificate(directory: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "mirror.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return file


def never(url: str) -> object:
    raise AssertionError(f"{url} was opened")


def refusal(get: Callable[[], bytes]) -> TxnpipeError:
    with pytest.raises(TxnpipeError) as caught:
        get()
    return caught.value


def test_a_named_jar_is_read_and_nothing_is_downloaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.jar"
    file.write_bytes(JAR)
    settings = AnalyticsSettings(connector_jar=str(file))
    assert connector(settings, file, cache=tmp_path / "cache", opened=never) == JAR  # type: ignore[arg-type]
    assert not (tmp_path / "cache").exists()


def test_a_named_jar_must_have_the_digest_that_is_named_as_well(tmp_path: Path) -> None:
    file = tmp_path / "mine.jar"
    file.write_bytes(JAR)
    right = AnalyticsSettings(connector_jar=str(file), connector_sha256=DIGEST)
    assert connector(right, file) == JAR
    wrong = AnalyticsSettings(connector_jar=str(file), connector_sha256="0" * 64)
    assert DIGEST in refusal(lambda: connector(wrong, file)).cause


def test_the_digest_says_nothing_about_a_connector_that_the_target_brings(tmp_path: Path) -> None:
    file = tmp_path / "brought.jar"
    file.write_bytes(JAR)
    assert connector(AnalyticsSettings(connector_sha256="0" * 64), file) == JAR


def test_a_jar_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(lambda: connector(AnalyticsSettings(), tmp_path / "none.jar"))
    assert error.exit_code is ExitCode.USAGE
    assert "none.jar" in error.cause
    assert "--connector-jar" in error.fix


def test_without_a_digest_nothing_is_downloaded_and_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    error = refusal(lambda: connector(AnalyticsSettings(), None, cache=tmp_path, opened=never))  # type: ignore[arg-type]
    assert error.exit_code is ExitCode.USAGE
    url = "https://repo.maven.apache.org/maven2" + PATH
    for part in (url, url + ".asc", "gpg --verify", "downloads.apache.org/flink/KEYS", "connector_sha256"):
        assert part in error.fix


def test_each_runtime_has_its_release() -> None:
    assert {runtime: release.version for runtime, release in RELEASES.items()} == {
        "FLINK-1_20": "5.1.0-1.20",
        "FLINK-2_2": "6.0.1-2.0",
        "FLINK-2_3": "6.0.1-2.0",
    }


def test_a_download_is_verified_and_kept(mirror: Mirror, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert connector(mirror.settings(), None, cache=cache, opened=mirror.opened) == JAR
    assert connector(mirror.settings(), None, cache=cache, opened=mirror.opened) == JAR
    assert mirror.asked == [PATH]
    assert [path.name for path in cache.iterdir()] == [f"{DIGEST}.jar"]


def test_the_url_may_be_the_jar_itself(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/here/connector.jar"] = (200, {}, JAR)
    settings = mirror.settings(path="/here/connector.jar")
    assert connector(settings, None, cache=tmp_path / "cache", opened=mirror.opened) == JAR


def test_a_kept_file_that_changed_is_not_trusted(mirror: Mirror, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    connector(mirror.settings(), None, cache=cache, opened=mirror.opened)
    kept = cache / f"{DIGEST}.jar"
    kept.write_bytes(JAR[:-1] + b"!")
    assert connector(mirror.settings(), None, cache=cache, opened=mirror.opened) == JAR
    assert mirror.asked == [PATH, PATH]
    assert kept.read_bytes() == JAR


def test_a_file_with_another_digest_is_refused_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    mirror.files[PATH] = (200, {}, jar({**entries(), "evil.class": b""}))
    error = refusal(lambda: connector(mirror.settings(), None, cache=cache, opened=mirror.opened))
    assert error.exit_code is ExitCode.USAGE
    assert DIGEST in error.cause
    assert list(cache.iterdir()) == []


def test_the_right_digest_of_the_wrong_connector_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    other = jar(entries("5.1.0-1.20", FLINK_1))
    mirror.files[PATH] = (200, {}, other)
    settings = mirror.settings(hashlib.sha256(other).hexdigest())
    error = refusal(lambda: connector(settings, None, cache=tmp_path / "cache", opened=mirror.opened))
    assert "built for Flink 1" in error.cause


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, {}, b""), "404"),
        ((200, {"Content-Length": str(len(JAR) + 10)}, JAR), "ended before the file did"),
        ((302, {"Location": "http://127.0.0.1:1/connector.jar"}, b""), "not https"),
    ],
)
def test_what_cannot_be_downloaded_says_why_and_what_else_to_do(
    mirror: Mirror, tmp_path: Path, answer: tuple[int, dict[str, str], bytes], why: str
) -> None:
    cache = tmp_path / "cache"
    mirror.files[PATH] = answer
    error = refusal(lambda: connector(mirror.settings(), None, cache=cache, opened=mirror.opened))
    assert error.exit_code is ExitCode.ENVIRONMENT
    assert why in error.cause
    assert "connector_url" in error.fix
    assert list(cache.iterdir()) == []


def test_a_server_with_a_certificate_of_its_own_making_is_not_trusted(mirror: Mirror, tmp_path: Path) -> None:
    error = refusal(lambda: connector(mirror.settings(), None, cache=tmp_path / "cache"))
    assert "certificate" in error.cause
    assert mirror.asked == []


def test_a_file_without_end_is_given_up(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connectors, "MAX_JAR_BYTES", len(JAR) - 1)
    error = refusal(
        lambda: connector(mirror.settings(), None, cache=tmp_path / "cache", opened=mirror.opened)
    )
    assert "larger than" in error.cause


def test_a_download_that_trickles_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    times = iter([0.0, connectors.DOWNLOAD_TIMEOUT_S + 1])
    error = refusal(
        lambda: connector(
            mirror.settings(),
            None,
            cache=tmp_path / "cache",
            opened=mirror.opened,
            clock=lambda: next(times),
        )
    )
    assert "took longer than 600 s" in error.cause


def test_a_cache_that_cannot_be_written_is_named(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    error = refusal(
        lambda: connector(mirror.settings(), None, cache=tmp_path / "cache", opened=mirror.opened)
    )
    assert error.exit_code is ExitCode.ENVIRONMENT
    assert "cannot be written" in error.cause


def test_a_redirect_within_https_is_followed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/moved"] = (200, {}, JAR)
    mirror.files[PATH] = (302, {"Location": f"{mirror.url}/moved"}, b"")
    assert connector(mirror.settings(), None, cache=tmp_path / "cache", opened=mirror.opened) == JAR
