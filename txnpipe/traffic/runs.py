"""Where runs live: in the pipeline's bucket, so that any machine can continue and verify them.

runs/RUN_ID/progress.json      by who works on it (see `claims`): at first, then about once a second
runs/RUN_ID/manifest.json      written before the first record, never changed; without it there is no run
runs/RUN_ID/result.json        written once, at the end: the run is finished
runs/RUN_ID/input/000000.jsonl parts of the spooled input, each written once (see `spool`)
runs/RUN_ID/buckets.json       checksums of the input, written before its result (see `buckets`)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from txnpipe.aws import Target, condition_not_met, error_code, translated
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import BucketKeys
from txnpipe.traffic.buckets import BucketSums, decode_sums
from txnpipe.traffic.content import Checksum
from txnpipe.traffic.manifest import Manifest, decode_manifest, encode_manifest

ALIVE_FOR_S = 15.0
"""A marker of another machine that is younger than this belongs to a `send` that is at work."""
NOTHING_THERE: Mapping[str, str] = {"IfNoneMatch": "*"}
"""The condition of a write that replaces nothing."""
TRIES = 5
"""Of a conditional write: another one at the same moment can keep S3 from taking either."""


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is. Counts are of all attempts of the run.

    next_index: every index below it is acknowledged. marks: last acknowledged sequence number by shard.
    reserved: no index from it on was sent; of runs without a known count, else 0. sending_s: seconds spent
    sending. first_event, last_event: the range of event times made so far, UTC; of synthetic runs.
    host, pid, pid_started: the process that works, or worked, on the run. claim: what only it knows (see
    `claims`); "" of older versions.
    """

    run_id: str
    next_index: int
    acknowledged: int
    attempts: int
    throttled: int
    failed: int
    invalid: int
    started_at: datetime
    written_at: datetime
    marks: dict[str, str]
    host: str
    pid: int
    pid_started: str
    reserved: int = 0
    sending_s: float = 0.0
    first_event: datetime | None = None
    last_event: datetime | None = None
    claim: str = ""
    version: int = 1


