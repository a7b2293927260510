"""`txnpipe local ...`: the local cloud itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from txnpipe.cli.frame import Invocation, command

if TYPE_CHECKING:
    from txnpipe.local.event_sources.counters import MappingCounters
    from txnpipe.local.inspection import Inspection

app = typer.Typer(help="Start, stop and look into the local cloud: the AWS APIs on this machine.")


@app.command()
@command()
def start(
    run: Invocation,
    restart: Annotated[bool, typer.Option("--restart", help="Stop a running one first.")] = False,
) -> None:
    """Start the local cloud. Every other command does it too, when it needs one.

    txnpipe local start

    TXNPIPE_LOCAL_ENFORCE_LIMITS=false txnpipe local start --restart
    """
    from txnpipe.local.client import ensure_running, stop, wanted_options
    from txnpipe.local.home import Home

    if restart:
        with run.out.status("Stopping the local cloud …"):
            stop(Home.of_user())
    with run.out.status("Starting the local cloud …"):
        cloud = ensure_running(run.settings.local)
    differences = cloud.options.differences(wanted_options(run.settings.local))
    if differences:
        run.out.warn(
            f"It runs with other options than this configuration asks for ({'; '.join(differences)}). "
            "Run txnpipe local start --restart to apply them."
        )
    did = "Started" if cloud.started else "Already running"
    run.out.say(f"{did}: {cloud.endpoint_url} (process {cloud.pid}, home {cloud.home.root}).")
    run.out.say('Next: txnpipe setup, or eval "$(txnpipe local env)" for the AWS CLI and psql.')
    run.out.result(
        "local-start",
        {
            "started": cloud.started,
            "endpoint_url": cloud.endpoint_url,
            "pid": cloud.pid,
            "home": str(cloud.home.root),
            "options_that_differ": differences,
        },
    )


@app.command()
@command()
def stop(run: Invocation) -> None:
    """Stop the local cloud and everything it runs. Its state stays: start continues where stop ended.

    txnpipe local stop
    """
    from txnpipe.local.client import stop as stop_cloud
    from txnpipe.local.home import Home

    home = Home.of_user()
    with run.out.status("Stopping the local cloud …"):
        stopped = stop_cloud(home)
    run.out.say("Stopped. Its state stays." if stopped else "It was not running.")
    run.out.result("local-stop", {"stopped": stopped, "home": str(home.root)})


@app.command()
@command()
def status(run: Invocation) -> None:
    """Show what the local cloud runs: parts, processes, ports, memory, and what its mappings delivered.

    txnpipe local status

    txnpipe local status --json
    """
    from txnpipe.local.home import Home
    from txnpipe.local.inspection import inspect

    home = Home.of_user()
    found = inspect(home)
    if found is None:
        run.out.line("The local cloud is not running. Run txnpipe local start to start it.")
        run.out.result("local-status", {"running": False, "home": str(home.root)})
        return
    _show(run, found)
    run.out.result("local-status", {"running": True, "home": str(home.root), **found.document()})


def _show(run: Invocation, found: Inspection) -> None:
    run.out.table(
        None,
        ("part", "process", "pid", "MB"),
        [(p.part, p.name, str(p.pid), f"{p.rss_bytes / 1e6:,.0f}") for p in found.processes],
        right="pid MB",
    )
    run.out.table(
        None,
        ("part", "listener", "port"),
        [(listener.part, listener.name, str(listener.port)) for listener in found.listeners],
        right="port",
    )
    if found.event_sources:
        run.out.table(
            None,
            ("mapping", "state", "records", "batches", "failed", "discarded", "behind", "last result"),
            [_mapping_row(mapping) for mapping in found.event_sources],
            right="records batches failed discarded behind",
        )
    limits = "enforced" if found.options.get("enforce_limits") else "not enforced"
    run.out.line(f"{found.endpoint_url}, {found.state}, up {_duration(found.uptime_s)}")
    run.out.line(f"memory in all {found.rss_bytes / 1e6:,.0f} MB; service limits {limits}")
    run.out.line(f"home {found.home}")
    for service in found.not_kept:
        run.out.warn(f"The state of this service is lost at a restart: {service}")


def _mapping_row(mapping: MappingCounters) -> tuple[str, ...]:
    source = mapping.source_arn.rpartition("/")[2]
    function = mapping.function_arn.partition(":function:")[2]
    counts = (mapping.records, mapping.batches, mapping.failures, mapping.discarded)
    return (
        f"{source} → {function}",
        mapping.state,
        *(f"{count:,}" for count in counts),
        f"{mapping.iterator_age_ms / 1000:,.1f} s",
        mapping.last_result,
    )


@app.command()
@command()
def reset(
    run: Invocation,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the local cloud and delete all its state: streams, tables, objects, functions, keys.

    txnpipe local reset

    txnpipe local reset --yes
    """
    from txnpipe.local.client import reset as reset_cloud
    from txnpipe.local.home import Home

    home = Home.of_user()
    if not yes:
        run.out.confirm(f"Delete everything of the local cloud in {home.root}?")
    with run.out.status("Stopping the local cloud …"):
        reset_cloud(home)
    run.out.say(f"Deleted everything in {home.root}. Next: txnpipe setup.")
    run.out.result("local-reset", {"home": str(home.root)})


