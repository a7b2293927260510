"""The lock that keeps two setups apart: an object in the pipeline's bucket.

It is written by a conditional request (only if there is none, or only if it still is the one we saw), so two
can never both get it. It holds a lease that a thread renews; whoever was killed stops renewing, and after the
lease anybody takes the lock over. A setup that was killed on this very machine is recognized by its process
and taken over at once, so that the same command can follow immediately.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from txnpipe.aws import condition_not_met, error_code, translated
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import BucketKeys

_log = logging.getLogger(__name__)

LEASE_S = 60.0
"""How long a lock outlives its last renewal."""
RENEWALS_PER_LEASE = 4
_ABSENT = {"NoSuchKey", "404", "NoSuchBucket"}


@dataclass(frozen=True)
class Holder:
    """Who holds the lock. Times are seconds since the epoch, by the holder's clock."""

    host: str
    pid: int
    process_started: str
    token: str
    command: str
    since: float
    expires: float


def this_process(command: str, now: float, lease_s: float = LEASE_S) -> Holder:
    """A holder for the calling process."""
    pid = os.getpid()
    return Holder(_host(), pid, process_start(pid) or "", secrets.token_hex(8), command, now, now + lease_s)


def process_start(pid: int) -> str | None:
    """Something that tells this process from a later one with the same id, or None if it does not run.

    Where the system does not tell (no /proc), "" stands for any process.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {"Z", "X"} else fields[19]  # zombie or dead; start time in ticks
    if os.name != "posix":
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""


def _host() -> str:
    """The machine, and where processes are counted apart (containers), the place they are counted in."""
    namespace = Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()}/{namespace.stat().st_ino}"
    except OSError:
        return socket.gethostname()


class SetupLock:
    """Holds the lock while used as a context manager."""

    def __init__(
        self,
        s3: Any,
        bucket: str,
        command: str,
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = LEASE_S,
        alive: Callable[[int], str | None] = process_start,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._command = command
        self._clock = clock
        self._lease_s = lease_s
        self._alive = alive
        self._etag: str | None = None
        self._mine: Holder | None = None
        self._released = threading.Event()
        self._lost: TxnpipeError | None = None
        self._mutex = threading.Lock()
        """Held while the lease is extended."""
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Raises CONFLICT if somebody holds the lock now. Only reads."""
        with translated("look at the setup lock in", self._bucket):
            found = self._read()
        if found and not self._is_stale(found[0]):
            raise self._conflict(found[0])

    def assert_held(self) -> None:
        """Raises CONFLICT once somebody else has taken the lock over.

        A lease that has run out (the machine slept, S3 did not answer) is renewed first, or found lost.
        """
        if self._lost:
            raise self._lost
        with self._mutex:
            if self._mine and self._mine.expires <= self._clock():
                with translated("renew the setup lock in", self._bucket):
                    self._renew()

    def __enter__(self) -> Self:
        self.acquire()
        self._thread = threading.Thread(target=self._renew_for_ever, name="lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        if self._thread:
            self._thread.join(timeout=5)
        try:
            self.release()
        except Exception as failure:  # noqa: BLE001 - must not hide how the work itself ended; the lease ends it
            _log.warning("could not give the setup lock back: %s", failure)

    def acquire(self) -> None:
        """Takes the lock, or takes over a stale one. Raises CONFLICT that says who holds it."""
        with translated("take the setup lock in", self._bucket):
            found = self._read()
            if found and not self._is_stale(found[0]):
                raise self._conflict(found[0])
            self._mine = this_process(self._command, self._clock(), self._lease_s)
            condition = {"IfMatch": found[1]} if found else {"IfNoneMatch": "*"}
            if not self._write(condition):
                self._adopt()

    def renew(self) -> None:
        """Extends the lease. Raises CONFLICT if the lock is no longer ours."""
        with self._mutex:
            self._renew()

    def _renew(self) -> None:
        if self._mine is None or self._etag is None:
            return
        before = self._mine
        self._mine = replace(before, expires=self._clock() + self._lease_s)
        try:
            if not self._write({"IfMatch": self._etag}):
                self._adopt()
        except BaseException:
            self._mine = before
            raise

    def _adopt(self) -> None:
        """After a write whose condition was not met. The one that met it may have been our own: a request
        whose answer is lost is repeated by the client."""
        found = self._read()
        if found is None or self._mine is None or found[0].token != self._mine.token:
            raise self._conflict(found[0] if found else None)
        self._etag = found[1]

    def release(self) -> None:
        """Gives the lock back, if it is still ours. A bucket that is gone took it along."""
        found = self._read()
        if self._mine and found and found[0].token == self._mine.token:
            try:
                self._s3.delete_object(Bucket=self._bucket, Key=BucketKeys.LOCK, IfMatch=found[1])
            except self._s3.exceptions.ClientError as error:
                if not (condition_not_met(error) or error_code(error) in _ABSENT):
                    raise
        self._mine = None

    def _renew_for_ever(self) -> None:
        while not self._released.wait(self._lease_s / RENEWALS_PER_LEASE):
            try:
                self.renew()
            except TxnpipeError as error:
                self._lost = error
                return
            except Exception as error:  # noqa: BLE001 - a renewal may fail now and then: the lease bridges it
                _log.warning("could not renew the setup lock: %s", error)

    def _read(self) -> tuple[Holder, str] | None:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=BucketKeys.LOCK)
        except self._s3.exceptions.ClientError as error:
            if error_code(error) in _ABSENT:
                return None
            raise
        content = json.loads(answer["Body"].read())
        return Holder(**content), answer["ETag"]

    def _write(self, condition: dict[str, str]) -> bool:
        """Writes the lock under a condition; false if it is not met."""
        if self._mine is None:
            return False
        body = json.dumps(asdict(self._mine)).encode()
        try:
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=BucketKeys.LOCK,
                Body=body,
                ContentType="application/json",
                **condition,
            )
        except self._s3.exceptions.ClientError as error:
            if condition_not_met(error) or error_code(error) in _ABSENT:
                return False
            raise
        self._etag = answer["ETag"]
        return True

    def _is_stale(self, holder: Holder) -> bool:
        if holder.expires <= self._clock():
            return True
        if holder.host != _host():
            return False
        return self._alive(holder.pid) != holder.process_started

    def _conflict(self, holder: Holder | None) -> TxnpipeError:
        if holder is None:
            cause = f"Somebody else took the setup lock of {self._bucket} at the same moment."
        else:
            age = max(0.0, self._clock() - holder.since)
            host = holder.host.split("/")[0]
            cause = (
                f"txnpipe {holder.command} is running already: process {holder.pid} on {host}, "
                f"since {age:.0f} s."
            )
        return TxnpipeError(
            cause,
            "Wait until it has ended; "
            f"after {self._lease_s:.0f} s without a sign of life its lock is taken over.",
            ExitCode.CONFLICT,
        )
