"""The one place that writes to the terminal: data to stdout, messages to stderr.

Under --json stdout holds exactly one JSON document; tables and lines are left out. Colour and animation
appear only on a terminal (rich decides; NO_COLOR and --no-color turn it off).

A reader that has gone (`| head`) stops neither the command nor changes its exit code: from then on what it
would have read goes nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TextIO

from txnpipe.cli.environment import Environment
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.status import Status

JSON_VERSION = 1
"""Raised when a field of any command's JSON document changes its meaning or goes away."""

PIPE_COLUMNS = "1000"
"""Into a pipe or file no cell of a table is broken into lines, unless COLUMNS says how wide it is."""


class Output:
    """What a command says."""

    def __init__(self, environment: Environment, *, as_json: bool, quiet: bool, color: bool) -> None:
        self._environment = environment
        self.json = as_json
        self.quiet = quiet
        self._color = color
        self._stdout: Console | None = None
        self._stderr: Console | None = None
        self.gone = False
        """Whether the reader of stdout has gone: there is no point in following anything for it."""

    @property
    def console(self) -> Console:
        """The rich console of stdout."""
        if self._stdout is None:
            self._stdout = self._console(self._environment.stdout)
        return self._stdout

    @property
    def messages(self) -> Console:
        """The rich console of stderr."""
        if self._stderr is None:
            self._stderr = self._console(self._environment.stderr)
        return self._stderr

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        reader_gone = self._reader_gone

        class Lasting(Console):
            def on_broken_pipe(self) -> None:  # rich would end the program here
                reader_gone(stream)

        plain = not self._color
        width = None if stream.isatty() else int(self._environment.variables.get("COLUMNS", PIPE_COLUMNS))
        return Lasting(
            file=stream, no_color=plain or None, highlight=False, soft_wrap=not stream.isatty(), width=width
        )

    def _reader_gone(self, stream: TextIO) -> None:
        self.gone = self.gone or stream is self._environment.stdout
        self._environment.discard(stream)

    def _write(self, text: str) -> None:
        """Writes to stdout at once: whoever follows sees each line when it is there."""
        stream = self._environment.stdout
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            self._reader_gone(stream)

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal on which something may move."""
        return not self.quiet and self._environment.stderr.isatty()

    def say(self, text: str) -> None:
        """A message for a person, on stderr. rich markup is understood. Silent under --quiet."""
        if not self.quiet:
            self.messages.print(text)

    def warn(self, text: str) -> None:
        """A warning on stderr, even under --quiet. Not markup."""
        from rich.text import Text

        self.messages.print(Text.assemble(("warning: ", "yellow"), text))

    def line(self, text: RenderableType = "") -> None:
        """A line of data on stdout, for a person. rich markup is understood."""
        if not self.json:
            self.console.print(text)

    def raw(self, text: str) -> None:
        """Exactly this text and a line end on stdout, for programs; not under --json."""
        if not self.json:
            self._write(text + "\n")

    def table(
        self,
        title: str | None,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: str = "",
        whole: Sequence[str] = (),
    ) -> None:
        """A table on stdout, for a person. Title, column names and cells are text, not markup.

        right: names of the columns to be aligned right, separated by blanks. whole: names of the columns
        whose cells are never broken into lines, such as ids that somebody may copy.
        """
        if self.json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=None if title is None else Text(title),
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for column in columns:
            justify: Literal["left", "right"] = "right" if column in right.split() else "left"
            table.add_column(Text(column), justify=justify, no_wrap=column in whole)
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
        self.console.print(table)

    def result(self, kind: str, payload: dict[str, Any]) -> None:
        """The command's one JSON document, under --json only."""
        if self.json:
            document = {"version": JSON_VERSION, "kind": kind, **payload}
            self._write(json.dumps(document, default=str, indent=2, allow_nan=False) + "\n")

    def status(self, text: str) -> AbstractContextManager[Status | None]:
        """A spinner on stderr while something is awaited; only on a terminal. rich markup is understood."""
        return self.messages.status(text) if self.live else _nothing()

    @contextmanager
    def progress(self, *columns: Any) -> Iterator[Progress]:
        """A rich progress display on stderr; invisible where stderr is no terminal."""
        from rich.progress import Progress

        with Progress(*columns, console=self.messages, disable=not self.live, transient=True) as progress:
            yield progress

    def confirm(self, question: str) -> None:
        """Asks a yes-or-no question on the terminal. Raises TxnpipeError (REFUSED) for anything but yes."""
        if not self._environment.interactive:
            raise TxnpipeError(
                "This needs a confirmation, and there is no terminal to ask on.",
                "Run the same command with --yes.",
                ExitCode.REFUSED,
            )
        self.messages.print(f"{question} [bold]\\[y/N][/bold] ", end="")
        if self._environment.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise TxnpipeError("Nothing was changed.", "Answer y, or pass --yes.", ExitCode.REFUSED)

    def ask(self, question: str) -> str:
        """Asks for a line of text on the terminal; "" where there is no terminal."""
        if not self._environment.interactive:
            return ""
        self.messages.print(f"{question} ", end="")
        return self._environment.stdin.readline().strip()

    def error(self, error: TxnpipeError) -> None:
        """Cause, details and fix on stderr; under --json also a document on stdout."""
        from rich.text import Text

        self.messages.print(Text.assemble(("error: ", "bold red"), error.cause))
        for detail in error.details:
            self.messages.print(Text(f"       {detail}"))
        self.messages.print(Text(f"  fix: {error.fix}"))
        with suppress(OSError):  # stdout may be what failed, and stderr has the error
            self.result(
                "error",
                {
                    "cause": error.cause,
                    "fix": error.fix,
                    "details": list(error.details),
                    "exit_code": int(error.exit_code),
                },
            )


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
