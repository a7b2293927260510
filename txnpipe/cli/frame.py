"""What every command shares: its common flags, its settings, its target, its output.

A command is a function whose first parameter is an `Invocation`; `command` replaces that parameter by the
flags that all commands have. Nothing here imports boto3: the target is opened when a command asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from txnpipe.cli.environment import Environment
from txnpipe.cli.output import Output
from txnpipe.errors import ExitCode, usage_error

if TYPE_CHECKING:
    from txnpipe.aws import Target
    from txnpipe.config.loading import Loaded
    from txnpipe.config.settings import Settings
    from txnpipe.names import Names

_PANEL = "Common options"

_COMMON: dict[str, tuple[Any, object]] = {
    "config": (
        Annotated[
            Path | None,
            typer.Option(help="Configuration file (default: txnpipe.yaml here).", rich_help_panel=_PANEL),
        ],
        None,
    ),
    "target": (
        Annotated[str | None, typer.Option(help="local or aws.", rich_help_panel=_PANEL)],
        None,
    ),
    "pipeline": (
        Annotated[str | None, typer.Option(help="Name of the pipeline.", rich_help_panel=_PANEL)],
        None,
    ),
    "region": (Annotated[str | None, typer.Option(help="AWS region.", rich_help_panel=_PANEL)], None),
    "as_json": (
        Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=_PANEL)],
        False,
    ),
    "quiet": (
        Annotated[
            bool, typer.Option("--quiet", "-q", help="No messages, only data.", rich_help_panel=_PANEL)
        ],
        False,
    ),
    "no_color": (
        Annotated[bool, typer.Option("--no-color", help="No colour.", rich_help_panel=_PANEL)],
        False,
    ),
    "debug": (
        Annotated[
            bool, typer.Option("--debug", help="Tracebacks and API calls on stderr.", rich_help_panel=_PANEL)
        ],
        False,
    ),
}

_OVERRIDES = ("target", "pipeline", "region")
"""Common flags that set the setting of the same name."""


@dataclass
class Invocation:
    """One run of one command."""

    environment: Environment
    out: Output
    config_file: Path | None
    overrides: dict[str, tuple[str, object]]
    no_color: bool = False

    @functools.cached_property
    def loaded(self) -> Loaded:
        """Settings with their origins. Raises TxnpipeError (USAGE)."""
        from txnpipe.config.loading import load

        return load(self.overrides, self.environment.variables, self.config_file, self.environment.directory)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.loaded.settings

    @functools.cached_property
    def target(self) -> Target:
        """The target; opening it starts the local cloud, or asks AWS who we are."""
        from txnpipe.target import open_target

        settings = self.settings
        waiting = "Starting the local cloud" if settings.target == "local" else "Asking AWS who we are"
        with self.out.status(f"{waiting} …"):
            return open_target(settings)

    @functools.cached_property
    def names(self) -> Names:
        """Names of everything the pipeline owns, in this target's account."""
        from txnpipe.names import Names

        return Names(self.settings.pipeline, self.target.account, self.target.region)

    @property
    def json(self) -> bool:
        """Whether --json was given."""
        return self.out.json


def command(
    *, needs_target: bool = False, sets: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a Typer command of a function that takes an Invocation first.

    needs_target: open the target before the function runs, so that its errors come first. sets: parameters of
    the function that override a setting, with its key ({"connector_jar": "analytics.connector_jar"}).
    """
    own_overrides = dict(sets or {})

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]
        common = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _COMMON.items()
        ]

        context = inspect.Parameter("typer_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @functools.wraps(function)
        def wrapper(*, typer_context: typer.Context, **arguments: Any) -> ExitCode | None:
            if typer_context.invoked_subcommand is not None:
                _refuse_early_flags(typer_context)
                return None
            invocation = _invocation(typer_context, {name: arguments.pop(name) for name in _COMMON})
            for name, key in own_overrides.items():
                if arguments[name] is not None:
                    invocation.overrides[key] = (f"--{name.replace('_', '-')}", arguments[name])
            if needs_target:
                _ = invocation.settings, invocation.target
            result: ExitCode | None = function(invocation, **arguments)
            return result

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            for parameter in own
        ]
        every = [*parameters, *common, context]
        wrapper.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in every}
        return wrapper

    return decorate


def _refuse_early_flags(context: typer.Context) -> None:
    """A flag before the subcommand would be ignored: a group that is a command, too, has flags of its own."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise usage_error(
                f"A flag of {context.command_path} stands before {context.invoked_subcommand}.",
                f"Put flags behind it: {context.command_path} {context.invoked_subcommand} --help.",
            )


def _invocation(context: typer.Context, common: dict[str, Any]) -> Invocation:
    environment = context.find_root().obj
    if not isinstance(environment, Environment):
        environment = Environment()
    environment.json, environment.debug = common["as_json"], common["debug"]
    if environment.debug:
        _log_to(environment)
    out = Output(
        environment,
        as_json=common["as_json"],
        quiet=common["quiet"],
        color=not common["no_color"] and not environment.variables.get("NO_COLOR"),
    )
    overrides = {name: (f"--{name}", common[name]) for name in _OVERRIDES if common[name] is not None}
    return Invocation(environment, out, common["config"], overrides)


def _log_to(environment: Environment) -> None:
    """Sends txnpipe's own log lines and the names of the API calls to stderr; never a header or a body."""
    import logging

    handler = logging.StreamHandler(environment.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    for name in ("txnpipe", "botocore.retryhandler", "botocore.retries"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
