"""How fast records go from a stream through an event source mapping into a function.

    python benchmarks/event_sources.py [--json FILE]

The local cloud's Kinesis engine, poller and Lambda runtime in one process, the function in its own under
awslambdaric; the function only counts what it gets. The baseline, in the same run: the same worker invoked
again and again with one ready event of the same size, which is what is left when reading, rendering and
checkpointing cost nothing. Latency: from the put of a single record until the function has it.

The numbers of a shared machine say little, their ratio much. Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from report import Report, Row, json_argument, write

from txnpipe.local.event_sources.events import RecordRenderer, event_of
from txnpipe.local.event_sources.part import EventSourcesPart
from txnpipe.local.kinesis.part import KinesisPart
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.part import LambdaPart
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.part import LocalContext
from txnpipe.local.service import Request

RECORDS = 100_000
BATCH = 1000
SINGLES = 300
LEAST_RATE = 30_000.0
"""Records a second that one mapping of one shard must deliver."""
LEAST_RATIO = 0.3
"""What the mapping must keep of the bare invocations' rate."""
MOST_LATENCY_MS = 20.0
"""99th percentile of a single record's way to the function."""
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
DATA = base64.b64encode(
    json.dumps(
        {
            "transaction_id": "0123456789abcdef0123",
            "amount": 12000,
            "transaction_type": "purchase",
            "timestamp": "2024-12-21T10:00:00Z",
            "account_id": "account-000123",
            "merchant": "merchant-42",
        }
    ).encode()
).decode()


def function() -> FunctionSpec:
    """Counts records."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return len(event['Records'])")
    code = buffer.getvalue()
    return FunctionSpec(
        arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        name="f",
        version="$LATEST",
        region="us-east-1",
        runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        handler="app.handler",
        code_sha256=hashlib.sha256(code).hexdigest(),
        timeout_s=30,
        memory_mb=256,
        environment=(),
        role="arn:aws:iam::000000000000:role/f",
        code=code,
    )


class Bench:
    """The three parts in one process."""

    def __init__(self, home: Path) -> None:
        spec = function()
        context = LocalContext(
            home=home,
            endpoint_url="http://127.0.0.1:9",
            access_key_id="benchmarkkey",
            secret_access_key="-",
            enforce_limits=False,
            flink_heap_mb=0,
            client=lambda _service, _region: None,
        )
        self.kinesis = KinesisPart(context)
        self.functions = LambdaPart(context, find=lambda _name, _region, _qualifier: spec)
        self.mappings = EventSourcesPart(
            context, self.kinesis.engine, self._invoke, find=lambda _name, _region: spec
        )
        self.arrived = threading.Event()
        for part in (self.kinesis, self.functions, self.mappings):
            part.start()

    def _invoke(self, arn: str, payload: bytes, region: str) -> InvokeResult:
        result = self.functions.invoke(arn, payload, region)
        self.arrived.set()
        return result

    def stop(self) -> None:
        """Ends everything."""
        for part in (self.mappings, self.functions, self.kinesis):
            part.stop()

    def kinesis_call(self, operation: str, **body: Any) -> None:
        """One call of the Kinesis API, without HTTP."""
        headers = {"content-type": "application/x-amz-json-1.1"}
        self.kinesis.service.handle(
            Request(
                "POST",
                "/",
                "",
                f"Kinesis_20131202.{operation}",
                "us-east-1",
                headers,
                json.dumps(body).encode(),
            )
        )

    def mapping_call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of the API of event source mappings, without HTTP."""
        path = f"/2015-03-31/event-source-mappings{path}"
        answer = self.mappings.handle(
            Request(method, path, "", "", "us-east-1", {}, json.dumps(body).encode())
        )
        parsed: dict[str, Any] = json.loads(answer.body)
        return parsed

    def put(self, count: int) -> None:
        """Puts so many records, 500 a call."""
        for start in range(0, count, 500):
            keys = range(start, min(start + 500, count))
            self.kinesis_call(
                "PutRecords",
                StreamName="s",
                Records=[{"Data": DATA, "PartitionKey": f"account-{key}"} for key in keys],
            )

    @property
    def delivered(self) -> int:
        """Records delivered so far."""
        return self.mappings.counters()[0].records


