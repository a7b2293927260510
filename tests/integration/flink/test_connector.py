"""The connector by itself: where reading starts, what it survives, its jar."""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.integration.flink.rig import NAMES, PATIENCE_S, Rig
from txnpipe.local.flink.connector import build

pytestmark = pytest.mark.timeout(900)  # several waits of PATIENCE_S

SINK = "Positions"


def statements(started: datetime, arn: str, sink_arn: str) -> str:
    """The same stream read from three positions, each row written with the name of its position."""
    positions = {
        "LATEST": "'source.init.position' = 'LATEST'",
        "TRIM_HORIZON": "'source.init.position' = 'TRIM_HORIZON'",
        "AT_TIMESTAMP": "'source.init.position' = 'AT_TIMESTAMP', 'source.init.timestamp' = '"
        + started.isoformat(timespec="milliseconds")
        + "'",
    }
    text = f"""
CREATE TEMPORARY TABLE seen (source STRING, word STRING, n INT) PARTITIONED BY (source, n) WITH (
    'connector' = 'kinesis', 'stream.arn' = '{sink_arn}', 'aws.region' = 'us-east-1', 'format' = 'json',
    'sink.flush-buffer.timeout' = '20', 'sink.partitioner-field-delimiter' = '/'
);
"""
    for name, options in positions.items():
        text += f"""
CREATE TEMPORARY TABLE from_{name} (word STRING, n INT) WITH (
    'connector' = 'kinesis', 'stream.arn' = '{arn}', 'aws.region' = 'us-east-1', {options},
    'source.shard.discovery.interval' = '1 s', 'format' = 'json', 'json.ignore-parse-errors' = 'true'
);
INSERT INTO seen SELECT '{name}', word, n FROM from_{name} WHERE word IS NOT NULL;
"""
    return text


SOURCES = ("LATEST", "TRIM_HORIZON", "AT_TIMESTAMP")


def put(rig: Rig, word: str, number: int) -> str:
    """Puts a word; the shard that it is in."""
    data = f'{{"word": "{word}", "n": {number}}}'.encode()
    [(shard, _), _] = rig.put("Words", [(f"key-{number}", data), (f"key-{number}", b"not JSON")])
    return shard


def seen(rig: Rig, source: str) -> list[str]:
    return sorted(row["word"] for row in rig.read(SINK) if row["source"] == source)


def all_have(rig: Rig, word: str) -> bool:
    return all(word in seen(rig, source) for source in SOURCES)


@pytest.fixture(scope="module")
def positions(rig: Rig) -> Rig:
    """A job that reads from the three positions, of words put before and after it was started."""
    rig.create("Words", 2)
    rig.create(SINK)
    put(rig, "first", 1)
    time.sleep(0.05)
    started = datetime.now(UTC)
    time.sleep(0.05)
    put(rig, "second", 2)
    arn, sink_arn = (NAMES.arn("kinesis", f"stream/{name}") for name in ("Words", SINK))
    # Two subtasks, so that shards are spread and a subtask may have none.
    rig.job = rig.supervise(statements(started, arn, sink_arn), Parallelism=2)
    rig.job.run()
    rig.wait_until(lambda: seen(rig, "TRIM_HORIZON") == ["first", "second"])
    # Nothing tells when LATEST has begun to read a shard, and what was put before is not read.
    numbers = itertools.count(3)
    shard_of: dict[int, str] = {}

    def begun() -> bool:
        number = next(numbers)
        shard_of[number] = put(rig, "early", number)
        read = {shard_of[row["n"]] for row in rig.read(SINK) if row["source"] == "LATEST"}
        return len(read) == len(rig.open_shards("Words"))

    rig.wait_until(begun)
    put(rig, "third", next(numbers))
    rig.wait_until(lambda: all_have(rig, "third"))
    return rig


