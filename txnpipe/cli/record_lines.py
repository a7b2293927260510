"""Records as lines: on stdout, or in the file that --output names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from txnpipe.cli.frame import Invocation
from txnpipe.errors import ExitCode, TxnpipeError


def write_lines(run: Invocation, payloads: Iterable[bytes], output: Path | None) -> None:
    """Writes one payload a line; stops where whoever reads stdout is gone.

    Raises TxnpipeError (ENVIRONMENT) where the file cannot be written.
    """
    if output is None:
        for payload in payloads:
            # A record that is no UTF-8 is shown with a backslash sequence: stdout is text.
            run.out.raw(payload.decode(errors="backslashreplace"))
            if run.out.gone:
                return
        return
    try:
        with (run.environment.directory / output).open("wb") as file:
            file.writelines(payload + b"\n" for payload in payloads)
    except OSError as error:
        raise TxnpipeError(
            f"The records cannot be written to {output}: {error.strerror}.",
            "Choose another file with --output.",
            ExitCode.ENVIRONMENT,
        ) from error
