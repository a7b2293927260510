"""The clients that benchmarks/send.py compares: each runs in a process of its own and tells what it took.

    python senders.py KIND ENDPOINT STREAM RECORDS

Events are made before the clock starts: 200 bytes of JSON each, with one of 20,000 accounts as partition key.
Prints JSON: seconds, cpu_s (this process, without its start), acknowledged, and what the kind adds. Peers run
in an environment without txnpipe, so nothing of it is imported at the top.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEY, SECRET, REGION = "benchmarkkey", "x", "us-east-1"
CALL = 500
SIZE = 200
ACCOUNTS = 20_000
AWS_CLI_RECORDS = 5

Event = tuple[str, bytes]
"""Partition key and payload."""
Result = dict[str, Any]


def events(count: int, hot: float = 0.0) -> list[Event]:
    """`count` events; the share `hot` of them belongs to one account. Their ids tell them apart."""
    made = []
    for index in range(count):
        spread = index * 7919 % ACCOUNTS
        account = "account-hot" if spread < hot * ACCOUNTS else f"account-{spread:05d}"
        text = (
            f'{{"transaction_id": "txn-{index:09d}", "amount": 12000, "transaction_type": "purchase", '
            f'"timestamp": "2024-12-21T10:00:00Z", "account_id": "{account}", "merchant": "'
        )
        made.append((account, f"{text:<{SIZE - 2}}".encode() + b'"}'))
    return made


def timed(send: Callable[[], int], children: bool = False) -> Result:
    """Runs `send`, which returns how many records were acknowledged."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    before, began = resource.getrusage(who), time.perf_counter()
    acknowledged = send()
    seconds, after = time.perf_counter() - began, resource.getrusage(who)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_s": cpu_s, "acknowledged": acknowledged}


def batches(made: list[Event]) -> Iterator[list[Event]]:
    """Calls of 500."""
    for first in range(0, len(made), CALL):
        yield made[first : first + CALL]


def boto3_client(endpoint: str) -> Any:
    """A client as boto3 makes it."""
    import boto3

    session = boto3.Session(KEY, SECRET, region_name=REGION)
    return session.client("kinesis", endpoint_url=endpoint)


def with_boto3(endpoint: str, stream: str, count: int) -> Result:
    """The loop that everybody writes."""
    client, made = boto3_client(endpoint), events(count)
    client.describe_stream_summary(StreamName=stream)

    def send() -> int:
        acknowledged = 0
        for batch in batches(made):
            records = [{"Data": data, "PartitionKey": key} for key, data in batch]
            answer = client.put_records(StreamName=stream, Records=records)
            acknowledged += len(batch) - answer["FailedRecordCount"]
        return acknowledged

    return timed(send)


