"""Runs the program. The one function here owns error handling; the code below it has none.

Every failure becomes a sentence of cause, a sentence of fix and a documented exit code. A traceback
appears only with --debug.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress

import typer

from txnpipe.cli.app import GROUPS, build
from txnpipe.cli.environment import Environment
from txnpipe.cli.output import Output
from txnpipe.errors import ExitCode, TxnpipeError


def run(arguments: Sequence[str], environment: Environment | None = None) -> int:
    """Runs one command line and returns the exit code."""
    environment = environment or Environment()
    environment.json, environment.debug = "--json" in arguments, "--debug" in arguments
    try:
        result = build()(_with_help(arguments), prog_name="txnpipe", standalone_mode=False, obj=environment)
        _finish(environment)
        if result == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt  # Typer answers Ctrl-C with the bare exit code
        return int(result) if isinstance(result, int) else ExitCode.OK
    except TxnpipeError as error:
        return _report(environment, error)
    except (typer.Abort, KeyboardInterrupt):
        environment.stderr.write("\nInterrupted. The same command continues where this one stopped.\n")
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        return _report(environment, _usage(error))
    except OSError as error:
        return _report(environment, _machine(error))
    except Exception as error:  # noqa: BLE001 - the last line of defence: reported, never swallowed
        return _report(environment, _defect(error))


def _finish(environment: Environment) -> None:
    """Everything written must have arrived, unless its reader has gone (`| head`)."""
    try:
        environment.stdout.flush()
    except BrokenPipeError:
        environment.discard(environment.stdout)
    except OSError:
        environment.discard(environment.stdout)  # Python would try, and fail, once more at its end
        raise


def _with_help(arguments: Sequence[str]) -> list[str]:
    """A bare program or group shows its help."""
    bare = not arguments or (len(arguments) == 1 and arguments[0] in GROUPS)
    return [*arguments, "--help"] if bare else list(arguments)


def _report(environment: Environment, error: TxnpipeError) -> int:
    color = not environment.variables.get("NO_COLOR")
    with suppress(OSError):  # nobody is left to tell where stderr cannot be written
        Output(environment, as_json=environment.json, quiet=False, color=color).error(error)
        if environment.debug:
            environment.stderr.write("".join(traceback.format_exception(error)))
    with suppress(OSError):
        _finish(environment)
    return error.exit_code


def _usage(error: typer.TyperException) -> TxnpipeError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "txnpipe"
    failure = TxnpipeError(
        _sentence(error.format_message()), f"Run {path} --help to see what it takes.", ExitCode.USAGE
    )
    failure.__cause__ = error
    return failure


def _machine(error: OSError) -> TxnpipeError:
    where = f" ({error.filename})" if error.filename else ""
    failure = TxnpipeError(
        f"This machine refused: {error.strerror or error}{where}.",
        "Check space and permissions there, then run the same command again.",
        ExitCode.ENVIRONMENT,
    )
    failure.__cause__ = error
    return failure


def _defect(error: Exception) -> TxnpipeError:
    failure = TxnpipeError(
        f"Unexpected {type(error).__name__}: {error}",
        "This is a defect of txnpipe; run the command again with --debug and report what it prints.",
        ExitCode.INTERNAL,
    )
    failure.__cause__ = error
    return failure


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
