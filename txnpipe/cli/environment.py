"""Everything of the outside world that the command line touches, replaceable in tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO


@dataclass
class Environment:
    """Streams, variables and working directory of one run of the program.

    json and debug are what the flags of the running command said; the error handler reads them.
    """

    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    directory: Path = field(default_factory=Path.cwd)
    json: bool = False
    debug: bool = False

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: both standard input and standard error are terminals."""
        return self.stdin.isatty() and self.stderr.isatty()
