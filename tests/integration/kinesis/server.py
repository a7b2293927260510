"""The Kinesis engine alone behind waitress, in a child process that a test can kill.

Run as a script with the state directory, "on" or "off" for the limits, and a port; prints a line once it
listens. `Server` starts and kills such a process and makes clients for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually
from txnpipe.aws import refuse_cut_answers

_PHRASES = {200: "200 OK", 400: "400 Bad Request", 500: "500 Internal Server Error", 503: "503 Unavailable"}


class Server:
    """A child process with the engine on `directory`."""

    def __init__(self, directory: Path, *, enforce_limits: bool = False) -> None:
        self._command = [sys.executable, __file__, str(directory), "on" if enforce_limits else "off"]
        self._process: subprocess.Popen[str] | None = None
        self.port = free_port()

    def start(self) -> Server:
        """Starts the process and waits until it listens. A restart uses the same port."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        self._process = subprocess.Popen(
            [*self._command, str(self.port)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        return self

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the process and lets it close its files."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def create(self, client: Any, name: str, shards: int) -> None:
        """Makes a stream and waits until it is ACTIVE."""
        client.create_stream(StreamName=name, ShardCount=shards)
        wait_active(client, name)

    def client(self, region: str = "us-east-1", **options: Any) -> Any:
        """A plain boto3 client."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(aws_access_key_id="key", aws_secret_access_key="secret", region_name=region)
        settings: dict[str, Any] = {"retries": {"max_attempts": 0}, "max_pool_connections": 32}
        config = Config(**(settings | options))
        client = session.client("kinesis", endpoint_url=f"http://127.0.0.1:{self.port}", config=config)
        refuse_cut_answers(client)  # a killed server may have begun to answer
        return client


def wait_active(client: Any, name: str) -> None:
    """Waits until a stream is ACTIVE. Asks ten times a second: a server with limits allows twenty."""

    def active() -> bool:
        summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return bool(summary["StreamStatus"] == "ACTIVE")

    eventually(active, f"active stream {name}", interval_s=0.1)


def read_shard(client: Any, name: str, shard_id: str) -> list[dict[str, Any]]:
    """All records that a shard holds now."""
    iterator = client.get_shard_iterator(StreamName=name, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    records: list[dict[str, Any]] = []
    while iterator:
        answer = client.get_records(ShardIterator=iterator)
        records += answer["Records"]
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            break
        iterator = answer.get("NextShardIterator")
    return records


def application(
    claims: Callable[[str], bool], handle: Callable[[Any], Any]
) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """A WSGI application over a service of the local cloud, without the daemon's guard."""
    from txnpipe.local.service import Request, Response, ServiceError

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split("/")
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=environ.get("QUERY_STRING", ""),
            target=environ.get("HTTP_X_AMZ_TARGET", ""),
            region=scope[2] if len(scope) > 2 else "us-east-1",
            headers={},
            body=body,
        )
        assert claims(request.target)
        try:
            response = handle(request)
        except ServiceError as error:
            response = Response(error.status, orjson.dumps({"__type": error.code, "message": error.message}))
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        start_response(_PHRASES[response.status], headers)
        return [response.body]

    return answer


def main(directory: str, limits: str, port: str) -> None:
    """Serves until SIGTERM."""
    import waitress

    from txnpipe.local.kinesis.engine import KinesisEngine
    from txnpipe.local.kinesis.service import KinesisService

    engine = KinesisEngine(Path(directory), enforce_limits=limits == "on")
    engine.start()
    service = KinesisService(engine)
    server = waitress.create_server(
        application(lambda target: service.claims("POST", "/", target), service.handle),
        host="127.0.0.1",
        port=int(port),
        threads=16,
        channel_timeout=3600,  # a client that rests for minutes and does not retry keeps its connection
    )

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        engine.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
