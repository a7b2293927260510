"""Follows one record through every hop, and says where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import error_code, translated
from txnpipe.operate.alerts import StoredAlert, alerts_of
from txnpipe.operate.dead_letters import list_dead_letters
from txnpipe.operate.rejects import Reject, newest_rejects
from txnpipe.proof.alerts import expected_alerts
from txnpipe.proof.checksum import CONTENT_COLUMNS, row_content
from txnpipe.proof.expected import expected_of
from txnpipe.proof.generated_rows import run_of
from txnpipe.proof.in_stream import SEARCH_S, Place, StreamSearch
from txnpipe.proof.sources import Sources
from txnpipe.traffic.content import Content, digest
from txnpipe.traffic.keys import ACCOUNT
from txnpipe.traffic.manifest import Manifest
from txnpipe.transactions import InvalidTransaction, parse

SEARCHED_RUNS = 10
"""An id that names no run is looked for in the input of this many newest runs."""
_REJECTS_LOOKED_AT = 5000
_MARGIN = timedelta(minutes=5)
_READABLE = {
    True: "still readable",
    False: "no longer readable",
    None: "too many others read the shard to tell whether it is still readable",
}


@dataclass(frozen=True)
class Hop:
    """One station. ok: True arrived, False did not, None cannot be told or does not apply."""

    name: str
    ok: bool | None
    text: str


@dataclass(frozen=True)
class Trace:
    """The way of one record. stopped_at: the hop that it did not reach, None where it went all the way."""

    transaction_id: str
    hops: tuple[Hop, ...]

    @property
    def known(self) -> bool:
        """Whether any hop has seen the record."""
        return any(hop.ok for hop in self.hops)

    @property
    def stopped_at(self) -> str | None:
        """The first hop that should have been reached and was not."""
        return next((hop.name for hop in self.hops if hop.ok is False), None)


@dataclass(frozen=True)
class _Sent:
    """What is known of the record's sending. reason: why it must be rejected; None for a good record."""

    manifest: Manifest | None = None
    content: Content | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Row:
    content: Content
    run_id: str | None
    arrived_at: datetime
    stored_at: datetime
    place: Place


def follow(sources: Sources, transaction_id: str, *, clock: Callable[[], float] = time.monotonic) -> Trace:
    """Follows one transaction_id. Raises TxnpipeError where a hop cannot be asked."""
    sent = _sent(sources, transaction_id)
    rows = _rows(sources, transaction_id)
    since = sent.manifest.created_at.astimezone(UTC) - _MARGIN if sent.manifest else None
    rejects = _rejects(sources, transaction_id, since)
    kinesis = sources.target.client("kinesis", retries={"mode": "standard", "total_max_attempts": 1})
    search = StreamSearch(kinesis, sources.names.stream, clock=clock)
    place = rows[0].place if rows else _reject_place(rejects)
    if place is None:
        key = _key(sent, transaction_id)
        place = search.find(key, since, lambda data: _is(data, transaction_id))
    arrived = rows[0].arrived_at if rows else rejects[0].arrived_at if rejects else None
    hops = [
        _sent_hop(sent),
        _stream_hop(search, sources.names.stream, place, arrived),
        *_stored_hops(sources, rows, rejects, sent, transaction_id, since, place),
    ]
    if rows:
        hops += _alert_hops(sources, transaction_id, rows[0].run_id)
    return Trace(transaction_id, tuple(hops))


def _sent(sources: Sources, transaction_id: str) -> _Sent:
    run_id = run_of(transaction_id)
    ids = sources.store.ids()
    candidates = [run_id] if run_id in ids and run_id else ids[:SEARCHED_RUNS]
    for candidate in candidates:
        manifest = sources.store.manifest(candidate)
        expected = expected_of(sources.store, manifest)
        content = expected.find([transaction_id]).get(transaction_id)
        reason = expected.reason(transaction_id)
        if content is not None or reason is not None:
            return _Sent(manifest, content, reason)
    return _Sent()


def _sent_hop(sent: _Sent) -> Hop:
    manifest, content = sent.manifest, sent.content
    if manifest is not None and sent.reason is not None:
        return Hop("sent", True, f"in run {manifest.run_id}, as a bad record on purpose: {sent.reason}")
    if manifest is None or content is None:
        return Hop("sent", None, "by no run of this pipeline that is remembered; perhaps by another producer")
    when = f"{content.transaction_type} of {content.cents / 100:,.2f} at {content.when}"
    return Hop("sent", True, f"in run {manifest.run_id}: {when}, account {content.account_id or 'none'}")


