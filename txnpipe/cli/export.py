"""`txnpipe export cloudformation`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from txnpipe.cli.connector import SETS, ConnectorJar
from txnpipe.cli.frame import Invocation, command

if TYPE_CHECKING:
    from txnpipe.aws import Target
    from txnpipe.config import Settings
    from txnpipe.export.template import Template

app = typer.Typer(help="Write the pipeline in the form of another tool.")


class Form(StrEnum):
    """What a template is written in."""

    yaml = "yaml"
    json = "json"


@app.command()
@command(sets=SETS)
def cloudformation(
    run: Invocation,
    output: Annotated[Path | None, typer.Option(help="File to write; without it, standard output.")] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Default: as --output ends, else yaml.")
    ] = None,
    with_code: Annotated[
        Path | None, typer.Option(help="Directory to build the zips into, as code/NAME-SHA256.zip.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account that the stack is for; --with-code needs it.")
    ] = None,
    connector_jar: ConnectorJar = None,  # noqa: ARG001 - it is a setting
) -> None:
    """Write a CloudFormation template of the same resources that setup makes on AWS.

    txnpipe export cloudformation

    txnpipe export cloudformation --output pipeline.yaml --with-code build --account 123456789012

    Asks nobody: it needs no network and no credentials (building the zips may fetch psycopg2). VPC, subnets
    and the place of the code are parameters. What CloudFormation cannot make is told as next steps.
    """
    from msgspec.structs import replace

    from txnpipe.errors import usage_error
    from txnpipe.export.template import build
    from txnpipe.export.writing import text_of
    from txnpipe.target import unidentified_aws

    if with_code and not re.fullmatch(r"\d{12}", account or ""):
        raise usage_error(
            "The analytics app's SQL names its streams by ARN, so its zip is for one account.",
            "Pass the account's twelve digits with --account, or leave --with-code out.",
        )
    # An endpoint of the environment's does not matter: nobody is asked.
    nowhere = replace(run.settings.aws, endpoint_url="https://localhost")
    settings = replace(run.settings, target="aws", aws=nowhere)
    target = unidentified_aws(settings)
    digests = _build_code(run, target, settings, with_code, account or "") if with_code else {}
    template = build(target, settings, digests)
    chosen = form or (Form.json if output and output.suffix == ".json" else Form.yaml)
    text = text_of(template.document, chosen.value)
    if output:
        _write(run, output, text)
    elif not run.json:
        run.out.raw(text)
    _say_next(run, template, output, with_code)
    run.out.result(
        "export-cloudformation",
        {
            "format": chosen.value,
            "output": str(output) if output else None,
            "code": digests,
            "missing": list(template.missing),
            "template": None if output else template.document,
        },
    )


def _build_code(
    run: Invocation, target: Target, settings: Settings, directory: Path, account: str
) -> dict[str, str]:
    from txnpipe.deploy.artifacts import Artifacts
    from txnpipe.errors import ExitCode, TxnpipeError
    from txnpipe.export.writing import write_code
    from txnpipe.names import Names

    artifacts = Artifacts(target, settings, Names(settings.pipeline, account, settings.region))
    try:
        with run.out.status("Building the zips …"):
            return write_code(artifacts, run.environment.directory / directory)
    except OSError as error:
        raise TxnpipeError(
            f"The zips cannot be written to {directory}: {error.strerror}.",
            "Choose another directory with --with-code.",
            ExitCode.ENVIRONMENT,
        ) from error


def _write(run: Invocation, output: Path, text: str) -> None:
    from txnpipe.errors import ExitCode, TxnpipeError

    try:
        (run.environment.directory / output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise TxnpipeError(
            f"The template cannot be written to {output}: {error.strerror}.",
            "Choose another file with --output.",
            ExitCode.ENVIRONMENT,
        ) from error


def _say_next(run: Invocation, template: Template, output: Path | None, with_code: Path | None) -> None:
    from rich.markup import escape

    count = len(template.document["Resources"])
    run.out.say(f"{escape(str(output))}: {count} resources" if output else f"{count} resources")
    run.out.say("Not in the stack:")
    for line in template.missing:
        run.out.say(f"  {escape(line)}")
    names = [name for name, value in template.document["Parameters"].items() if "Default" not in value]
    values = " ".join(f"{name}=…" for name in names)
    stack, region = f"txnpipe-{run.settings.pipeline}", run.settings.region
    if with_code is None:
        run.out.say("--with-code DIR builds the zips that the stack needs, and fills their digests in.")
    run.out.say(
        "Next:\n"
        f"  aws s3 cp --recursive {escape(str(with_code or 'DIR'))}/code s3://BUCKET/code\n"
        f"  aws cloudformation deploy --region {region} --stack-name {stack} \\\n"
        f"    --template-file {escape(str(output or 'FILE'))} --capabilities CAPABILITY_NAMED_IAM \\\n"
        f"    --parameter-overrides {values}\n"
        "  txnpipe setup --target aws\n"
        "It finds by name and tag what the stack made, and adds what is missing. What it changes, such as "
        "the bucket of the code, the stack will call drift."
    )
