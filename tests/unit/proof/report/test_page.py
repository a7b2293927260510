"""The page: whole, safe, readable without a script, and true to the proof."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from tests.unit.proof.report.reading import Document, pictures, read
from tests.unit.proof.report.samples import (
    CIRCUMSTANCES,
    HOSTILE,
    equal_proof,
    hostile_proof,
    sample_timeline,
)
from txnpipe.proof.alerts import RuleProof
from txnpipe.proof.rejected import Planted, RejectProof
from txnpipe.proof.report.lists import SHOWN
from txnpipe.proof.report.page import POLICY, page
from txnpipe.proof.report.style import DARK, LIGHT, STYLE
from txnpipe.proof.rows import Finding
from txnpipe.proof.timeline import Timeline
from txnpipe.proof.verify import Proof

SVG = "{http://www.w3.org/2000/svg}"
PAGES: dict[str, tuple[Proof, Timeline | None]] = {
    "equal": (equal_proof(), sample_timeline()),
    "hostile": (hostile_proof(), sample_timeline(120, 30, shard=HOSTILE + "{}")),
    "one moment": (equal_proof(1), sample_timeline(1, 1)),
    "nothing stored": (hostile_proof(), None),
}


@pytest.fixture(params=PAGES)
def written(request: pytest.FixtureRequest) -> str:
    proof, timeline = PAGES[request.param]
    return page(proof, timeline, CIRCUMSTANCES)


def words(document: Document) -> str:
    return " ".join(tag.text for tag in document.tags)


def test_it_is_one_whole_document(written: str) -> None:
    document = read(written)
    assert document.declaration.lower() == "doctype html"
    for name in ("html", "head", "title", "body", "main", "h1", "style"):
        assert len([t for t in document.named(name) if name != "title" or "id" not in t.attributes]) == 1
    assert document.named("html")[0].attributes["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        tag.attributes for tag in document.named("meta")
    ]
    ids = [tag.attributes["id"] for tag in document.tags if "id" in tag.attributes]
    assert len(ids) == len(set(ids))
    written.encode()


def test_nothing_is_fetched_and_nothing_runs(written: str) -> None:
    document = read(written)
    allowed = {"svg", "title", "desc", "text", "line", "rect", "circle", "polyline", "html", "head", "meta"}
    allowed |= {
        "style",
        "body",
        "main",
        "section",
        "div",
        "figure",
        "figcaption",
        "footer",
        "time",
        "details",
    }
    allowed |= {"summary", "h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "b", "strong", "code"}
    allowed |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert {tag.name for tag in document.tags} <= allowed
    attributes = {name for tag in document.tags for name in tag.attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "href", "xlink:href", "style", "action", "srcset", "background"}
    assert not re.search(r"url\(|@import|expression", STYLE)
    policy = [tag for tag in document.named("meta") if tag.attributes.get("content") == POLICY]
    assert policy[0].attributes["http-equiv"] == "Content-Security-Policy"
    assert POLICY.startswith("default-src 'none'")


def test_what_strangers_wrote_stays_text() -> None:
    written = page(*PAGES["hostile"], CIRCUMSTANCES)
    assert "<script" not in written
    document = read(written)
    said = [tag.text for tag in document.tags]
    assert HOSTILE in said
    assert any(HOSTILE in text and text.endswith(".csv") for text in said)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\u202a-\u202e]", written)
    assert r"a\x00b\x1b[31m\udc80\u202eevil' onmouseover='x" in said


def test_every_chart_says_what_it_shows_and_has_its_numbers_as_a_table(written: str) -> None:
    document = read(written)
    drawn = pictures(written)
    assert len(drawn) == len(document.named("figure")) == len(document.named("details"))
    for svg in drawn:
        assert svg.get("role") == "img"
        title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert title is not None
        assert description is not None
        assert (svg.get("aria-labelledby") or "").split() == [title.get("id"), description.get("id")]
        assert title.text
        assert description.text


def test_everything_drawn_lies_inside_its_chart(written: str) -> None:
    for svg in pictures(written):
        _, _, width, height = map(float, (svg.get("viewBox") or "").split())
        for shape in svg.iter():
            xs = [float(shape.get(name) or 0) for name in ("x", "x1", "x2", "cx")]
            ys = [float(shape.get(name) or 0) for name in ("y", "y1", "y2", "cy")]
            for point in (shape.get("points") or "").split():
                x, y = point.split(",")
                xs.append(float(x))
                ys.append(float(y))
            assert 0 <= min(xs) <= max(xs) <= width
            assert 0 <= min(ys) <= max(ys) <= height


def test_a_run_that_arrived_says_equal_and_names_nothing() -> None:
    document = read(page(equal_proof(), sample_timeline(), CIRCUMSTANCES))
    said = words(document)
    assert "✓ Equal" in said
    assert "What differs" not in said
    for fact in (
        "20261124T053112-4f9a1c",
        "local",
        "000000000000",
        "eu-central-1",
        "large_amount 0.005",
        "800.0",
    ):
        assert fact in said
    assert [tag.text for tag in document.named("td")][:2] == ["5,000", "5,000"]
    for number in ("84.2", "131.9", "240.0", "312.4", "301.2", "100%", "83.3%"):
        assert number in [tag.text for tag in document.named("td")]
    assert not [tag for tag in document.tags if "bad" in tag.attributes.get("class", "").split()]


def test_a_run_that_differs_says_how_names_some_and_counts_all() -> None:
    document = read(page(*PAGES["hostile"], CIRCUMSTANCES))
    said = words(document)
    assert "✗ Different" in said
    assert "1,234 missing rows" in said
    assert "Missing rows: 1,234" in said
    assert f"The first {SHOWN} of 1,234 are named." in said
    assert "id-97" in said
    assert "id-98 " not in said
    assert " (amount, merchant)" in said
    assert "Rejected records of this run, 100 of 1,500" in said
    bad = [tag.text for tag in document.named("td") if "bad" in tag.attributes.get("class", "").split()]
    assert bad == ["1,234", "2", "1", "1", "1", "2"]


def test_without_rows_there_are_no_charts() -> None:
    proof, timeline = PAGES["nothing stored"]
    assert timeline is None
    assert pictures(page(proof, timeline, CIRCUMSTANCES)) == []


def test_all_shards_are_in_the_table_and_the_fullest_are_drawn() -> None:
    timeline = sample_timeline(10, 30)
    written = page(equal_proof(), timeline, CIRCUMSTANCES)
    bars = [svg for svg in pictures(written) if "shards-title" in (svg.get("aria-labelledby") or "")]
    assert len(list(bars[0].iter(f"{SVG}rect"))) == 24
    rows = [tag.text for tag in read(written).named("th")]
    assert {volume.shard_id for volume in timeline.shards} <= set(rows)


def test_descriptions_say_what_is_drawn() -> None:
    def said(shards: int) -> str:
        return words(read(page(equal_proof(), sample_timeline(10, shards), CIRCUMSTANCES)))

    assert "One shard took all records of the run." in said(1)
    assert "2 shards took the run's records: the fullest 66.7% of them." in said(2)
    assert "Drawn are the 24 fullest; the table has all." in said(30)
    assert "7,500 stored rows: they arrived within" in said(2)
    assert "the worst is 514.0 ms" in words(read(page(equal_proof(), sample_timeline(), CIRCUMSTANCES)))


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "panel"])
def test_text_and_lines_stand_out_from_the_ground(colors: dict[str, str], ground: str) -> None:
    # WCAG 2.2: 4.5 for text (1.4.3), 3 for graphics (1.4.11); here text's for all.
    for name in ("text", "muted", "good", "bad", "first", "second", "third"):
        assert contrast(colors[name], colors[ground]) >= 4.5, name


def test_the_style_knows_phones_paper_and_the_dark() -> None:
    for query in ("(max-width:600px)", "@media print", "prefers-color-scheme:dark"):
        assert query in STYLE
    assert STYLE.count("{") == STYLE.count("}")
    used = set(re.findall(r"var\(--([a-z]+)\)", STYLE)) - {"tone"}
    assert used == set(LIGHT) == set(DARK)


@pytest.mark.parametrize(("buckets", "shards"), [*itertools.product((1, 2, 41, 120), (1, 200))])
def test_a_page_is_small_whatever_the_run(buckets: int, shards: int) -> None:
    written = page(hostile_proof(), sample_timeline(buckets, shards), CIRCUMSTANCES)
    assert len(written.encode()) < 400_000


def test_it_tells_planted_bad_records_by_reason_and_what_alerts_say_otherwise() -> None:
    changed = RuleProof(
        "velocity", 3, 3, changed=Finding(1, ["velocity:t-1"]), fields={"velocity:t-1": ("amount",)}
    )
    rejects = RejectProof((), 0, 0, 0, {"too_deep": 2}, {"too_deep": Planted(3, 2)})
    said = words(
        read(
            page(replace(equal_proof(), rules=(changed,), rejects=rejects), sample_timeline(), CIRCUMSTANCES)
        )
    )
    assert "2 of 3 were rejected for their reasons: too_deep 2 of 3." in said
    assert "Changed alerts of velocity: 1" in said
    assert "velocity:t-1" in said
    assert " (amount)" in said