def _stream_hop(search: StreamSearch, name: str, place: Place | None, arrived: datetime | None) -> Hop:
    if place is None and search.out_of_time:
        return Hop("stream", None, f"not found in {name} within {SEARCH_S:.0f} s of reading; there is more")
    if place is None:
        return Hop("stream", False, f"not found in {name}: never put, or older than the stream's retention")
    where = f"{place.shard_id}, sequence number {place.sequence_number}"
    when = f", arrived {arrived.isoformat(sep=' ')} UTC" if arrived else ""
    return Hop("stream", True, f"{where}{when}; {_READABLE[search.holds(place)]}")


def _stored_hops(
    sources: Sources,
    rows: list[_Row],
    rejects: list[Reject],
    sent: _Sent,
    transaction_id: str,
    since: datetime | None,
    place: Place | None,
) -> Iterator[Hop]:
    for reject in rejects:
        expected_repeat = bool(rows) and reject.reason == "id_reused"
        text = f"{reject.reason}: {reject.detail} ({reject.shard_id}, {reject.sequence_number})"
        if reject.reason == sent.reason:
            yield Hop("rejected", True, f"{text}, as it should be")
        else:
            yield Hop("rejected", None if expected_repeat else False, text)
    if rows:
        yield _row_hop(rows, sent)
        return
    letters = [
        letter
        for letter in list_dead_letters(sources.target.client("s3"), sources.store.bucket, since)
        if letter.mentions(transaction_id.encode())
    ]
    for letter in letters:
        yield Hop("on-failure bucket", False, f"{letter.condition} {letter.error}: {letter.key}".strip())
    if sent.reason is not None and not rejects and not letters:
        yield Hop("rejected", False, f"not rejected yet; it must be, as {sent.reason}")
    elif not rejects and not letters:
        text = "not in transactions; the loader has not got to it yet" if place else "not in transactions"
        yield Hop("row", False, text)


def _row_hop(rows: list[_Row], sent: _Sent) -> Hop:
    content = sent.content
    if sent.reason is not None:
        return Hop("row", False, f"stored, and is a bad record: it must be rejected as {sent.reason}")
    if len(rows) > 1:
        return Hop("row", False, f"stored {len(rows)} times")
    row = rows[0]
    latency = (row.stored_at - row.arrived_at) / timedelta(milliseconds=1)
    text = f"stored {row.stored_at.isoformat(sep=' ')} UTC, {latency:.0f} ms after it arrived"
    if content is not None and digest(row.content) != digest(content):
        names = CONTENT_COLUMNS.replace('"', "").split(", ")
        pairs = zip(names, _shown(row.content), _shown(content), strict=True)
        wrong = [f"{name} is {is_} and was {was}" for name, is_, was in pairs if is_ != was]
        return Hop("row", False, f"{text}, but changed: {'; '.join(wrong)}")
    return Hop("row", True, text)


def _shown(content: Content) -> tuple[str, ...]:
    amount = f"{content.cents / 100:.2f}"
    return content.transaction_id, amount, content.transaction_type, content.when, *map(str, content[4:])


def _alert_hops(sources: Sources, transaction_id: str, run_id: str | None) -> Iterator[Hop]:
    stored = alerts_of(sources.warehouse, transaction_id)
    expected: set[str] = set()
    if run_id is not None:
        for rule in sources.rules:
            alerts = expected_alerts(sources.warehouse, rule, run_id)
            expected |= {alert_id for alert_id, subject in alerts.items() if subject == transaction_id}
    if not stored and not expected:
        yield Hop("alerts", None, "no rule applies")
    for alert in stored:
        text = (
            f"{alert.alert_id}: {alert.detail or alert.rule}, stored {alert.stored_at.isoformat(sep=' ')} UTC"
        )
        wrong = run_id is not None and alert.alert_id not in expected
        yield Hop("alert", not wrong, f"{text}; no rule asks for it" if wrong else text)
        yield _notification_hop(sources, alert)
    for alert_id in sorted(expected - {alert.alert_id for alert in stored}):
        yield Hop("alert", False, f"{alert_id} is missing")


