"""Event source mappings as a part of the daemon."""

from __future__ import annotations

import time
from collections.abc import Callable

from txnpipe.local.event_sources.counters import MappingCounters
from txnpipe.local.event_sources.delivery import Discard, Result
from txnpipe.local.event_sources.destination import send
from txnpipe.local.event_sources.lane import Engine, Outside
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.event_sources.registry import Registry
from txnpipe.local.event_sources.service import EventSourceService
from txnpipe.local.event_sources.store import Store
from txnpipe.local.lambda_runtime.functions import FunctionSpec, find_function
from txnpipe.local.part import Listener, LocalContext, Process
from txnpipe.local.service import Request, Response, ServiceError

STOP_S = 3.0
"""How long a stop waits for invocations under way, so that they need not be repeated."""


class EventSourcesPart:
    """Mappings of Kinesis streams to functions. Is its own API service.

    engine: the Kinesis engine. invoke: LambdaPart.invoke. find: a function's definition, by ARN and region.
    keep_warm: LambdaPart.keep_warm, told how many enabled mappings feed each function.
    """

    name = "event_sources"

    def __init__(
        self,
        context: LocalContext,
        engine: Engine,
        invoke: Callable[[str, bytes, str], Result],
        find: Callable[[str, str], FunctionSpec] = find_function,
        keep_warm: Callable[[dict[str, int]], None] = lambda _counts: None,
    ) -> None:
        self._context = context
        self._engine = engine
        self._invoke = invoke
        self._find = find
        self._keep_warm = keep_warm
        self._store: Store | None = None

    def start(self) -> None:
        """Opens the state and continues every enabled mapping at its checkpoints."""
        self._store = Store(self._context.home / self.name / "mappings.sqlite3")
        outside = Outside(
            engine=self._engine,
            store=self._store,
            invoke=self._invoke,
            role_of=lambda function_arn, region: self._find(function_arn, region).role,
            send=self._send,
        )
        self._registry = Registry(outside, self._function_exists, self._keep_warm)
        self._service = EventSourceService(self._registry)
        self._registry.start()

    def stop(self) -> None:
        """Stops all mappings; state stays on disk."""
        if self._store is not None:
            self._registry.stop(STOP_S)
            self._store.close()
            self._store = None

    def processes(self) -> list[Process]:
        """None: functions belong to the Lambda runtime."""
        return []

    def listeners(self) -> list[Listener]:
        """None."""
        return []

    def claims(self, method: str, path: str, target: str) -> bool:
        """Service: see txnpipe.local.service."""
        return EventSourceService.claims(method, path, target)

    def handle(self, request: Request) -> Response:
        """Service: see txnpipe.local.service."""
        return self._service.handle(request)

    def counters(self) -> list[MappingCounters]:
        """What every mapping has done since the start: records, batches, failures, iterator age."""
        return self._registry.counters() if self._store is not None else []

    def _function_exists(self, function_arn: str, region: str) -> bool:
        try:
            self._find(function_arn, region)
        except ServiceError:
            return False
        return True

    def _send(self, discard: Discard, mapping: Mapping, shard_id: str) -> None:
        send(discard, mapping, shard_id, self._context.client, time.time())
