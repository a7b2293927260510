"""What Lambda itself writes into a function's log: as text, or as objects where its LogFormat is JSON.

The objects are those of the Telemetry API, as far as the system log level INFO shows them: platform.start and
platform.report (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.results import Kind

JSON = "JSON"
_STATUS: dict[Kind, str] = {
    "ok": "success",
    "error": "error",
    "timeout": "timeout",
    "crash": "failure",
    "init_error": "error",
}


@dataclass(frozen=True)
class Usage:
    """What an invocation took. `init_ms` None: its worker was warm."""

    duration_ms: float
    memory_mb: int
    init_ms: float | None


def begin(spec: FunctionSpec, request_id: str) -> str:
    """The line before an invocation's own."""
    if spec.log_format == JSON:
        return _event("platform.start", {"requestId": request_id, "version": spec.version})
    return f"START RequestId: {request_id} Version: {spec.version}"


def end(spec: FunctionSpec, request_id: str, kind: Kind, body: bytes, usage: Usage) -> list[str]:
    """The lines after them. body: what the invocation answers."""
    if spec.log_format == JSON:
        return [_event("platform.report", _report(spec, request_id, kind, body, usage))]
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {usage.duration_ms:.2f} ms\t"
        f"Billed Duration: {int(usage.duration_ms) + 1} ms\tMemory Size: {spec.memory_mb} MB\t"
        f"Max Memory Used: {usage.memory_mb} MB\t"
    )
    if usage.init_ms is not None:
        report += f"Init Duration: {usage.init_ms:.2f} ms\t"
    ended = [body.decode()] if kind in ("timeout", "crash") else []
    return [*ended, f"END RequestId: {request_id}", report]


def _report(spec: FunctionSpec, request_id: str, kind: Kind, body: bytes, usage: Usage) -> dict[str, Any]:
    metrics = {
        "durationMs": round(usage.duration_ms, 3),
        "billedDurationMs": int(usage.duration_ms) + 1,
        "memorySizeMB": spec.memory_mb,
        "maxMemoryUsedMB": usage.memory_mb,
    }
    if usage.init_ms is not None:
        metrics["initDurationMs"] = round(usage.init_ms, 3)
    record = {"requestId": request_id, "metrics": metrics, "status": _STATUS[kind]}
    return record if kind == "ok" else record | {"errorType": json.loads(body).get("errorType", "")}


def _event(kind: str, record: dict[str, Any]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return json.dumps({"time": now, "type": kind, "record": record}, separators=(",", ":"))
