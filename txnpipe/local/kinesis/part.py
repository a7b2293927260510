"""Kinesis as a part of the local cloud's daemon."""

from __future__ import annotations

from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.service import KinesisService
from txnpipe.local.part import Listener, LocalContext, Process


class KinesisPart:
    """Runs the engine in the daemon's process; its state is in `home/kinesis`."""

    name = "kinesis"

    def __init__(self, context: LocalContext) -> None:
        self.engine = KinesisEngine(context.home / self.name, enforce_limits=context.enforce_limits)
        self.service = KinesisService(self.engine)

    def start(self) -> None:
        """Opens every stream and finishes what a killed daemon left half done."""
        self.engine.start()

    def stop(self) -> None:
        """Closes the streams; they stay on disk."""
        self.engine.stop()

    def processes(self) -> list[Process]:
        """None: the engine is threads of the daemon."""
        return []

    def listeners(self) -> list[Listener]:
        """None: the daemon's API server answers for it."""
        return []
