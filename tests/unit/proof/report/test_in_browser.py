"""The page in a real browser, where there is one: nothing is too wide, nothing is fetched, nothing runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.proof.report.samples import (
    CIRCUMSTANCES,
    HOSTILE,
    equal_proof,
    hostile_proof,
    sample_timeline,
)
from txnpipe.proof.report.page import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = (
    "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# The page allows no script, so it is the frame around it that measures; same origin only by srcdoc.
FRAME = """<!doctype html><body>
<iframe id="f" style="width:%dpx;height:900px;border:0"></iframe><pre id="o"></pre><script>
const f = document.getElementById("f");
f.onload = () => {
  const d = f.contentDocument, w = d.documentElement.clientWidth;
  const wide = [...d.querySelectorAll("main > *, .charts > *, svg.chart, .tiles > *")]
    .filter(e => e.getBoundingClientRect().right > w + 0.5).map(e => e.className || e.tagName);
  document.getElementById("o").textContent = "<<" + JSON.stringify({
    width: w, scroll: d.documentElement.scrollWidth, wide,
    scripts: d.scripts.length, charts: d.querySelectorAll("svg.chart").length,
    font: Math.min(...[...d.querySelectorAll("svg.chart text")].map(e => e.getBoundingClientRect().height)),
    fetched: f.contentWindow.performance.getEntriesByType("resource").length,
  }) + ">>";
};
f.srcdoc = %s;
</script>"""


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("kind", ["equal", "hostile"])
def test_it_fits_fetches_nothing_and_runs_nothing(tmp_path: Path, width: int, kind: str) -> None:
    written = (
        page(equal_proof(), sample_timeline(), CIRCUMSTANCES)
        if kind == "equal"
        else page(hostile_proof(), sample_timeline(120, 30, shard=HOSTILE + "{}"), CIRCUMSTANCES)
    )
    text = json.dumps(written).replace("</", "<\\/")
    (tmp_path / "frame.html").write_text(FRAME % (width, text), encoding="utf-8")
    assert CHROMIUM is not None
    result = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--dump-dom",
         (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r"&lt;&lt;(\{.*?\})&gt;&gt;", result.stdout)
    assert found is not None, result.stderr[-2000:]
    seen = json.loads(found[1])
    assert (seen["width"], seen["scroll"], seen["wide"]) == (width, width, [])
    assert (seen["scripts"], seen["fetched"], seen["charts"]) == (0, 0, 4)
    assert seen["font"] >= 10