def floor(endpoint: str, stream: str, count: int) -> Result:
    """Posts bodies that were written and signed before, over one connection, and only looks at the status."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(KEY, SECRET), "kinesis", REGION)
    headers = {
        "X-Amz-Target": "Kinesis_20131202.PutRecords",
        "Content-Type": "application/x-amz-json-1.1",
    }
    client = boto3_client(endpoint)
    bodies: list[bytes] = []
    client.meta.events.register("before-call", lambda params, **_: bodies.append(params["body"]))
    client.meta.events.register("before-send", _answer_nothing)
    for batch in batches(events(count)):
        records = [{"Data": data, "PartitionKey": key} for key, data in batch]
        client.put_records(StreamName=stream, Records=records)
    signed = []
    for body in bodies:
        request = AWSRequest("POST", endpoint + "/", headers=dict(headers), data=body)
        signer.add_auth(request)
        signed.append((request.body, dict(request.prepare().headers)))
    place = urlsplit(endpoint)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)

    def send() -> int:
        for body, given in signed:
            connection.request("POST", "/", body, given)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        return count

    return timed(send)


def _answer_nothing(request: Any, **_: Any) -> Any:
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    class Body:
        def stream(self) -> Iterator[bytes]:
            yield b"{}"

    return AWSResponse(request.url, 200, HTTPHeaders(), Body())


def with_txnpipe(workers: int, *, ordered: bool = False) -> Callable[[str, str, int], Result]:
    """The sender behind `txnpipe send`, generation apart."""

    def run(endpoint: str, stream: str, count: int) -> Result:
        from _local import local_target

        from txnpipe.aws import Credentials, Target
        from txnpipe.traffic.sender import CHUNK, Sender
        from txnpipe.traffic.stream import KinesisStream

        to = KinesisStream(local_target(Target, endpoint, Credentials(KEY, SECRET)), stream)
        records = [(index, key, data) for index, (key, data) in enumerate(events(count))]
        sender = Sender(to, to.open_shards(), workers=workers, ordered=ordered)
        chunks = iter([records[first : first + CHUNK] for first in range(0, count, CHUNK)])
        return timed(lambda: sender.run(chunks).acknowledged)

    return run


def with_async_kinesis(endpoint: str, stream: str, count: int) -> Result:
    """async-kinesis: one record per event, its own limits out of the way."""
    from aiobotocore.session import AioSession
    from kinesis import Producer
    from kinesis.processors import StringProcessor

    made = [(key, data.decode()) for key, data in events(count)]
    session = AioSession()
    session.set_credentials(KEY, SECRET)

    async def put_all() -> None:
        async with Producer(
            stream_name=stream,
            session=session,
            endpoint_url=endpoint,
            region_name=REGION,
            processor=StringProcessor(),
            put_rate_limit_per_shard=10**9,
            put_bandwidth_limit_per_shard=10**9,
        ) as producer:
            for key, data in made:
                await producer.put(data, partition_key=key)
            await producer.flush()

    def send() -> int:
        asyncio.run(put_all())
        return count  # it tells nobody; what is stored is counted afterwards

    return timed(send)


def with_aiokpl(endpoint: str, stream: str, count: int) -> Result:
    """aiokpl: aggregation off, so that it stores one record per event, its own limits out of the way."""
    from aiokpl import Config, Producer

    made = events(count)
    config = Config(
        region=REGION,
        aggregation_enabled=False,
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        rate_limit_records_per_sec_per_shard=1e9,
        rate_limit_bytes_per_sec_per_shard=1e12,
    )

    async def put_all() -> int:
        async with Producer(config) as producer:
            outcomes = [
                await producer.put_record(stream=stream, partition_key=key, data=data) for key, data in made
            ]
            await producer.flush()
            return sum([(await outcome.wait()).success for outcome in outcomes])

    return timed(lambda: asyncio.run(put_all()))


def with_aws_cli(endpoint: str, stream: str, count: int) -> Result:
    """`aws kinesis put-record`, once per record, as the tutorial does it."""
    command = [str(Path(sys.executable).parent / "aws"), "kinesis", "put-record", "--stream-name", stream]
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}
    made = events(count)

    def send() -> int:
        for key, data in made:
            record = ["--partition-key", key, "--data", data.decode(), "--endpoint-url", endpoint]
            subprocess.run([*command, *record], env=environment, check=True, stdout=subprocess.DEVNULL)
        return count

    return timed(send, children=True)


KINDS: dict[str, Callable[[str, str, int], Result]] = {
    "floor": floor,
    "boto3": with_boto3,
    "txnpipe-1": with_txnpipe(1),
    "txnpipe-2": with_txnpipe(2),
    "txnpipe-ordered": with_txnpipe(2, ordered=True),
    "async-kinesis": with_async_kinesis,
    "aiokpl": with_aiokpl,
    "aws-cli": with_aws_cli,
}


if __name__ == "__main__":
    kind, endpoint, stream, count = sys.argv[1:]
    sys.stdout.write(json.dumps(KINDS[kind](endpoint, stream, int(count))) + "\n")
