"""Entry point: `txnpipe`, or `python -m txnpipe`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the program and exits with its exit code."""
    from txnpipe.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
