"""What of a backend is not worth keeping, and what has to be bounded.

moto was made for tests that live for a second: it remembers every message a topic ever published and every
metric ever sent. Here it lives for weeks, so its memories end somewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST_LOG_EVENTS = 10_000
"""Kept per log stream, the newest."""
MOST_METRIC_DATA = 50_000
"""Kept per region, the newest."""
MOST_REMEMBERED = 1_000
"""Kept of what nobody asks for again: ids of deleted messages, signing certificates, text messages."""


def take_out(backend: Any) -> dict[str, Any]:
    """The attributes of a backend that are to be saved. Trims the backend itself on the way."""
    service = type(backend).__module__
    if service in _TRIM:
        _TRIM[service](backend)
    state = dict(backend.__dict__)
    if service == "moto.iam.models":
        # AWS's own policies come with moto; those that are attached are saved as references.
        own = {arn: policy for arn, policy in backend.managed_policies.items() if not _is_aws_policy(policy)}
        state["managed_policies"] = own
        del state["aws_managed_policies"]
    elif service == "moto.sns.models":
        # Certificates of signatures; their address is AWS's, so nobody can ask for them here.
        state["_message_public_keys"] = {}
    return state


def put_back(backend: Any, attributes: dict[str, Any]) -> None:
    """Gives a fresh backend the attributes that `take_out` took."""
    service = type(backend).__module__
    if service == "moto.iam.models":
        attributes["managed_policies"] = {**backend.managed_policies, **attributes["managed_policies"]}
    backend.__dict__.update(attributes)
    if service == "moto.s3.models":
        _register_buckets(backend)
    if service == "moto.logs.models":
        _continue_event_ids(backend)


def _is_aws_policy(policy: Any) -> bool:
    return type(policy).__name__ == "AWSManagedPolicy"


def _register_buckets(backend: Any) -> None:
    """Bucket names are global; moto keeps them beside its backends."""
    from moto.s3.models import s3_backends

    for name in backend.buckets:
        s3_backends.bucket_accounts[name] = (backend.partition, backend.account_id)


def _continue_event_ids(backend: Any) -> None:
    """Log events are numbered across the process."""
    from moto.logs.models import LogEvent

    highest = max(
        (
            event.event_id
            for group in backend.groups.values()
            for stream in group.streams.values()
            for event in stream.events
        ),
        default=-1,
    )
    LogEvent._event_id = max(LogEvent._event_id, highest + 1)


def _trim_sns(backend: Any) -> None:
    for topic in backend.topics.values():
        topic.sent_notifications.clear()
    _keep_newest(backend.sms_messages)
    _keep_newest(backend._message_public_keys)


def _trim_sqs(backend: Any) -> None:
    for queue in backend.queues.values():
        if len(queue.deleted_messages) > MOST_REMEMBERED:
            queue.deleted_messages.clear()


def _trim_logs(backend: Any) -> None:
    for group in backend.groups.values():
        for stream in group.streams.values():
            del stream.events[:-MOST_LOG_EVENTS]


def _trim_cloudwatch(backend: Any) -> None:
    del backend.metric_data[:-MOST_METRIC_DATA]


def _keep_newest(remembered: dict[Any, Any]) -> None:
    for key in list(remembered)[:-MOST_REMEMBERED]:
        del remembered[key]


_TRIM: dict[str, Callable[[Any], None]] = {
    "moto.sns.models": _trim_sns,
    "moto.sqs.models": _trim_sqs,
    "moto.logs.models": _trim_logs,
    "moto.cloudwatch.models": _trim_cloudwatch,
}