def test_reading_starts_where_the_table_says(positions: Rig) -> None:
    def without_early(source: str) -> list[str]:
        return [word for word in seen(positions, source) if word != "early"]

    assert without_early("TRIM_HORIZON") == ["first", "second", "third"]
    assert without_early("AT_TIMESTAMP") == ["second", "third"]
    assert without_early("LATEST") == ["third"]


def test_the_partition_key_is_made_of_the_partition_columns(positions: Rig) -> None:
    [shard] = positions.open_shards(SINK)
    iterator = positions.client.get_shard_iterator(
        StreamName=SINK, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    time.sleep(0.25)
    keys = {r["PartitionKey"] for r in positions.client.get_records(ShardIterator=iterator)["Records"]}
    assert {"TRIM_HORIZON/1", "TRIM_HORIZON/2"} <= keys
    assert any(key.startswith("LATEST/") for key in keys)


def test_no_port_of_the_jvm_does_anything_without_its_secret(positions: Rig) -> None:
    assert positions.job is not None
    process = psutil.Process(positions.job.pid)
    listening = [c.laddr for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 3
    refusals = sorted(_refusal((address.ip, address.port)) for address in listening)
    assert refusals == [
        "TLS without the certificate",
        "TLS without the certificate",
        "gateway without the token",
    ]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert process.is_running()
    assert positions.job.pid == process.pid


def _refusal(address: tuple[str, int]) -> str:
    """What a port that answers to nobody refused."""
    # py4j, were it without its token, would run this: System.exit(0).
    answer = _ask(socket.create_connection(address, PATIENCE_S), b"c\nz:java.lang.System\nexit\ni0\ne\n")
    if answer.startswith(b"!z") or b"Authentication" in answer:
        return "gateway without the token"
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with context.wrap_socket(socket.create_connection(address, PATIENCE_S)) as secured:
            answer = _ask(secured, b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
    except ssl.SSLError as error:
        return "TLS without the certificate" if "CERTIFICATE" in str(error) else str(error)
    return f"nothing: it answered {answer!r}"


def _ask(connection: socket.socket, request: bytes) -> bytes:
    with connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(request)
        return connection.recv(4096)


def test_nothing_secret_is_in_the_arguments_of_the_jvm(positions: Rig) -> None:
    assert positions.job is not None
    arguments = " ".join(psutil.Process(positions.job.pid).cmdline())
    assert "secret" not in arguments
    assert (positions.directory / "job" / "flink.p12").stat().st_mode & 0o777 == 0o600


def test_an_outage_of_kinesis_is_waited_out_without_a_restart(positions: Rig) -> None:
    assert positions.job is not None
    pid = positions.job.pid
    log = positions.directory / "job" / "flink.log"
    positions.server.kill()
    positions.wait_until(lambda: log.read_text().count("again in") > 10)
    positions.server.start()
    put(positions, "fourth", 4)
    positions.wait_until(lambda: all_have(positions, "fourth"))
    for source in SOURCES:
        assert seen(positions, source).count("third") == seen(positions, source).count("fourth") == 1
    assert positions.job.pid == pid
    assert "from RUNNING to RESTARTING" not in log.read_text()


def test_the_jvm_ends_when_nobody_holds_the_other_end_of_its_pipe(positions: Rig) -> None:
    """Which is what happens when the daemon is killed."""
    assert positions.job is not None
    job = positions.job._job
    assert job is not None
    process = psutil.Process(job.pid)
    stdin = job._process.stdin  # type: ignore[attr-defined]
    positions.job._stopping.set()
    stdin.close()
    gone, _ = psutil.wait_procs([process], timeout=PATIENCE_S)
    assert gone == [process]


@pytest.mark.skipif(build.compiler() is None, reason="needs javac 17")
def test_the_jar_is_what_its_source_builds(tmp_path: Path) -> None:
    build.build(tmp_path / "built.jar")
    assert (tmp_path / "built.jar").read_bytes() == build.JAR.read_bytes()
    assert build.JAR.stat().st_size < 300_000
