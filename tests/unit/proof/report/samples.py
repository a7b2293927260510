"""A proof and a timeline made by hand, with strangers' text wherever strangers can put it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from txnpipe.operate.rejects import Reject
from txnpipe.proof.alerts import Detection, RuleProof
from txnpipe.proof.latency import Latency
from txnpipe.proof.rejected import Planted, RejectProof
from txnpipe.proof.report.page import Circumstances
from txnpipe.proof.rows import Finding, RowProof
from txnpipe.proof.settling import Arrived, Settled
from txnpipe.proof.timeline import Bucket, ShardVolume, Spread, Timeline
from txnpipe.proof.verify import DeadLetterProof, Proof
from txnpipe.traffic.manifest import generated_run, input_run

NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)
START = datetime(2026, 11, 24, 5, 31, 13)
HOSTILE = '"><script src=//evil.example/x.js>alert(1)</script>'
"""51 bytes: as long as a transaction_id gets."""
ODD = "a\x00b\x1b[31m\udc80\u202eevil' onmouseover='x"

CIRCUMSTANCES = Circumstances("local", "000000000000", "eu-central-1", "0.1.0", NOW)


def equal_proof(count: int = 5000) -> Proof:
    """A run that arrived."""
    manifest = generated_run(
        run_id="20261124T053112-4f9a1c", pipeline="default", count=count, seed=1, now=NOW, rate=800.0
    )
    return Proof(
        manifest=manifest,
        finished=True,
        sent=count,
        invalid=0,
        settled=Settled("complete", 0.4, Arrived(count, 0, {}, True)),
        rows=RowProof(count, count),
        rules=(
            RuleProof("large_amount", 25, 25, detection=Detection(25, 25, 25, 25)),
            RuleProof("velocity", 12, 12, detection=Detection(10, 10, 12, 10)),
        ),
        rejects=RejectProof((), 0, 0, 0, {"too_deep": 3}, {"too_deep": Planted(3, 3)}),
        dead_letters=DeadLetterProof(0, 0, 0, (), ()),
        row_latency=Latency(count, 84.2, 131.9, 240.0, 312.4),
        alert_latency=Latency(37, 301.2, 410.9, 512.0, 512.4),
        seconds=0.812,
    )


def hostile_proof() -> Proof:
    """An input run of which much went wrong, under names that want to be more than text."""
    ids = [HOSTILE, ODD, *(f"id-{n}" for n in range(998))]
    manifest = input_run(
        run_id="20261124T053112-4f9a1c", pipeline="default", input_name=f"{HOSTILE}.csv", now=NOW
    )
    reject = Reject("s", HOSTILE, ODD, "id_reused", HOSTILE, 3, "ab", b"{}", START, START)
    return replace(
        equal_proof(),
        manifest=manifest,
        finished=False,
        invalid=3,
        rows=RowProof(
            5000,
            4000,
            missing=Finding(1234, ids),
            extra=Finding(2, [HOSTILE, ODD]),
            duplicate=Finding(1, [HOSTILE]),
            changed=Finding(1, [HOSTILE]),
            elsewhere=Finding(4, ["x"]),
            repeats=2,
            fields={HOSTILE: ("amount", "merchant")},
        ),
        rules=(
            RuleProof(HOSTILE, 2, 3, missing=Finding(1, [f"r:{HOSTILE}"]), extra=Finding(2, [f"r:{ODD}"])),
        ),
        rejects=RejectProof((reject,) * 150, 1500, 1, 7, {"id_reused": 150, HOSTILE: 7}),
        dead_letters=DeadLetterProof(30, 900, 2, (HOSTILE,), (f"dead/{HOSTILE}",)),
        alert_latency=None,
        order_dependent=frozenset({"velocity"}),
        differences=("1,234 missing rows", f"1 missing {HOSTILE} alert"),
    )


def sample_timeline(buckets: int = 60, shards: int = 4, *, shard: str = "shardId-{:012d}") -> Timeline:
    """Every fifth bucket empty, a slow one among the fast."""
    made = [
        Bucket(
            start_s=n * 0.5,
            arrived=0 if n % 5 == 4 else 300 + 37 * (n % 7),
            stored=280 + 41 * (n % 6),
            rows=None if n % 5 == 4 else Spread(60.0 + n % 9, 110.0 + n % 13, 4000.0 if n == 12 else 190.0),
            alerts=Spread(300.0 + n, 380.0 + n, 400.0 + 2 * n) if n % 3 == 0 else None,
        )
        for n in range(buckets)
    ]
    end = START + timedelta(seconds=buckets * 0.5 - 0.2)
    volumes = tuple(ShardVolume(shard.format(n), 5000 // (n + 1)) for n in range(shards))
    return Timeline(
        start=START,
        first_arrived=START,
        last_arrived=end - timedelta(milliseconds=90),
        last_stored=end,
        rows=sum(volume.rows for volume in volumes),
        width_s=0.5,
        buckets=tuple(made),
        shards=volumes,
        shard_count=shards,
    )
