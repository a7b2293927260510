"""What a jar must be to go into the analytics zip as the Kinesis connector.

The service's runtime brings Flink and no connector, and takes one jar: it must bring all the classes it needs
(https://docs.aws.amazon.com/managed-flink/latest/java/examples-new-python.html). That is the SQL jar of the
connector, or a shaded jar of one's own. Whatever names another factory than the official one is taken as
it is.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable

from txnpipe.errors import TxnpipeError, usage_error

ARTIFACT = "flink-sql-connector-aws-kinesis-streams"
OFFICIAL_FACTORY = "org.apache.flink.connector.kinesis.table.KinesisDynamicTableFactory"
_FACTORIES = "META-INF/services/org.apache.flink.table.factories.Factory"
_SOURCE = "org/apache/flink/connector/kinesis/source/KinesisStreamsSource.class"
"""Only versions from 5.0 have it (Flink documentation, Kinesis SQL connector, Versioning)."""
_SINK = "org/apache/flink/connector/kinesis/sink/KinesisStreamsSink.class"
_CLIENT = "software/amazon/awssdk/services/kinesis/KinesisAsyncClient.class"
_VERSION = re.compile(r"^Implementation-Version: [0-9.]+-(?P<flink>[0-9]+\.[0-9]+)\s*$", re.MULTILINE)
_TITLE = re.compile(r"^Implementation-Title: .*Kinesis", re.MULTILINE)
_FLINK_1 = b"org/apache/flink/api/connector/sink2/Sink$InitContext"
"""What a sink for Flink 1 is opened with; Flink 2.0 has removed it."""
_FLINK_2 = b"org/apache/flink/api/connector/sink2/WriterInitContext"
MAX_ENTRY_BYTES = 1024 * 1024
"""Of the entries that are looked into; each is a few kilobytes."""


def check_jar(content: bytes, origin: str, runtime: str, version: str) -> None:
    """Raises USAGE unless `content` is a Kinesis connector that a runtime ("FLINK-2_3") can run.

    origin: where it came from, for the message; version: the one that fits ("6.0.1-2.0").
    """
    fix = f"Use the jar of {ARTIFACT} {version}, or leave analytics.connector_jar out to have it downloaded."
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as jar:
            fault = _fault(jar, runtime)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise usage_error(f"{origin} is not a jar that can be read: {error}.", fix) from error
    if fault:
        raise _refused(origin, fault, fix)


def _refused(origin: str, fault: str, fix: str) -> TxnpipeError:
    return usage_error(f"{origin} cannot be the analytics app's Kinesis connector: {fault}.", fix)


def _fault(jar: zipfile.ZipFile, runtime: str) -> str:
    """Why the jar will not do; "" where it will."""
    names = set(jar.namelist())
    factories = _factories(jar, names)
    if not any("kinesis" in factory.lower() for factory in factories):
        return "it names no table factory of that name"
    if OFFICIAL_FACTORY not in factories:
        return ""
    if _SOURCE not in names or _SINK not in names:
        return "it has no source, as all before 5.0"
    if not any(name.endswith(_CLIENT) for name in names):
        return "it lacks the AWS client, which only the SQL jar (or a shaded one) brings"
    built_for = flink_major(jar)
    if built_for and not runtime.startswith(f"FLINK-{built_for}_"):
        return f"it is built for Flink {built_for}, and analytics.runtime is {runtime}"
    return ""


def flink_major(jar: zipfile.ZipFile) -> str:
    """ "1" or "2": which Flink an official connector was built for; "" where it does not tell.

    Its manifest tells ("6.0.1-2.0"), and where a shaded jar has lost that, the classes that the sink uses.
    """
    if "META-INF/MANIFEST.MF" in jar.namelist():
        manifest = _entry(jar, "META-INF/MANIFEST.MF").decode("utf-8", "replace").replace("\r\n", "\n")
        if _TITLE.search(manifest) and (version := _VERSION.search(manifest)):
            return version["flink"].partition(".")[0]
    sink = _entry(jar, _SINK)
    return "1" if _FLINK_1 in sink else "2" if _FLINK_2 in sink else ""


def _factories(jar: zipfile.ZipFile, names: set[str]) -> Iterable[str]:
    if _FACTORIES not in names:
        return ()
    lines = _entry(jar, _FACTORIES).decode("utf-8", "replace").splitlines()
    return {line.partition("#")[0].strip() for line in lines} - {""}


def _entry(jar: zipfile.ZipFile, name: str) -> bytes:
    with jar.open(name) as entry:
        return entry.read(MAX_ENTRY_BYTES)
