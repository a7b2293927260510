"""Errors a user sees, and the exit codes of every command.

One exception type carries one sentence of cause, one sentence of fix and the exit code. Code below the
command line raises it and never prints or exits; `txnpipe.cli` is the one place that renders it.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, the same for every command. README.md shows this table; a test keeps the two equal."""

    OK = 0
    DIFFERENCE = 1
    """The command ran and the answer is no: verify found a difference, send was not fully acknowledged."""
    USAGE = 2
    """A flag, an argument, an input file or the configuration is wrong."""
    NOT_FOUND = 3
    """What the command works on is not there: no pipeline, no run, no such record."""
    CONFLICT = 4
    """Somebody else is at it: a setup holds the lock, a send works on the run, a name belongs to others."""
    LIMIT = 5
    """A service limit or quota forbids it."""
    ENVIRONMENT = 6
    """This machine cannot do it: extra missing, home not writable, disk full, port taken."""
    SERVICE = 7
    """An AWS API, the warehouse or a part of the local cloud answered with an error."""
    TIMEOUT = 8
    """A wait reached its deadline; the message names what was awaited."""
    REFUSED = 9
    """A confirmation is missing: --yes, --confirm NAME, or --write for sql."""
    INTERNAL = 70
    """A defect of txnpipe."""
    INTERRUPTED = 130
    """Ctrl-C."""


class TxnpipeError(Exception):
    """What a user gets to see of a failure.

    `cause` and `fix` are whole sentences. `details` are optional further lines (at most a handful), for
    example the ids that differ.
    """

    def __init__(self, cause: str, fix: str, exit_code: ExitCode, *, details: tuple[str, ...] = ()) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix
        self.exit_code = exit_code
        self.details = details


def usage_error(cause: str, fix: str) -> TxnpipeError:
    """A wrong flag, argument, file or setting."""
    return TxnpipeError(cause, fix, ExitCode.USAGE)
