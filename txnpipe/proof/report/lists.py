"""What differs, by name, and what was set aside. A list names SHOWN at most, and says how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from txnpipe.proof.report.charts import scrolling
from txnpipe.proof.report.markup import Markup, element, join
from txnpipe.proof.rows import Finding
from txnpipe.proof.verify import Proof

SHOWN = 100


def differing(proof: Proof) -> Markup | None:
    """Every kind of difference that has names; None where there is none."""
    lists = [_names(label, finding, proof) for label, finding in _findings(proof) if finding]
    if not lists:
        return None
    return element("section", {"class": "long"}, element("h2", None, "What differs"), *lists)


def set_aside(proof: Proof) -> Markup:
    """Rejects and dead letters since the run began."""
    rejects, letters = proof.rejects, proof.dead_letters
    parts = []
    if rejects.own_count or rejects.others:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejects.by_reason.items())
        parts.append(
            element(
                "p",
                None,
                f"Rejected records: {rejects.own_count:,} of this run, {rejects.explained:,} of them "
                f"explained by a stored row that says the same; {rejects.others:,} of other origin. "
                f"By reason: {reasons}.",
            )
        )
    if rejects.own:
        parts.append(_rejects(proof))
    if rejects.planted:
        right = rejects.planted_count - rejects.planted_missing
        reasons = ", ".join(
            f"{reason} {each.rejected:,} of {each.sent:,}" for reason, each in rejects.planted.items()
        )
        parts.append(
            element(
                "p",
                None,
                f"Bad records that were sent on purpose: {right:,} of {rejects.planted_count:,} were "
                f"rejected for their reasons: {reasons}.",
            )
        )
    if letters.batches:
        parts.append(
            element(
                "p",
                None,
                f"Failed batches: {letters.batches:,} with {letters.records:,} records, {letters.own:,} of "
                f"them with records of this run. Why: {', '.join(letters.conditions)}.",
            )
        )
        parts.append(_ids(letters.keys, letters.batches))
    if not parts:
        parts.append(element("p", None, "No record was rejected, and no batch failed, since the run began."))
    return element("section", {"class": "long"}, element("h2", None, "Rejects and dead letters"), *parts)


def _findings(proof: Proof) -> Iterator[tuple[str, Finding]]:
    rows = proof.rows
    yield "Missing rows", rows.missing
    yield "Extra rows", rows.extra
    yield "Duplicate rows", rows.duplicate
    yield "Changed rows", rows.changed
    for rule in proof.rules:
        yield f"Missing alerts of {rule.rule}", rule.missing
        yield f"Extra alerts of {rule.rule}", rule.extra
        yield f"Duplicate alerts of {rule.rule}", rule.duplicate
        yield f"Changed alerts of {rule.rule}", rule.changed


def _names(label: str, finding: Finding, proof: Proof) -> Markup:
    changed = [
        (proof.rows.changed, proof.rows.fields),
        *((rule.changed, rule.fields) for rule in proof.rules),
    ]
    fields = next((named for each, named in changed if each is finding), {})
    return join(
        element("h3", None, f"{label}: {finding.count:,}"),
        _ids(finding.ids, finding.count, {key: ", ".join(names) for key, names in fields.items()}),
    )


def _ids(ids: Sequence[str], count: int, notes: dict[str, str] | None = None) -> Markup:
    """count: how many there are in all; an id that is stored three times counts as two duplicates."""
    items = [
        element(
            "li",
            None,
            element("code", None, each),
            f" ({notes[each]})" if notes and notes.get(each) else None,
        )
        for each in ids[:SHOWN]
    ]
    cut = None
    if len(ids) > SHOWN:
        cut = element("p", {"class": "muted"}, f"The first {SHOWN} of {count:,} are named.")
    return join(element("ul", {"class": "ids"}, *items), cut)


def _rejects(proof: Proof) -> Markup:
    own = proof.rejects.own
    head = element(
        "tr",
        None,
        *(element("th", {"scope": "col"}, name) for name in ("reason", "detail", "shard", "sequence number")),
    )
    body = (
        element(
            "tr",
            None,
            element("th", {"scope": "row"}, each.reason),
            element("td", None, each.detail),
            element("td", None, element("code", None, each.shard_id)),
            element("td", None, element("code", None, each.sequence_number)),
        )
        for each in own[:SHOWN]
    )
    label = "Rejected records of this run"
    caption = f"{label}, {SHOWN} of {proof.rejects.own_count:,}" if len(own) > SHOWN else label
    table = element(
        "table",
        None,
        element("caption", None, caption),
        element("thead", None, head),
        element("tbody", None, *body),
    )
    return scrolling(label, table)
