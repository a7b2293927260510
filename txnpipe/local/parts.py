"""The parts of the local cloud, in the order in which they start."""

from __future__ import annotations

from collections.abc import Sequence

from txnpipe.local.event_sources.part import EventSourcesPart
from txnpipe.local.flink.part import FlinkPart
from txnpipe.local.kinesis.part import KinesisPart
from txnpipe.local.lambda_runtime.part import LambdaPart
from txnpipe.local.part import LocalContext, Part
from txnpipe.local.redshift.part import RedshiftPart
from txnpipe.local.service import Service


def build_parts(context: LocalContext) -> list[tuple[Part, Sequence[Service]]]:
    """Makes every part, with the API services that it answers itself.

    What a part needs comes before it: functions write into the warehouse, event source mappings read streams
    and run functions, Flink reads and writes streams.
    """
    redshift = RedshiftPart(context)
    kinesis = KinesisPart(context)
    functions = LambdaPart(context)
    event_sources = EventSourcesPart(context, kinesis.engine, functions.invoke, keep_warm=functions.keep_warm)
    flink = FlinkPart(context)
    return [
        (redshift, redshift.services),
        (kinesis, [kinesis.service]),
        (functions, [functions.service]),
        (event_sources, [event_sources]),
        (flink, [flink.service]),
    ]
