"""Which jars are taken as the analytics app's Kinesis connector."""

from __future__ import annotations

import pytest

from tests.unit.packaging.jars import CLIENT, FACTORY, FLINK_1, FLINK_2, SOURCE, entries, jar
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.packaging.connector_jar import check_jar
from txnpipe.target import STAND_IN_CONNECTOR


def refusal(content: bytes, runtime: str = "FLINK-2_3") -> TxnpipeError:
    with pytest.raises(TxnpipeError) as caught:
        check_jar(content, "my.jar", runtime, "6.0.1-2.0")
    assert caught.value.exit_code is ExitCode.USAGE
    assert "flink-sql-connector-aws-kinesis-streams 6.0.1-2.0" in caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    ("version", "sink", "runtime"),
    [
        ("6.0.1-2.0", FLINK_2, "FLINK-2_2"),
        ("6.0.1-2.0", FLINK_2, "FLINK-2_3"),
        ("5.1.0-1.20", FLINK_1, "FLINK-1_20"),
    ],
)
def test_the_connector_of_a_runtime_is_taken(version: str, sink: bytes, runtime: str) -> None:
    check_jar(jar(entries(version, sink)), "my.jar", runtime, version)


@pytest.mark.parametrize(
    ("version", "sink", "runtime", "built_for"),
    [
        ("5.1.0-1.20", FLINK_1, "FLINK-2_3", "Flink 1"),
        ("6.0.1-2.0", FLINK_2, "FLINK-1_20", "Flink 2"),
    ],
)
def test_the_connector_of_another_flink_is_refused(
    version: str, sink: bytes, runtime: str, built_for: str
) -> None:
    cause = refusal(jar(entries(version, sink)), runtime).cause
    assert f"built for {built_for}" in cause
    assert runtime in cause


@pytest.mark.parametrize(
    "manifest",
    [None, b"Manifest-Version: 1.0\n", b"Implementation-Title: mine\nImplementation-Version: 1-2.0\n"],
)
def test_a_shaded_jar_without_the_connectors_manifest_is_judged_by_its_classes(
    manifest: bytes | None,
) -> None:
    files = entries(sink=FLINK_1)
    del files["META-INF/MANIFEST.MF"]
    if manifest is not None:
        files["META-INF/MANIFEST.MF"] = manifest
    check_jar(jar(files), "my.jar", "FLINK-1_20", "5.1.0-1.20")
    assert "built for Flink 1" in refusal(jar(files)).cause


def test_a_jar_whose_flink_nobody_can_tell_is_taken() -> None:
    files = entries(sink=b"")
    del files["META-INF/MANIFEST.MF"]
    check_jar(jar(files), "my.jar", "FLINK-2_3", "6.0.1-2.0")


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        (FACTORY, "names no table factory"),
        (SOURCE, "no source, as all before 5.0"),
        (CLIENT, "lacks the AWS client"),
    ],
)
def test_a_jar_that_lacks_a_part_is_refused(missing: str, why: str) -> None:
    files = entries()
    del files[missing]
    assert why in refusal(jar(files)).cause


def test_another_connectors_jar_is_refused() -> None:
    files = {**entries(), FACTORY: b"org.apache.flink.connector.firehose.table.FirehoseDynamicTableFactory\n"}
    assert "names no table factory" in refusal(jar(files)).cause


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", jar()[:-40]])
def test_what_is_no_jar_is_refused(content: bytes) -> None:
    assert "not a jar that can be read" in refusal(content).cause


def test_the_local_clouds_own_connector_is_taken() -> None:
    check_jar(STAND_IN_CONNECTOR.read_bytes(), "stand-in", "FLINK-2_3", "6.0.1-2.0")