@app.command()
@command()
def env(
    run: Invocation,
    shell: Annotated[
        Literal["bash", "fish"], typer.Option(help="Whose syntax: bash (also zsh, sh) or fish.")
    ] = "bash",
) -> None:
    """Print the environment with which the AWS CLI, boto3 and psql use the local cloud.

    eval "$(txnpipe local env)"

    txnpipe local env --shell fish | source

    Version 1 of the AWS CLI asks no variable where SQS is: aws sqs ... --endpoint-url "$AWS_ENDPOINT_URL"
    """
    import msgspec

    from txnpipe.aws import translated
    from txnpipe.cli.shell import exports
    from txnpipe.local.client import ensure_running
    from txnpipe.local.environment import REMOVED, aws_variables, warehouse_variables
    from txnpipe.names import Names
    from txnpipe.target import open_target
    from txnpipe.warehouse.finding import find

    settings = msgspec.structs.replace(run.settings, target="local")
    with run.out.status("Starting the local cloud …"):
        target = open_target(settings)
        cloud = ensure_running(settings.local)
    names = Names(settings.pipeline, target.account, target.region)
    with translated("look for", f"the warehouse {names.cluster}"):
        warehouse = find(target, settings.warehouse.kind, names.cluster)
    variables = {
        **aws_variables(cloud, settings.region),
        **warehouse_variables(cloud.home, target, warehouse, settings.pipeline),
    }
    run.out.raw(exports(variables, REMOVED, shell))
    run.out.result("local-env", {"variables": variables, "removed": list(REMOVED)})


@app.command()
@command()
def logs(
    run: Invocation,
    part: Annotated[
        str, typer.Argument(help="Whose: daemon, or the beginning of a log's name (redshift, lambda-...).")
    ] = "daemon",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
) -> None:
    """Show what the daemon and its parts logged.

    txnpipe local logs

    txnpipe local logs lambda --follow
    """
    from txnpipe.local.home import Home
    from txnpipe.local.log_files import find_logs, follow_logs, last_lines

    files = find_logs(Home.of_user(), part)
    shown = [(path.name, line) for path in files for line in last_lines(path, lines)]
    prefix = len(files) > 1
    for name, line in shown:
        run.out.raw(f"{name}: {line}" if prefix else line)
    run.out.result("local-logs", {"lines": [{"file": name, "line": line} for name, line in shown]})
    if follow and not run.json:
        for path, line in follow_logs(files):
            run.out.raw(f"{path.name}: {line}" if prefix else line)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
