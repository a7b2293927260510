"""`txnpipe policy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import usage_error

if TYPE_CHECKING:
    from txnpipe.names import Names


@command()
def policy(
    run: Invocation,
    account: Annotated[
        str | None,
        typer.Option(help="Account id, 12 digits; without it AWS is asked who you are.", metavar="ID"),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option("--read-only", help="Only what plan, status, sql, alerts, rejects and verify need."),
    ] = False,
    part: Annotated[
        int | None,
        typer.Option(min=1, help="Print only this part; each part fits into one managed policy."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory: write every part into a file of its own.")
    ] = None,
) -> None:
    """Print the least IAM policy for whoever operates this pipeline on AWS. Changes nothing.

    txnpipe policy --account 123456789012

    txnpipe policy --account 123456789012 --output policies

    txnpipe policy --target aws --part 1 | aws iam create-policy --policy-name txnpipe-1 --policy-document file:///dev/stdin
    """
    from txnpipe.operate.permissions import (
        MANAGED_POLICY_CHARACTERS,
        operator_actions,
        policy_documents,
        whole_document,
    )

    names = _names(run, account)
    granted = operator_actions(names, run.settings, read_only=read_only)
    parts = policy_documents(granted)
    if part is not None and part > len(parts):
        raise usage_error(f"There is no part {part}.", f"This policy has {len(parts)}: --part 1.")
    run.out.result(
        "policy",
        {
            "pipeline": names.pipeline,
            "account": names.account,
            "region": names.region,
            "read_only": read_only,
            "documents": parts if part is None else parts[part - 1 : part],
            "wide": {each.sid: each.why for each in granted if each.why},
        },
    )
    if output is not None:
        _write(run, output, names, parts)
        return
    if part is None and len(parts) > 1:
        run.out.say(
            f"Too long for one managed policy ({MANAGED_POLICY_CHARACTERS:,} characters): it fits into "
            f"{len(parts)}, which --part 1, --part 2 … print and --output DIR writes."
        )
    run.out.raw(json.dumps(whole_document(granted) if part is None else parts[part - 1], indent=2))


def _names(run: Invocation, account: str | None) -> Names:
    from txnpipe.names import Names

    if account is None:
        if run.settings.target == "local":
            raise usage_error(
                "The local cloud needs no policy.",
                "Pass --target aws to ask AWS for the account, or --account ID.",
            )
        return run.names
    if len(account) != 12 or not (account.isascii() and account.isdigit()):
        raise usage_error(f"{account} is no account id.", "An account id has 12 digits: --account ID.")
    return Names(run.settings.pipeline, account, run.settings.region)


def _write(run: Invocation, directory: Path, names: Names, parts: tuple[dict[str, Any], ...]) -> None:
    from rich.markup import escape

    whole = run.environment.directory / directory
    whole.mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(parts, start=1):
        file = f"txnpipe-{names.pipeline}-{number}.json"
        (whole / file).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        run.out.say(f"Wrote {escape(str(directory / file))}.")
