"""`txnpipe verify --report`: where the page goes, and what it is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from txnpipe.cli.frame import Invocation

if TYPE_CHECKING:
    from txnpipe.proof.sources import Sources
    from txnpipe.proof.verify import Proof


def place_for(run: Invocation, report: Path) -> Path:
    """The file to write, tried before anything is asked. Raises TxnpipeError."""
    from txnpipe.proof.report.writing import checked_place

    return checked_place(run.environment.directory / report)


def write_page(run: Invocation, sources: Sources, proof: Proof, place: Path) -> None:
    """Asks the warehouse how the run went over time, and writes the page."""
    from txnpipe import __version__
    from txnpipe.proof.report.page import Circumstances, page
    from txnpipe.proof.report.writing import write_report
    from txnpipe.proof.timeline import timeline

    with run.out.status("Drawing the report …"):
        circumstances = Circumstances(
            target=run.target.name,
            account=run.target.account,
            region=run.target.region,
            version=__version__,
            made_at=datetime.now(UTC),
        )
        run_id = proof.manifest.run_id
        write_report(place, page(proof, timeline(sources.warehouse, run_id), circumstances))
