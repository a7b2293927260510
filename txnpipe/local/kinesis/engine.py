"""All streams of all regions, and the API that parts in this process use instead of HTTP.

A thread of its own, the housekeeper, completes what takes time on AWS (CREATING, UPDATING, DELETING), moves
the write-ahead logs into the files and trims what is beyond retention. Tests leave it out and call `settle`
and `maintain` themselves.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.kinesis import sequence
from txnpipe.local.kinesis.limits import MAX_CREATING_STREAMS, CallRates, KinesisSettings
from txnpipe.local.kinesis.model import StoredRecord, StreamDocument
from txnpipe.local.kinesis.shard import Shard
from txnpipe.local.kinesis.store import Store
from txnpipe.local.kinesis.stream import Stream, not_found
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_log = logging.getLogger(__name__)

_RETRY_S = 1.0


@dataclass(frozen=True)
class ShardView:
    """A shard as a consumer needs to know it. Hash keys include both ends; `parent_id` and
    `adjacent_parent_id` may name shards that have expired."""

    shard_id: str
    parent_id: str | None
    adjacent_parent_id: str | None
    open: bool
    starting_hash_key: int
    ending_hash_key: int
    starting_sequence_number: str
    ending_sequence_number: str | None


@dataclass(frozen=True)
class ReadResult:
    """What `read` gave. end_of_shard: the shard is closed and this was the last of it."""

    records: list[StoredRecord]
    end_of_shard: bool
    millis_behind_latest: int


class KinesisEngine:
    """The engine. `directory` is its own; `clock` is epoch seconds, `monotonic` seconds that only grow.

    enforce_limits=False lifts what slows a client down: throughput per shard, calls a second, changes a day.
    What an API call can mean at all (sizes, quotas, the factor of a reshard) holds either way.
    """

    def __init__(
        self,
        directory: Path,
        *,
        enforce_limits: bool,
        settings: KinesisSettings | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.enforce_limits = enforce_limits
        self.settings = settings or KinesisSettings()
        self.clock = clock
        self.rates = CallRates(monotonic)
        self._monotonic = monotonic
        self._directory = directory
        self._streams: dict[str, Stream] = {}
        self._stores: dict[str, Store] = {}
        self._registry = threading.Lock()
        """Serializes making and removing streams."""
        self._wake = threading.Event()
        self._stopping = False
        self._housekeeper: threading.Thread | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Opens every stream on disk, finishing what a killed process left half done."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in sorted(self._directory.iterdir()):
                if path.name.startswith("."):
                    shutil.rmtree(path)  # a stream half made or half deleted
                elif path.is_dir():
                    store = Store(path)
                    stream = self._stream(store)
                    self._streams[stream.document.arn] = stream
                    self._stores[stream.document.arn] = store
        except (OSError, sqlite3.Error, ServiceError) as error:
            raise TxnpipeError(
                f"The Kinesis streams in {self._directory} cannot be opened: {error}.",
                "Make it readable and writable, or drop all local state with `txnpipe local reset`.",
                ExitCode.ENVIRONMENT,
            ) from error
        self.settle()

    def start(self) -> None:
        """Opens the streams and starts the housekeeper."""
        self.open()
        self._stopping = False
        self._housekeeper = threading.Thread(target=self._keep_house, name="kinesis-housekeeper", daemon=True)
        self._housekeeper.start()

    def stop(self) -> None:
        """Stops the housekeeper, wakes every waiter and closes the files."""
        self._stopping = True
        self._wake.set()
        if self._housekeeper:
            self._housekeeper.join()
            self._housekeeper = None
        for stream in list(self._streams.values()):
            stream.close()
        self._streams = {}
        self._stores = {}

    def _keep_house(self) -> None:
        trim_at = self._monotonic() + self.settings.trim_every_s
        while True:
            self._wake.clear()
            if self._stopping:  # looked at after the clearing, or `stop` could go unheard
                return
            try:
                due = self.settle()
                self._checkpoint()
                if self._monotonic() >= trim_at:
                    trim_at = self._monotonic() + self.settings.trim_every_s
                    self.maintain()
            except ServiceError:
                _log.exception("Kinesis housekeeping failed")
                due = _RETRY_S
            pause = max(0.0, trim_at - self._monotonic())
            self._wake.wait(pause if due is None else min(due, pause))

    def settle(self) -> float | None:
        """Completes every transition that is due; seconds until the next one, None: none is under way."""
        pending = []
        for arn, stream in list(self._streams.items()):
            try:
                due = stream.settle()
                if stream.gone:
                    self._remove(arn)
            except (ServiceError, OSError):
                # A full disk, most likely. The stream stays as it is; the others must not wait for it.
                _log.exception("Kinesis stream %s could not change its state", arn)
                due = _RETRY_S
            if due is not None:
                pending.append(due)
        return min(pending) if pending else None

    def maintain(self) -> None:
        """Trims what is beyond retention, gives its space back and moves the logs into the files."""
        for stream in list(self._streams.values()):
            stream.trim()
            stream.shrink()
            stream.checkpoint()

    def _checkpoint(self) -> None:
        for stream in list(self._streams.values()):
            if stream.unsaved_bytes > self.settings.checkpoint_bytes:
                stream.checkpoint()

    def _stream(self, store: Store) -> Stream:
        return Stream(
            store,
            enforce_limits=self.enforce_limits,
            settings=self.settings,
            clock=self.clock,
            monotonic=self._monotonic,
            wake_housekeeper=self._wake.set,
        )

    # -- streams -------------------------------------------------------------------------------------------

    def create(self, document: StreamDocument) -> Stream:
        """Makes a stream from its first document. ResourceInUseException, LimitExceededException."""
        with self._registry:
            if document.arn in self._streams:
                raise ServiceError(
                    "ResourceInUseException",
                    f"Stream {document.name} under account {ACCOUNT} already exists.",
                )
            self._check_quotas(document)
            # The name is no safe file name (".."), nor unique where file systems fold case.
            try:
                store = Store.create(self._directory / uuid.uuid4().hex, document)
            except OSError as error:  # what is half made goes with the next start
                raise ServiceError(
                    "InternalFailure", f"Could not create the stream's file: {error}.", 500
                ) from error
            stream = self._stream(store)
            stream.schedule()
            self._stores[document.arn] = store
            self._streams[document.arn] = stream
        self._wake.set()
        return stream

    def _check_quotas(self, document: StreamDocument) -> None:
        others = self.streams(document.region)
        creating = sum(1 for stream in others if stream.document.status == "CREATING")
        if self.enforce_limits and creating >= MAX_CREATING_STREAMS:
            raise ServiceError(
                "LimitExceededException",
                f"Account {ACCOUNT} has {creating} streams in state CREATING; the limit is"
                f" {MAX_CREATING_STREAMS}.",
            )
        if document.mode == "ON_DEMAND":
            self.check_on_demand_quota(document.region)
        elif document.change:
            self.check_shard_quota(document.region, document.change.target)

    def check_on_demand_quota(self, region: str) -> None:
        """LimitExceededException where one more on-demand stream would be too many for the account."""
        on_demand = sum(1 for stream in self.streams(region) if stream.document.mode == "ON_DEMAND")
        if on_demand >= self.settings.on_demand_quota:
            raise ServiceError(
                "LimitExceededException",
                f"This request would exceed the on-demand stream limit of {self.settings.on_demand_quota}"
                f" for the account {ACCOUNT} in {region}.",
            )

    def check_shard_quota(self, region: str, additional: int) -> None:
        """LimitExceededException where `additional` open shards would be too many for the account."""
        current = self.open_shard_count(region)
        if current + additional > self.settings.shard_quota:
            raise ServiceError(
                "LimitExceededException",
                f"This request would exceed the shard limit for the account {ACCOUNT} in {region}. Current"
                f" shard count for the account: {current}. Limit: {self.settings.shard_quota}. Number of"
                f" additional shards that would have resulted from this request: {additional}. Refer to"
                " the AWS Service Limits page"
                " (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current"
                " limits and how to request higher limits.",
            )

    def open_shard_count(self, region: str) -> int:
        """Open shards of all provisioned streams in a region, counting those about to be made."""
        return sum(
            stream.planned_shard_count
            for stream in self.streams(region)
            if stream.document.mode == "PROVISIONED"
        )

    def _remove(self, arn: str) -> None:
        with self._registry:
            stream = self._streams.pop(arn, None)
            store = self._stores.pop(arn, None)
        if stream is None or store is None:
            return
        stream.close()
        doomed = store.directory.with_name(f".deleted-{store.directory.name}")
        store.directory.rename(doomed)
        shutil.rmtree(doomed)

    def stream(self, arn: str) -> Stream:
        """The stream of that ARN; ResourceNotFoundException."""
        try:
            return self._streams[arn]
        except KeyError:
            if self._stopping:  # what is closed has not gone
                raise ServiceError(
                    "ServiceUnavailableException", "Kinesis is stopping on this machine.", 503
                ) from None
            raise not_found(arn.rpartition("/")[2]) from None

    def streams(self, region: str) -> list[Stream]:
        """The streams of a region, by name."""
        here = [stream for stream in list(self._streams.values()) if stream.document.region == region]
        return sorted(here, key=lambda stream: stream.name)

    # -- what parts in this process use --------------------------------------------------------------------

    def shards(self, stream_arn: str) -> list[ShardView]:
        """All shards that have not expired, by id; none while the stream is CREATING."""
        return [_view(shard) for shard in self.stream(stream_arn).shards]

    def read(
        self, stream_arn: str, shard_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> ReadResult:
        """Records that come strictly after the sequence number `after`; None: from TRIM_HORIZON.

        Up to `limit` records and `max_bytes` of decoded data, but at least one record where there is one.
        Does not count against the shard's read limits. `after` may be a number of any shard of the stream.
        """
        stream, shard = self._usable(stream_arn, shard_id)
        page = stream.read(shard, _counter(after), limit, max_bytes)
        return ReadResult(page.records, page.end_of_shard, page.millis_behind_latest)

    def latest(self, stream_arn: str, shard_id: str) -> str | None:
        """The sequence number of the newest record; None: there was none yet (or none since a restart)."""
        _, shard = self._usable(stream_arn, shard_id)
        return None if shard.last == shard.document.start_counter else _number(shard, shard.last)

    def sequence_at(self, stream_arn: str, shard_id: str, timestamp: float) -> str | None:
        """The position to read after so as to get what arrived at `timestamp` (epoch seconds) or later.

        A position need not be the number of a record. None: read from TRIM_HORIZON.
        """
        stream, shard = self._usable(stream_arn, shard_id)
        position = stream.before_first_since(shard, timestamp)
        return None if position <= shard.document.start_counter else _number(shard, position)

    def wait_for_records(self, stream_arn: str, shard_id: str, after: str | None, timeout_s: float) -> bool:
        """Waits until `read` would give something new, or the shard set changes. False: the time is up."""
        stream, shard = self._usable(stream_arn, shard_id)
        return stream.wait(shard, _counter(after), timeout_s)

    def _usable(self, stream_arn: str, shard_id: str) -> tuple[Stream, Shard]:
        stream = self.stream(stream_arn)
        stream.require_usable()
        return stream, stream.shard(shard_id)


def _counter(number: str | None) -> int:
    if number is None:
        return 0
    try:
        return sequence.decode(number)[1]
    except ValueError:
        raise ServiceError("InvalidArgumentException", f"Sequence number {number} is invalid.") from None


def _number(shard: Shard, counter: int) -> str:
    return str(sequence.encode(shard.index, counter))


def _view(shard: Shard) -> ShardView:
    document = shard.document
    parents = [sequence.shard_id(index) for index in document.parents]
    return ShardView(
        shard_id=shard.id,
        parent_id=parents[0] if parents else None,
        adjacent_parent_id=parents[1] if len(parents) > 1 else None,
        open=shard.open,
        starting_hash_key=shard.range.start,
        ending_hash_key=shard.range.end,
        starting_sequence_number=_number(shard, document.start_counter),
        ending_sequence_number=None if document.end_counter is None else _number(shard, document.end_counter),
    )
