"""Function output in CloudWatch Logs, which is moto's.

Not kept across restarts of the daemon: moto's state is saved as a whole, and every line would be written
again and again with all the others. Groups and streams are kept; the lines are in HOME/logs/lambda-NAME.log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from txnpipe.local.lambda_runtime.cloudwatch import Event, LogStream
from txnpipe.local.part import ACCOUNT

MOST_EVENTS = 10_000
"""Kept per function, the newest: some 7 MB."""
MOST_STREAMS = 20
"""Kept per function, the newest: each worker has its own."""
REFUSAL_S = 10.0
"""How long a role that does not allow writing is not asked again."""


class UnsavedEvents(list[Any]):
    """The events of one stream; in saved state an empty list."""

    def __reduce__(self) -> Any:
        return UnsavedEvents, ()


class LogStore:
    """Writes as Lambda does: with the function's role, making what is missing where the role allows it.

    gate: held while moto's objects are touched; what was changed is saved a moment later.
    """

    def __init__(
        self,
        gate: Callable[[], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._clock = clock
        self._refused: dict[tuple[str, str, str], float] = {}

    def put(self, stream: LogStream, events: list[Event]) -> None:
        """Stores events of a stream. Drops them where the role does not allow it, as Lambda does."""
        from moto.logs.models import logs_backends

        with self._gate():
            backend = logs_backends[ACCOUNT][stream.region]
            group = backend.groups.get(stream.group)
            if group is None or stream.name not in group.streams:
                group = self._made(backend, group, stream)
            if group is None:
                return
            entries = [{"timestamp": at, "message": message} for at, message in events]
            backend.put_log_events(stream.group, stream.name, entries)
            _bound(group)

    def _made(self, backend: Any, group: Any, stream: LogStream) -> Any:
        """The group, with the stream; None where the role does not allow to make them."""
        key = stream.region, stream.group, stream.role
        if self._refused.get(key, 0.0) > self._clock():
            return None
        arn = f"arn:aws:logs:{stream.region}:{ACCOUNT}:log-group:{stream.group}:log-stream:"
        needed = [(f"logs:{action}", arn + stream.name) for action in ("CreateLogStream", "PutLogEvents")]
        if group is None:
            needed.append(("logs:CreateLogGroup", arn))
        if not all(role_allows(stream.role, action, resource) for action, resource in needed):
            self._refused[key] = self._clock() + REFUSAL_S
            return None
        self._refused.pop(key, None)
        if group is None:
            group = backend.create_log_group(stream.group, {})
        backend.create_log_stream(stream.group, stream.name)
        group.streams[stream.name].events = UnsavedEvents()
        return group


def role_allows(role_arn: str, action: str, resource: str) -> bool:
    """Whether the policies of a role, inline and attached, allow an action; a role that is gone does not."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.iam.models import iam_backends

    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    role = next((role for role in roles if role.arn == role_arn), None)
    if role is None:
        return False
    policies = [*role.policies.values(), *role.managed_policies.values()]
    results = {IAMPolicy(policy).is_action_permitted(action, resource) for policy in policies}
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def _bound(group: Any) -> None:
    """Drops the oldest streams and events of function output."""
    ours = [name for name, each in group.streams.items() if isinstance(each.events, UnsavedEvents)]
    for name in ours[:-MOST_STREAMS]:
        del group.streams[name]
    streams = [group.streams[name] for name in ours[-MOST_STREAMS:]]
    excess = sum(len(each.events) for each in streams) - MOST_EVENTS
    for each in streams:
        if excess <= 0:
            return
        dropped = min(excess, len(each.events))
        del each.events[:dropped]
        excess -= dropped
