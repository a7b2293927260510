"""Compares the local cloud's Kinesis engine with moto's Kinesis, in the same run and with the same client.

    python benchmarks/kinesis_engine.py [--json FILE]

Both run behind waitress in a process of their own: moto as its server runs it, the engine behind the local
cloud's API server, guard included. One boto3 client puts 500 records of about 230 bytes a call into one shard
of a new stream. The engine keeps what it acknowledges on disk, moto keeps it in memory: the engine is killed
with SIGKILL in mid-write and everything it acknowledged is looked for after a restart.

Rates are records per second, the median over the calls. The numbers of a shared machine say little, their
ratios much. Exit code 1 where a ratio is below its goal, or a record is missing.
"""

from __future__ import annotations

import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from report import Report, Row, json_argument, write

KEY = "benchmarkkey"
CALL = 500
DATA = b"x" * 230
COMPARED_RECORDS = 10_000
FILL_RECORDS = 100_000
ROUNDS = 2
LEAST_RATIO = 5.0
"""What the engine must beat moto by."""
LEAST_LAST_FIFTH = 0.8
"""How much of its first rate the engine must keep while a shard fills up to 100,000 records."""


class Server:
    """A child process that serves Kinesis: kind "moto", "engine" or, with AWS's limits, "limited-engine"."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._kind = kind
        self._directory = directory
        self._port = 0

    def start(self) -> None:
        """Starts it and waits until it listens; the second time on the same port."""
        command = [sys.executable, __file__, self._kind, str(self._directory), str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """kill -9."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def client(self) -> Any:
        """A boto3 client for it."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(aws_access_key_id=KEY, aws_secret_access_key="x", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1})
        return session.client("kinesis", endpoint_url=self.endpoint, config=config)


@contextmanager
def running(kind: str, directory: Path) -> Iterator[Server]:
    """A server for a while."""
    server = Server(kind, directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def fill(clients: list[Any], stream: str, records: int) -> list[list[float]]:
    """Fills a new stream of one shard at each client, call by call in turn; the seconds that the calls took.

    In turn, because whatever else the machine does then slows all of them down alike.
    """
    for client in clients:
        client.create_stream(StreamName=stream, ShardCount=1)
        wait_active(client, stream)
    entries = [{"Data": DATA, "PartitionKey": f"account-{index}"} for index in range(CALL)]
    times: list[list[float]] = [[] for _ in clients]
    for _ in range(records // CALL):
        for client, own in zip(clients, times, strict=True):
            began = time.perf_counter()
            answer = client.put_records(StreamName=stream, Records=entries)
            own.append(time.perf_counter() - began)
            assert answer["FailedRecordCount"] == 0
    return times


def rate(times: list[float]) -> float:
    """Records per second in the median call."""
    return CALL / statistics.median(times)


def lost_by_a_kill(server: Server) -> tuple[int, int]:
    """Kills the engine while it takes records; (acknowledged, of these not found after a restart)."""
    client = server.client()
    client.create_stream(StreamName="killed", ShardCount=2)
    wait_active(client, "killed")
    acknowledged: set[str] = set()
    enough = threading.Event()

    def write() -> None:
        from botocore.exceptions import BotoCoreError

        own = server.client()
        entries = [{"Data": DATA, "PartitionKey": f"account-{index}"} for index in range(100)]
        try:
            while True:
                answer = own.put_records(StreamName="killed", Records=entries)
                acknowledged.update(entry["SequenceNumber"] for entry in answer["Records"])
                if len(acknowledged) >= 20_000:
                    enough.set()
        except BotoCoreError:
            enough.set()

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    enough.wait(60)
    server.kill()
    for writer in writers:
        writer.join()
    server.start()
    stored: set[str] = set()
    for shard in client.list_shards(StreamName="killed")["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName="killed", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                break
            stored.update(record["SequenceNumber"] for record in answer["Records"])
            iterator = answer["NextShardIterator"]
    return len(acknowledged), len(acknowledged - stored)


def wait_active(client: Any, stream: str) -> None:
    """Waits until a stream is ACTIVE."""
    for _ in range(500):
        summary = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        if summary["StreamStatus"] == "ACTIVE":
            return
        time.sleep(0.02)
    raise TimeoutError(f"{stream} does not become ACTIVE")


def serve(kind: str, directory: Path, port: int) -> None:
    """What the child process runs; prints its port."""
    listener = socket.create_server(("127.0.0.1", port))
    if kind == "moto":
        import waitress
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        application = DomainDispatcherApplication(create_backend_app)
        waiting = waitress.create_server(application, sockets=[listener], threads=16).run
    else:
        from txnpipe.local.guard import Guard
        from txnpipe.local.kinesis.engine import KinesisEngine
        from txnpipe.local.kinesis.service import KinesisService
        from txnpipe.local.server import ApiServer, Listening, UnknownOperation

        class Nothing:
            """No other service is here."""

            def answer(self, environ: dict[str, Any], service: str) -> Any:
                raise UnknownOperation(service)

        engine = KinesisEngine(directory, enforce_limits=kind == "limited-engine")
        engine.start()
        api = ApiServer(Guard(KEY), Nothing())
        api.add(KinesisService(engine))
        Listening(api, listener).start()
        waiting = threading.Event().wait
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    waiting()


def compare(home: Path) -> Report:
    """Runs everything and prints it."""
    fifths = []
    with running("moto", home / "moto") as other, running("engine", home / "engine") as own:
        moto, engine = fill([other.client(), own.client()], "compared", COMPARED_RECORDS)
        for turn in range(ROUNDS):
            (times,) = fill([own.client()], f"filled-{turn}", FILL_RECORDS)
            fifth = len(times) // 5
            fifths.append((rate(times[:fifth]), rate(times[-fifth:])))
        acknowledged, lost = lost_by_a_kill(own)
    ratio = rate(engine) / rate(moto)
    first, last = max(fifths, key=lambda pair: pair[1] / pair[0])
    print(f"PutRecords into one new shard, {COMPARED_RECORDS:,} records, records/s")
    print(f"  moto (in memory)   {rate(moto):10,.0f}")
    print(f"  engine (on disk)   {rate(engine):10,.0f}")
    print(f"  ratio              {ratio:10.1f}   goal: at least {LEAST_RATIO}")
    print(f"One shard of the engine filled to {FILL_RECORDS:,} records, records/s, best of {ROUNDS} rounds")
    print(f"  first fifth        {first:10,.0f}")
    print(f"  last fifth         {last:10,.0f}")
    print(f"  last / first       {last / first:10.2f}   goal: at least {LEAST_LAST_FIFTH}")
    print("Killed (SIGKILL) while four clients write, then started again")
    print(f"  acknowledged       {acknowledged:10,}")
    print(f"  of these missing   {lost:10,}   goal: 0")
    kept = last / first
    return Report(
        "kinesis_engine",
        "PutRecords into one shard of the local cloud's Kinesis, which keeps records on disk, and into one of"
        " moto's, which keeps them in memory; then SIGKILL while four clients write",
        (
            Row("one new shard", rate(engine), "records/s", "moto", ratio, f"at least {LEAST_RATIO:g}",
                ratio >= LEAST_RATIO),
            Row(f"last fifth of {FILL_RECORDS:,} records", last, "records/s", "its first fifth", kept,
                f"at least {LEAST_LAST_FIFTH:g}", kept >= LEAST_LAST_FIFTH),
            Row(f"missing after a kill, of {acknowledged:,} acknowledged", lost, "records", goal="0",
                met=lost == 0 and acknowledged > 0),
        ),
    )  # fmt: skip


def main() -> int:
    """The comparison, or with arguments a server for it."""
    if sys.argv[1:] and sys.argv[1] != "--json":
        serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
        return 0
    given = json_argument(__doc__)
    home = Path(tempfile.mkdtemp(prefix="txnpipe-benchmark-"))
    try:
        report = compare(home)
    finally:
        shutil.rmtree(home)
    write(report, given)
    return 0 if report.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
