"""Everything of the outside world that the command line touches, replaceable in tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO


def _or_nothing(stream: TextIO | None, mode: Literal["r", "w"]) -> TextIO:
    """The stream; the null device where the caller closed it (`>&-`): Python has None there."""
    return stream if stream is not None else Path(os.devnull).open(mode, encoding="utf-8")


@dataclass
class Environment:
    """Streams, variables and working directory of one run of the program.

    json and debug are what the flags of the running command said; the error handler reads them.
    """

    stdin: TextIO = field(default_factory=lambda: _or_nothing(sys.stdin, "r"))
    stdout: TextIO = field(default_factory=lambda: _or_nothing(sys.stdout, "w"))
    stderr: TextIO = field(default_factory=lambda: _or_nothing(sys.stderr, "w"))
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    directory: Path = field(default_factory=Path.cwd)
    json: bool = False
    debug: bool = False

    def discard(self, stream: TextIO) -> None:
        """Lets what is still written to a stream that cannot be written any more go nowhere."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: both standard input and standard error are terminals."""
        return self.stdin.isatty() and self.stderr.isatty()