def run(home: Path) -> Report:
    """Measures and prints."""
    bench = Bench(home)
    try:
        bench.kinesis_call("CreateStream", StreamName="s", ShardCount=1)
        while not bench.kinesis.engine.shards(STREAM):
            time.sleep(0.01)
        bare = bare_rate(bench)
        mapping = bench.mapping_call(
            "POST",
            "",
            {
                "EventSourceArn": STREAM,
                "FunctionName": "f",
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": BATCH,
                "Enabled": False,
            },
        )
        bench.put(RECORDS)
        rate = mapping_rate(bench, mapping["UUID"])
        latencies = sorted(latency_ms(bench) for _ in range(SINGLES))
    finally:
        bench.stop()
    p50, p99 = latencies[SINGLES // 2], latencies[SINGLES * 99 // 100]
    print(f"bare invocations with {BATCH} records   {bare:>10,.0f} records/s")
    print(f"through the mapping, batch {BATCH}      {rate:>10,.0f} records/s   (goal {LEAST_RATE:,.0f})")
    print(f"  of the bare rate                  {rate / bare:>10.2f}             (goal {LEAST_RATIO})")
    print(f"one record, put to function, p50    {p50:>10.1f} ms")
    print(f"                             p99    {p99:>10.1f} ms          (goal {MOST_LATENCY_MS:.0f})")
    return Report(
        "event_sources",
        "Records from one shard of the local cloud's Kinesis through an event source mapping into a function",
        (
            Row(f"batches of {BATCH:,}", rate, "records/s", "bare invocations", rate / bare,
                f"at least {LEAST_RATIO:g}, and {LEAST_RATE:,.0f} records/s",
                rate >= LEAST_RATE and rate / bare >= LEAST_RATIO),
            Row("one record, put to function, p99", p99, "ms", goal=f"at most {MOST_LATENCY_MS:g}",
                met=p99 <= MOST_LATENCY_MS),
        ),
    )  # fmt: skip


def bare_rate(bench: Bench) -> float:
    """Records a second of invocations with one ready event."""
    renderer = RecordRenderer(STREAM, "shardId-000000000000", "role")
    event = event_of([renderer.render("1" * 56, "account-1", DATA, time.time()) for _ in range(BATCH)])
    arn = function().arn
    for _ in range(3):
        bench.functions.invoke(arn, event, "us-east-1")
    began = time.perf_counter()
    for _ in range(RECORDS // BATCH):
        bench.functions.invoke(arn, event, "us-east-1")
    return RECORDS / (time.perf_counter() - began)


def mapping_rate(bench: Bench, uuid: str) -> float:
    """Records a second from the moment in which the mapping is enabled."""
    while bench.mapping_call("GET", f"/{uuid}", {})["State"] != "Disabled":
        time.sleep(0.01)
    began = time.perf_counter()
    bench.mapping_call("PUT", f"/{uuid}", {"Enabled": True})
    while bench.delivered < RECORDS:
        time.sleep(0.002)
    return RECORDS / (time.perf_counter() - began)


def latency_ms(bench: Bench) -> float:
    """One record's way: put, poller, function."""
    time.sleep(0.003)
    bench.arrived.clear()
    began = time.perf_counter()
    bench.put(1)
    bench.arrived.wait(10)
    return (time.perf_counter() - began) * 1000


def main() -> int:
    """Runs in a temporary directory."""
    given = json_argument(__doc__)
    home = Path(tempfile.mkdtemp(prefix="txnpipe-benchmark-"))
    try:
        report = run(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    write(report, given)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
