"""Jars that look like Flink's Kinesis connector, without its megabytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

FACTORY = "META-INF/services/org.apache.flink.table.factories.Factory"
SOURCE = "org/apache/flink/connector/kinesis/source/KinesisStreamsSource.class"
SINK = "org/apache/flink/connector/kinesis/sink/KinesisStreamsSink.class"
CLIENT = (
    "org/apache/flink/connector/kinesis/sink/shaded/"
    "software/amazon/awssdk/services/kinesis/KinesisAsyncClient.class"
)
FLINK_1 = b"\xca\xfe\xba\xbe(Lorg/apache/flink/api/connector/sink2/Sink$InitContext;)V"
FLINK_2 = b"\xca\xfe\xba\xbe(Lorg/apache/flink/api/connector/sink2/WriterInitContext;)V"


def manifest(version: str) -> bytes:
    """As Maven writes it into the SQL jar."""
    return (
        "Manifest-Version: 1.0\r\n"
        "Implementation-Title: Flink : Connectors : AWS : SQL : Amazon Kinesis Data Streams Sink v2\r\n"
        f"Implementation-Version: {version}\r\n"
    ).encode()


def entries(version: str = "6.0.1-2.0", sink: bytes = FLINK_2) -> dict[str, bytes]:
    """What a connector's jar holds, as far as anybody looks."""
    factory = b"# licensed\norg.apache.flink.connector.kinesis.table.KinesisDynamicTableFactory"
    return {
        "META-INF/MANIFEST.MF": manifest(version),
        FACTORY: factory,
        SOURCE: b"\xca\xfe\xba\xbe",
        SINK: sink,
        CLIENT: b"\xca\xfe\xba\xbe",
    }


def jar(files: Mapping[str, bytes] | None = None) -> bytes:
    """The jar of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (entries() if files is None else files).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
