"""The shapes that a pipeline can have. What is proven of one of them is proven of all."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "provisioned cluster, provisioned streams": {},
    "serverless warehouse": {"warehouse": {"kind": "serverless"}},
}
"""Name → the settings that make it. One line for each kind of warehouse, stream, network that there is."""