def _notification_hop(sources: Sources, alert: StoredAlert) -> Hop:
    """SNS keeps no list of what it delivered; the notifier's log says which records it published."""
    place = _alert_place(sources, alert.alert_id)
    group = f"/aws/lambda/{sources.names.notifier}"
    for entry in _log_lines(sources.target.client("logs"), group, alert.stored_at - _MARGIN):
        first, last = entry.get("first_sequence_number"), entry.get("last_sequence_number")
        if place is None or entry.get("shard_id") != place.shard_id:
            continue
        if entry.get("sequence_number") == place.sequence_number:
            return Hop("notification", False, f"{entry.get('message')}: {entry.get('error', '')}")
        resume_at = entry.get("resume_at")
        if first and last and int(first) <= int(place.sequence_number) <= int(last):
            if resume_at and int(resume_at) <= int(place.sequence_number):
                continue
            return Hop(
                "notification", True, f"published to {sources.names.topic} by {sources.names.notifier}"
            )
    return Hop("notification", None, f"not told by the log {group}; {_notifier_state(sources)}")


def _notifier_state(sources: Sources) -> str:
    """What can be said of the notifier and its topic as a whole."""
    names = sources.names
    with translated("look at the notifier", names.notifier):
        mappings = sources.target.client("lambda").list_event_source_mappings(
            FunctionName=names.notifier, EventSourceArn=names.alert_stream_arn
        )["EventSourceMappings"]
        attributes = sources.target.client("sns").get_topic_attributes(TopicArn=names.topic_arn)["Attributes"]
    if not mappings:
        return f"{names.notifier} does not read {names.alert_stream}"
    state = mappings[0]["State"]
    result = mappings[0].get("LastProcessingResult", "none yet")
    topic = f"{names.topic} has {attributes.get('SubscriptionsConfirmed', '0')} subscriptions"
    return f"{names.notifier} is {state} (last result: {result}), {topic}"


def _alert_place(sources: Sources, alert_id: str) -> Place | None:
    result = sources.warehouse.query(
        "SELECT shard_id, sequence_number FROM alerts WHERE alert_id = :id", {"id": alert_id}
    )
    return Place(str(result.rows[0][0]), str(result.rows[0][1])) if result.rows else None


def _log_lines(logs: Any, group: str, since: datetime) -> Iterator[dict[str, Any]]:
    start = int(since.replace(tzinfo=UTC).timestamp() * 1000)
    with translated("read the log", group):
        try:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=start, PaginationConfig={"MaxItems": 10_000}
            )
            for page in pages:
                for event in page["events"]:
                    try:
                        line = json.loads(event["message"])
                    except ValueError:
                        continue
                    if isinstance(line, dict):
                        yield line
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise


def _rows(sources: Sources, transaction_id: str) -> list[_Row]:
    columns = f"{CONTENT_COLUMNS}, run_id, arrived_at, stored_at, shard_id, sequence_number"
    result = sources.warehouse.query(
        f"SELECT {columns} FROM transactions WHERE transaction_id = :id ORDER BY stored_at",  # noqa: S608
        {"id": transaction_id},
    )
    return [
        _Row(row_content(row[:8]), row[8], row[9], row[10], Place(str(row[11]), str(row[12])))
        for row in result.rows
    ]


def _rejects(sources: Sources, transaction_id: str, since: datetime | None) -> list[Reject]:
    naive = since.replace(tzinfo=None) if since else None
    texts = _written(transaction_id)
    looked_at = newest_rejects(sources.warehouse, limit=_REJECTS_LOOKED_AT, since=naive, holding=texts)
    return [reject for reject in looked_at if _names(reject.payload, transaction_id)]


def _names(payload: bytes, transaction_id: str) -> bool:
    return any(text in payload for text in _written(transaction_id))


def _written(transaction_id: str) -> tuple[bytes, bytes]:
    """An id as it is, and as JSON in ASCII writes it."""
    return transaction_id.encode(errors="surrogatepass"), json.dumps(transaction_id)[1:-1].encode()


def _reject_place(rejects: list[Reject]) -> Place | None:
    return Place(rejects[0].shard_id, rejects[0].sequence_number) if rejects else None


def _key(sent: _Sent, transaction_id: str) -> str:
    field = sent.manifest.partition_key if sent.manifest else ACCOUNT
    return getattr(sent.content, field, None) or transaction_id


def _is(data: bytes, transaction_id: str) -> bool:
    try:
        return parse(data).transaction_id == transaction_id
    except InvalidTransaction:
        return _names(data, transaction_id)
