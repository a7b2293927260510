"""The parts of the local cloud, in the order in which they start."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any

from txnpipe.local.part import LocalContext, Part
from txnpipe.local.service import Service

log = logging.getLogger(__name__)


def build_parts(context: LocalContext) -> list[tuple[Part, Sequence[Service]]]:
    """Makes every part with the API services it answers. Order: what a part needs comes before it."""
    built: list[tuple[Part, Sequence[Service]]] = []

    def make(module: str, name: str, *arguments: Any) -> Any:
        try:
            part = getattr(importlib.import_module(f"txnpipe.local.{module}"), name)(context, *arguments)
        except ModuleNotFoundError as error:
            log.warning("%s is not there: %s", name, error)
            return None
        services = getattr(part, "services", None) or (
            [part.service] if hasattr(part, "service") else [part] if hasattr(part, "claims") else []
        )
        built.append((part, services))
        return part

    make("redshift.part", "RedshiftPart")
    kinesis = make("kinesis.part", "KinesisPart")
    functions = make("lambda_runtime.part", "LambdaPart")
    if kinesis and functions:
        make("event_sources.part", "EventSourcesPart", kinesis.engine, functions.invoke)
    make("flink.part", "FlinkPart")
    return built
