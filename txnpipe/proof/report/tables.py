"""The numbers of the page: tiles, the tables of rows, alerts and latency, and the facts of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from txnpipe.proof.alerts import RuleProof, percent
from txnpipe.proof.report.charts import scrolling
from txnpipe.proof.report.markup import Markup, element, join
from txnpipe.proof.timeline import Timeline
from txnpipe.proof.verify import Proof

_TOLD_APART = frozenset({"run_id", "pipeline", "source", "created_at", "stream", "shards", "version"})
"""Fields of the manifest with a line of their own, or of no interest to a reader; all others are options."""
_OF_INPUT = frozenset({"input_name", "input_format", "rate"})
_DIFFERENCES = frozenset({"missing", "extra", "duplicate", "changed"})
_SETTLED = {
    "complete": "everything was there",
    "final": "waiting longer could not help",
    "quiet": "nothing changed any more",
    "timeout": "the time-out was reached",
}


def tiles(proof: Proof) -> Markup:
    """The four numbers to see first."""
    rows, rules = proof.rows, proof.rules
    alerts = sum(rule.stored for rule in rules), sum(rule.expected for rule in rules)
    twice = rows.duplicate.count + sum(rule.duplicate.count for rule in rules)
    latency = f"{proof.row_latency.p95_ms:,.0f} ms" if proof.row_latency else "–"
    return element(
        "ul",
        {"class": "tiles"},
        _tile(f"{rows.stored:,}", f"rows stored of {rows.expected:,} expected", rows.equal),
        _tile(
            f"{alerts[0]:,}", f"alerts stored of {alerts[1]:,} expected", all(rule.equal for rule in rules)
        ),
        _tile(f"{twice:,}", "duplicates", not twice),
        _tile(latency, "from event to row, p95", True),
    )


def row_table(proof: Proof) -> Markup:
    """Rows expected against stored, and what is worth knowing about them."""
    rows = proof.rows
    numbers = (
        rows.expected,
        rows.stored,
        rows.missing.count,
        rows.extra.count,
        rows.duplicate.count,
        rows.changed.count,
    )
    head = ("expected", "stored", "missing", "extra", "duplicate", "changed")
    notes = []
    if rows.repeats:
        notes.append(f"{rows.repeats:,} records repeat an id of the same input; each id is stored once.")
    if rows.elsewhere:
        notes.append(
            f"{rows.elsewhere.count:,} transactions were stored by an earlier run already, "
            "with equal content."
        )
    if proof.invalid:
        notes.append(f"{proof.invalid:,} lines of the input were no valid transactions and were not sent.")
    table = _table("Rows", ("", *head), [("transactions", *(f"{number:,}" for number in numbers))])
    return element(
        "section", None, element("h2", None, "Rows"), table, *(element("p", None, n) for n in notes)
    )


def alert_table(proof: Proof) -> Markup:
    """Alerts rule by rule; precision and recall where the run has labels."""
    labelled = any(rule.detection for rule in proof.rules)
    head = ["rule", "expected", "stored", "missing", "extra", "duplicate", "changed"]
    if labelled:
        head += ["planted", "found", "recall", "precision"]
    rows = [(rule.rule, *_rule_cells(rule, labelled)) for rule in proof.rules]
    notes = []
    if labelled:
        notes.append(
            "Recall: the share of the planted anomalies that raised an alert. Precision: the share of the "
            "alerts that fall on a planted anomaly; the others may be right all the same, by chance."
        )
    if proof.order_dependent:
        notes.append(
            f"What depends on an order that parallelism above 1 may change: "
            f"{', '.join(sorted(proof.order_dependent))}."
        )
    body = _table("Alerts", head, rows) if rows else element("p", None, "No rule is enabled.")
    return element(
        "section",
        None,
        element("h2", None, "Alerts"),
        body,
        *(element("p", {"class": "muted"}, note) for note in notes),
    )


def latency_table(proof: Proof) -> Markup:
    """Percentiles of both ways."""
    measured = [("event → row", proof.row_latency), ("event → alert", proof.alert_latency)]
    rows = [
        (
            name,
            *(f"{ms:,.1f}" for ms in (each.p50_ms, each.p95_ms, each.p99_ms, each.max_ms)),
            f"{each.rows:,}",
        )
        for name, each in measured
        if each is not None
    ]
    head = ("milliseconds", "p50", "p95", "p99", "max", "records")
    body = _table("Latency in milliseconds", head, rows) if rows else element("p", None, "Nothing is stored.")
    return element("section", None, element("h2", None, "Latency"), body)


def facts(proof: Proof, timeline: Timeline | None, target: str, account: str, region: str) -> Markup:
    """What was proven, where, and with which options."""
    manifest = proof.manifest
    pairs: list[tuple[str, object]] = [
        ("run", element("code", None, manifest.run_id)),
        ("pipeline", manifest.pipeline),
        ("target", target),
        ("account", account),
        ("region", region),
        ("stream", manifest.stream or "–"),
        ("shards at the start", f"{len(manifest.shards):,}" if manifest.shards else "–"),
        ("source", manifest.source),
        *((name.replace("_", " "), value) for name, value in _options(proof)),
        ("begun", _moment(manifest.created_at)),
    ]
    if timeline:
        pairs += [
            ("first record arrived", _moment(timeline.first_arrived)),
            ("last record arrived", _moment(timeline.last_arrived)),
            ("last row stored", _moment(timeline.last_stored)),
        ]
    pairs += [
        ("records acknowledged", f"{proof.sent:,}"),
        ("sending", "finished" if proof.finished else "unfinished"),
        ("waited", f"{proof.settled.waited_s:,.1f} s, until {_SETTLED[proof.settled.reason]}"),
    ]
    items = (join(element("dt", None, name), element("dd", None, value)) for name, value in pairs)
    return element("section", None, element("h2", None, "The run"), element("dl", None, *items))


def _options(proof: Proof) -> Iterator[tuple[str, str]]:
    """Whatever else the manifest says, so that an option which is added to it later is here, too.

    An input run has few options: the others are the generator's.
    """
    read = proof.manifest.source == "input"
    for name, value in msgspec.structs.asdict(proof.manifest).items():
        if name not in _TOLD_APART and value is not None and (not read or name in _OF_INPUT):
            yield name, _written(value)


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_written(each)}" for key, each in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_written, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _moment(when: datetime) -> str:
    """To the second, UTC; one without a zone is UTC already."""
    return f"{when.astimezone(UTC) if when.tzinfo else when:%Y-%m-%d %H:%M:%S} UTC"


def _tile(number: str, what: str, good: bool) -> Markup:
    return element("li", {"class": None if good else "bad"}, element("b", None, number), what)


def _rule_cells(rule: RuleProof, labelled: bool) -> list[str]:
    findings = rule.missing, rule.extra, rule.duplicate, rule.changed
    counts = (rule.expected, rule.stored, *(finding.count for finding in findings))
    cells = [f"{count:,}" for count in counts]
    if labelled:
        d = rule.detection
        cells += (
            ("–",) * 4
            if d is None
            else (f"{d.planted:,}", f"{d.found:,}", percent(d.recall), percent(d.precision))
        )
    return cells


def _table(label: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table of numbers but for the first column. What tells of a difference stands out where it is not 0.

    On a phone each row becomes a card, its cells with their names; the roles keep it a table all the same.
    """
    heads = (
        element("th", {"scope": "col", "role": "columnheader", "class": "number" if n else None}, name)
        for n, name in enumerate(head)
    )
    table = element(
        "table",
        {"class": "cards", "role": "table", "aria-label": label},
        element("thead", {"role": "rowgroup"}, element("tr", {"role": "row"}, *heads)),
        element("tbody", {"role": "rowgroup"}, *(_row(head, row) for row in rows)),
    )
    return scrolling(label, table)


def _row(head: Sequence[str], row: Sequence[str]) -> Markup:
    cells = (
        element(
            "td",
            {
                "role": "cell",
                "class": "number bad" if name in _DIFFERENCES and value != "0" else "number",
                "data-name": name,
            },
            value,
        )
        for name, value in zip(head[1:], row[1:], strict=True)
    )
    return element(
        "tr", {"role": "row"}, element("th", {"scope": "row", "role": "rowheader"}, row[0]), *cells
    )