class Rejected(msgspec.Struct, frozen=True):
    """A line of the input that is no valid transaction and was not sent."""

    line: int
    reason: str
    detail: str


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: `count` records, all acknowledged; `invalid` lines of the input were not sent.

    lines, blank: of the input: all lines, and rows that hold no record (blank lines, a CSV's header). Where
    no row spans lines, lines = count + invalid + blank. sending_s: seconds spent sending, in all attempts.
    first_event, last_event: the range of the records' event times, UTC; None where nothing was sent.
    """

    run_id: str
    count: int
    attempts: int
    throttled: int
    failed: int
    invalid: int
    invalid_lines: tuple[Rejected, ...]
    started_at: datetime
    finished_at: datetime
    marks: dict[str, str]
    lines: int = 0
    blank: int = 0
    sending_s: float = 0.0
    first_event: datetime | None = None
    last_event: datetime | None = None
    version: int = 1


@dataclass(frozen=True)
class StoredMarker:
    """A marker, how long ago the bucket got it, in seconds by the bucket's own clock, and its ETag."""

    marker: Marker
    age_s: float
    etag: str


class RunStore:
    """The runs of one pipeline."""

    def __init__(self, target: Target, bucket: str) -> None:
        self._s3 = target.client("s3")
        self.bucket = bucket

    def create(self, manifest: Manifest) -> None:
        """Writes a manifest."""
        self.put(self._key(manifest.run_id, "manifest.json"), encode_manifest(manifest))

    def manifest(self, run_id: str) -> Manifest:
        """Reads a manifest. Raises TxnpipeError (NOT_FOUND) where there is no such run."""
        key = self._key(run_id, "manifest.json")
        data = self.get(key)
        if data is None:
            raise TxnpipeError(
                f"There is no run {run_id}.",
                "txnpipe verify without --run takes the newest run; send one with txnpipe send --count 1000.",
                ExitCode.NOT_FOUND,
            )
        return decode_manifest(data, f"s3://{self.bucket}/{key}")

    def newest(self) -> Manifest:
        """The manifest of the newest run. Raises TxnpipeError (NOT_FOUND) where nothing was ever sent."""
        for run_id in self.ids():
            data = self.get(self._key(run_id, "manifest.json"))
            if data is not None:
                return decode_manifest(data, run_id)
        raise TxnpipeError(
            "Nothing was sent through this pipeline yet.",
            "Send something first: txnpipe send --count 1000.",
            ExitCode.NOT_FOUND,
        )

    def ids(self) -> list[str]:
        """Run ids, newest first."""
        runs = []
        with self._reading("list the runs in"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=BucketKeys.RUNS, Delimiter="/"
            )
            for page in pages:
                runs += [entry["Prefix"].split("/")[-2] for entry in page.get("CommonPrefixes", ())]
        return sorted(runs, reverse=True)

    def marker(self, run_id: str) -> StoredMarker | None:
        """The progress marker, if the run got that far."""
        key = self._key(run_id, "progress.json")
        with self._reading("read the progress of a run in"):
            try:
                answer = self._s3.get_object(Bucket=self.bucket, Key=key)
            except self._s3.exceptions.NoSuchKey:
                return None
            served_at = _http_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date"))
            age = (served_at - answer["LastModified"]).total_seconds() if served_at else 0.0
            marker = msgspec.json.decode(answer["Body"].read(), type=Marker)
            return StoredMarker(marker, max(age, 0.0), answer["ETag"])

    def write_marker(self, marker: Marker, condition: Mapping[str, str] | None = None) -> str | None:
        """Replaces the progress marker and returns its ETag; None where the condition is not met."""
        key = self._key(marker.run_id, "progress.json")
        return self.put(key, msgspec.json.encode(marker), condition)

    def result(self, run_id: str) -> RunResult | None:
        """How the run ended, None while it is unfinished."""
        data = self.get(self._key(run_id, "result.json"))
        return None if data is None else msgspec.json.decode(data, type=RunResult)

    def write_result(self, result: RunResult) -> bool:
        """Marks the run as finished; false where somebody else has done so."""
        data = msgspec.json.format(msgspec.json.encode(result), indent=2)
        return self.add(self._key(result.run_id, "result.json"), data)

    def with_count(self, manifest: Manifest) -> Manifest:
        """The manifest of a synthetic run with its count, as far as it is known: of a run without a known
        count, until that has ended, the records up to which all are acknowledged."""
        if manifest.source != "generated" or manifest.count is not None:
            return manifest
        result = self.result(manifest.run_id)
        stored = None if result else self.marker(manifest.run_id)
        count = result.count if result else stored.marker.next_index if stored else 0
        return msgspec.structs.replace(manifest, count=count)

    def buckets(self, run_id: str) -> dict[str, Checksum] | None:
        """The checksums of a finished run's input; None where there are none that this version can use."""
        data = self.get(self._key(run_id, "buckets.json"))
        return None if data is None else decode_sums(data)

    def write_buckets(self, run_id: str, sums: BucketSums) -> None:
        """Keeps the checksums of a run's whole input."""
        self.put(self._key(run_id, "buckets.json"), sums.encoded())

    def part_key(self, run_id: str, part: int) -> str:
        """The key of a part of the spooled input."""
        return self._key(run_id, f"input/{part:06d}.jsonl")

    def part_keys(self, run_id: str) -> list[str]:
        """The keys of all parts, in order."""
        with self._reading("list the spooled input in"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(run_id, "input/")
            )
            return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def put(self, key: str, data: bytes, condition: Mapping[str, str] | None = None) -> str | None:
        """Writes an object and returns its ETag; None where a condition (IfMatch, IfNoneMatch) is not met."""
        with self._reading("write to"):
            try:
                answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=data, **(condition or {}))
            except self._s3.exceptions.ClientError as error:
                # Where IfMatch finds no object at all, S3 says so.
                if condition_not_met(error) or (condition and error_code(error) == "NoSuchKey"):
                    return None
                raise
        return str(answer["ETag"])

    def add(self, key: str, data: bytes) -> bool:
        """Writes an object that is not there yet; false where there is another one.

        One that is there already with this content is ours: a request whose answer is lost is repeated by the
        client.
        """
        for _ in range(TRIES):
            if self.put(key, data, NOTHING_THERE) is not None:
                return True
            found = self.get(key)
            if found is not None:
                return found == data
        raise self.refused(key)

    def refused(self, key: str) -> TxnpipeError:
        """Of a conditional write that S3 does not take although its condition is met."""
        return TxnpipeError(
            f"Could not write to the bucket {self.bucket}: it refused {key} {TRIES} times.",
            "Run the same command again in a minute; it continues where it stopped.",
            ExitCode.SERVICE,
        )

    def get(self, key: str) -> bytes | None:
        """Reads an object, None where there is none."""
        with self._reading("read from"):
            try:
                body: bytes = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except self._s3.exceptions.NoSuchKey:
                return None
            return body

    @staticmethod
    def _key(run_id: str, name: str) -> str:
        return f"{BucketKeys.RUNS}{run_id}/{name}"

    @contextmanager
    def _reading(self, action: str) -> Iterator[None]:
        from botocore.exceptions import ClientError

        with translated(action, f"the bucket {self.bucket}"):
            try:
                yield
            except ClientError as error:
                if error_code(error) == "NoSuchBucket":
                    raise TxnpipeError(
                        f"There is no pipeline here: the bucket {self.bucket} does not exist.",
                        "Run txnpipe setup, then the same command again.",
                        ExitCode.NOT_FOUND,
                    ) from error
                raise


def this_process() -> tuple[str, int, str]:
    """Host name, process id and start time of this process, so that others can tell whether it lives."""
    return socket.gethostname(), os.getpid(), _started(os.getpid())


def at_work(stored: StoredMarker) -> bool:
    """Whether the `send` that wrote a marker still works on the run."""
    marker = stored.marker
    if marker.host != socket.gethostname():
        return stored.age_s < ALIVE_FOR_S
    if marker.pid == os.getpid():
        return False
    try:
        os.kill(marker.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(marker.pid) == marker.pid_started


def _started(pid: int) -> str:
    """The start time of a process in the kernel's own unit; "" where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # A zombie is dead, only not buried.
    return "dead" if fields[0] in "ZX" else fields[19]


def _http_date(text: Any) -> datetime | None:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(text) if text else None
