"""Function definitions and zips for tests."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from typing import Any

from txnpipe.local.lambda_runtime.functions import FunctionSpec

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def zipped(files: dict[str, str | bytes]) -> bytes:
    """A zip with these files; the same zip whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def a_function(source: str = "", **fields: Any) -> FunctionSpec:
    """A function whose module `app` has this source; its handler is `app.handler`."""
    code = zipped({"app.py": source})
    return FunctionSpec(
        **{
            "arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "name": "f",
            "version": "$LATEST",
            "region": "us-east-1",
            "runtime": RUNTIME,
            "handler": "app.handler",
            "code_sha256": hashlib.sha256(code).hexdigest(),
            "timeout_s": 3,
            "memory_mb": 128,
            "environment": (),
            "role": "arn:aws:iam::000000000000:role/f",
            "code": code,
            **fields,
        }
    )
