"""A proof as the JSON document of `txnpipe verify --json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from txnpipe.proof.latency import Latency
    from txnpipe.proof.rows import Finding
    from txnpipe.proof.verify import Proof
    from txnpipe.traffic.history import PastRun

JSON_IDS = 1000


def proof_document(proof: Proof) -> dict[str, Any]:
    """A proof as JSON. Of each kind of difference at most JSON_IDS ids are named; all are counted."""
    rows = proof.rows
    return {
        "run_id": proof.manifest.run_id,
        "equal": proof.equal,
        "differences": list(proof.differences),
        "finished": proof.finished,
        "sent": proof.sent,
        "invalid": proof.invalid,
        "settled": proof.settled.reason,
        "waited_seconds": round(proof.settled.waited_s, 3),
        "seconds": round(proof.seconds, 3),
        "rows": {
            "expected": rows.expected,
            "stored": rows.stored,
            "missing": _finding(rows.missing),
            "extra": _finding(rows.extra),
            "duplicate": _finding(rows.duplicate),
            "changed": _finding(rows.changed),
            "changed_fields": {key: list(fields) for key, fields in rows.fields.items()},
            "repeats": rows.repeats,
            "stored_by_earlier_runs": _finding(rows.elsewhere),
        },
        "alerts": {
            rule.rule: {
                "expected": rule.expected,
                "stored": rule.stored,
                "missing": _finding(rule.missing),
                "extra": _finding(rule.extra),
                "duplicate": _finding(rule.duplicate),
                "changed": _finding(rule.changed),
                "changed_fields": {key: list(fields) for key, fields in rule.fields.items()},
                "planted": rule.detection.planted if rule.detection else None,
                "found": rule.detection.found if rule.detection else None,
                "recall": rule.detection.recall if rule.detection else None,
                "precision": rule.detection.precision if rule.detection else None,
            }
            for rule in proof.rules
        },
        "rejects": {
            "own": proof.rejects.own_count,
            "explained": proof.rejects.explained,
            "others": proof.rejects.others,
            "planted": proof.rejects.planted_count,
            "planted_missing": proof.rejects.planted_missing,
            "planted_by_reason": {
                reason: {"sent": each.sent, "rejected": each.rejected}
                for reason, each in proof.rejects.planted.items()
            },
            "by_reason": proof.rejects.by_reason,
            "records": [
                {
                    "shard_id": reject.shard_id,
                    "sequence_number": reject.sequence_number,
                    "reason": reject.reason,
                    "detail": reject.detail,
                }
                for reject in proof.rejects.own[:100]
            ],
        },
        "dead_letters": {
            "batches": proof.dead_letters.batches,
            "records": proof.dead_letters.records,
            "own": proof.dead_letters.own,
            "conditions": list(proof.dead_letters.conditions),
            "keys": list(proof.dead_letters.keys),
            "own_keys": list(proof.dead_letters.own_keys),
        },
        "latency_ms": {
            "event_to_row": _latency(proof.row_latency),
            "event_to_alert": _latency(proof.alert_latency),
        },
    }


def run_document(past: PastRun, proof: Proof | None) -> dict[str, Any]:
    """One of several runs: its state, and its proof, if there is one. equal: None where it is not judged,
    which is only while a send is at work on it."""
    from txnpipe.traffic.history import SENDING

    if proof is not None:
        return {"state": past.state, **proof_document(proof)}
    return {
        "state": past.state,
        "run_id": past.run_id,
        "equal": None if past.state == SENDING else False,
        "differences": [past.problem] if past.problem else [],
        "sent": past.acknowledged,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"count": finding.count, "ids": finding.ids[:JSON_IDS]}


def _latency(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    return {
        "rows": latency.rows,
        "p50": latency.p50_ms,
        "p95": latency.p95_ms,
        "p99": latency.p99_ms,
        "max": latency.max_ms,
    }
