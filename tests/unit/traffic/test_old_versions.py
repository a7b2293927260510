"""Manifests, markers and results of older versions are read; a newer manifest is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import VERSION, Manifest, Span, decode_manifest, encode_manifest
from txnpipe.traffic.mix import Mix
from txnpipe.traffic.rates import Rate
from txnpipe.traffic.runs import RunStore

VERSION_1: dict[str, Any] = {
    "run_id": "20260901T053112-4f9a1c",
    "pipeline": "default",
    "source": "generated",
    "count": 5000,
    "seed": 3,
    "start": "2026-09-01T05:29:32Z",
    "created_at": "2026-09-01T05:31:12Z",
    "pace": 50,
    "accounts": 20000,
    "anomalies": {"large_amount": 0.005, "velocity": 0.002, "amount_spike": 0.002},
    "input_name": None,
    "input_format": None,
    "rate": 100.0,
    "stream": "TransactionStream",
    "shards": [
        {"shard_id": "shardId-000000000000", "starting_hash_key": "0", "ending_hash_key": "3402823669"}
    ],
    "version": 1,
}
VERSION_2 = VERSION_1 | {"mix": {"late": 0.1}, "version": 2}
INPUT_2 = VERSION_2 | {
    "source": "input", "count": None, "seed": 0, "mix": {}, "input_name": "/data/in.csv",
    "input_format": "csv", "rate": None,
}  # fmt: skip


def decoded(document: dict[str, Any]) -> Manifest:
    return decode_manifest(json.dumps(document).encode(), "here")


@pytest.mark.parametrize("document", [VERSION_1, VERSION_2, INPUT_2])
def test_an_old_manifest_means_what_it_meant(document: dict[str, Any]) -> None:
    manifest = decoded(document)
    assert manifest.version == document["version"]
    assert (manifest.partition_key, manifest.profile, manifest.on_error) == ("account_id", "steady", "skip")
    assert (manifest.duration_s, manifest.limit, manifest.selection) == (None, None, None)
    assert manifest.shards == (Span("shardId-000000000000", "0", "3402823669"),)
    assert manifest.mix == Mix(**document.get("mix", {}))
    assert manifest.pacing == (None if document["rate"] is None else Rate(100.0))
    assert manifest.start == datetime(2026, 9, 1, 5, 29, 32, tzinfo=UTC)
    assert decode_manifest(encode_manifest(manifest), "here") == manifest


def test_an_old_manifest_makes_the_same_keys() -> None:
    key, payload = Generator(decoded(VERSION_2)).record(17)
    assert key == json.loads(payload)["account_id"]


def test_a_newer_manifest_is_refused() -> None:
    with pytest.raises(TxnpipeError, match=f"version {VERSION + 1}") as caught:
        decoded(VERSION_1 | {"version": VERSION + 1})
    assert caught.value.exit_code is ExitCode.USAGE


def test_an_old_marker_and_an_old_result_are_read(store: RunStore) -> None:
    common = {
        "run_id": "r", "attempts": 9, "throttled": 0, "failed": 0, "invalid": 0,
        "started_at": "2026-09-01T05:31:12Z", "marks": {}, "version": 1,
    }  # fmt: skip
    marker = common | {
        "next_index": 7, "acknowledged": 9, "written_at": "2026-09-01T05:31:13Z", "host": "h", "pid": 1,
        "pid_started": "1",
    }  # fmt: skip
    result = common | {"count": 9, "invalid_lines": [], "finished_at": "2026-09-01T05:31:14Z"}
    store.put("runs/r/progress.json", json.dumps(marker).encode())
    store.put("runs/r/result.json", json.dumps(result).encode())
    stored, ended = store.marker("r"), store.result("r")
    assert stored is not None
    assert ended is not None
    assert (stored.marker.reserved, stored.marker.sending_s, stored.marker.claim) == (0, 0.0, "")
    assert (ended.count, ended.lines, ended.first_event) == (9, 0, None)
    assert store.buckets("r") is None
