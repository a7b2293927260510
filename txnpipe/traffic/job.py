"""What one `send` works on: a run, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from txnpipe.traffic.claims import Claim
from txnpipe.traffic.manifest import Manifest, OnError
from txnpipe.traffic.rates import Rate
from txnpipe.traffic.runs import Marker


@dataclass(frozen=True)
class Job:
    """A run to send, and how far an earlier attempt got (None: there was none).

    rate, on_error: of this attempt; they are no part of what the run is. stored: whether the manifest is in
    the bucket; that of an input run is written with its first record. claim: of this process on a run that is
    in the bucket.
    """

    manifest: Manifest
    earlier: Marker | None
    rate: Rate | None = None
    on_error: OnError = "skip"
    stored: bool = True
    claim: Claim | None = None

    @property
    def start(self) -> int:
        """The first index that is not known to be acknowledged."""
        return self.earlier.next_index if self.earlier else 0

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left of the manifest's duration; time between attempts does not count."""
        if self.manifest.duration_s is None:
            return None
        return max(self.manifest.duration_s - (self.earlier.sending_s if self.earlier else 0.0), 0.0)
