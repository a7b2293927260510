"""The whole page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from txnpipe.proof.report.lists import differing, set_aside
from txnpipe.proof.report.markup import Markup, element, join
from txnpipe.proof.report.pictures import pictures
from txnpipe.proof.report.style import STYLE
from txnpipe.proof.report.tables import alert_table, facts, latency_table, row_table, tiles
from txnpipe.proof.timeline import Timeline
from txnpipe.proof.verify import Proof

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load and run for this page: its own style sheet, nothing else."""


@dataclass(frozen=True)
class Circumstances:
    """Where, when and by what the proof was made. made_at has a zone."""

    target: str
    account: str
    region: str
    version: str
    made_at: datetime


def page(proof: Proof, timeline: Timeline | None, circumstances: Circumstances) -> str:
    """One HTML document. timeline: None where nothing of the run is stored; then there are no charts."""
    run_id = proof.manifest.run_id
    verdict = "equal" if proof.equal else "different"
    title = f"{'✓' if proof.equal else '✗'} {run_id}: {verdict}"
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", None, title),
        element("style", None, Markup(STYLE)),
    )
    main = element(
        "main",
        None,
        element("h1", None, "Proof of the run ", element("code", None, run_id)),
        _verdict(proof),
        tiles(proof),
        differing(proof),
        row_table(proof),
        alert_table(proof),
        latency_table(proof),
        pictures(timeline) if timeline else None,
        set_aside(proof),
        facts(proof, timeline, circumstances.target, circumstances.account, circumstances.region),
        _footer(proof, circumstances),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, element("body", None, main)) + "\n"


def _verdict(proof: Proof) -> Markup:
    if proof.equal:
        words = "Every record sent is stored once and unchanged, with every alert that the rules ask for."
        return element(
            "div",
            {"class": "verdict good"},
            element("strong", None, "✓ Equal"),
            element("p", None, words),
        )
    return element(
        "div",
        {"class": "verdict bad"},
        element("strong", None, "✗ Different"),
        element("ul", None, *(element("li", None, each) for each in proof.differences)),
    )


def _footer(proof: Proof, circumstances: Circumstances) -> Markup:
    made_at = circumstances.made_at
    return element(
        "footer",
        None,
        element(
            "p",
            None,
            "Made by txnpipe ",
            circumstances.version,
            " on ",
            element(
                "time", {"datetime": made_at.isoformat(timespec="seconds")}, f"{made_at:%Y-%m-%d %H:%M:%S %Z}"
            ),
            f" in {proof.seconds:,.1f} s. ",
            "All times are UTC. Latency runs from a record's arrival in Kinesis to the loader's clock just "
            "before its commit.",
        ),
        element(
            "p",
            None,
            join(
                "To prove it again: ", element("code", None, f"txnpipe verify --run {proof.manifest.run_id}")
            ),
        ),
    )
