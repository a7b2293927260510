"""Structured logging: one JSON object a line on standard output, which Lambda sends to CloudWatch Logs.

CloudWatch's `filter @message` and `parse` understand such lines, and so does `txnpipe logs`.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Literal


def write_line(level: Literal["INFO", "WARN", "ERROR"], message: str, **fields: Any) -> None:
    """Writes {"level", "message", **fields}. Values that JSON lacks are written as text."""
    sys.stdout.write(json.dumps({"level": level, "message": message, **fields}, default=str) + "\n")
    sys.stdout.flush()
