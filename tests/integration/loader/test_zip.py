"""The loader's zip as Lambda runs it: unpacked, nothing else on the path, one process for many calls."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.corpus.events import TUTORIAL_EVENT
from tests.corpus.lambda_events import ALERT_STREAM_ARN, kinesis_event
from tests.integration.loader.conftest import LOADER, PASSWORD, Warehouse
from tests.unit.packaging.test_lambda_zip import HERE
from txnpipe.packaging.lambda_zip import build_loader

RUNTIME = """
import importlib, json, sys, types

class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 30_000

class Secrets:
    def get_secret_value(self, SecretId):
        return {"SecretString": given["secret"]}

given = json.load(sys.stdin)
sys.path.insert(0, given["directory"])
boto3, botocore, config = map(types.ModuleType, ("boto3", "botocore", "botocore.config"))
boto3.client = lambda service, **options: Secrets()
config.Config = dict
sys.modules |= {"boto3": boto3, "botocore": botocore, "botocore.config": config}
import os
os.environ |= given["environment"]
module, _, name = "txnpipe.functions.loader.handler".rpartition(".")
handler = getattr(importlib.import_module(module), name)
import gc
assert gc.get_freeze_count() > 10_000, "the collector goes through all modules again and again"
for event in given["events"]:
    assert handler(event, Context()) == {"batchItemFailures": []}
"""


def test_the_zip_loads_the_tutorials_event_once(warehouse: Warehouse, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(build_loader(HERE).content)) as archive:
        archive.extractall(tmp_path)
    event = kinesis_event([TUTORIAL_EVENT, b"bad"])
    given = {
        "directory": str(tmp_path),
        "secret": json.dumps({"username": LOADER, "password": PASSWORD}),
        "events": [event, event],
        "environment": {
            "PIPELINE": "default",
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_PORT": str(warehouse.port),
            "WAREHOUSE_DATABASE": "txnpipe",
            "WAREHOUSE_SSLMODE": "prefer",
            "WAREHOUSE_SECRET_ARN": "arn:secret",
            "ALERT_STREAM_ARN": ALERT_STREAM_ARN,
            "DEDUPE_WINDOW_DAYS": "7",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        },
    }
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", RUNTIME],
        check=False,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["stored"], line["duplicates"], line["rejected"]) for line in lines] == [
        (1, 0, 1),
        (0, 1, 1),
    ]
    assert warehouse.sql("SELECT transaction_id, amount::text FROM transactions") == [("txn123", "12000.00")]
    assert warehouse.sql("SELECT count(*) FROM rejected_transactions") == [(1,)]
    assert PASSWORD not in result.stdout + result.stderr
