"""Whether we may do what the commands do, by IAM's own simulation. It makes no call but the question.

The simulation sees the policies of the caller and the account's boundaries. Conditions that it is not told of
count as not met, so each need brings the keys of its own condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from txnpipe.aws import Target, translated
from txnpipe.checks import Verdict, failed, ok, unknown
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.operate.permissions import Granted

ALLOWED = "allowed"
ASKED_AT_ONCE = 4
"""Enough to be done in a few seconds, few enough not to be throttled."""
NAMED = 8
"""Denied actions that are named one by one."""


@dataclass(frozen=True)
class Denied:
    """An action that is not allowed on a resource."""

    action: str
    resource: str


def check_permissions(target: Target, caller_arn: str, needs: Sequence[Granted]) -> Verdict:
    """Asks for all needs. Raises TxnpipeError (SERVICE) where the question itself is denied."""
    if caller_arn.endswith(":root"):
        return ok("The root user may do everything.")
    source = principal(target, caller_arn)
    if source is None:
        return unknown(
            f"IAM simulates users and roles, and {caller_arn} is neither.",
            "Sign in as a user or a role to have the permissions looked at.",
        )
    with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="simulate") as pool:
        answers = list(pool.map(lambda need: list(_denied(target, source, need)), needs))
    denied = sorted({found for answer in answers for found in answer}, key=_order)
    if not denied:
        return ok(f"{source} may do all that the commands do.")
    actions = list(dict.fromkeys(item.action for item in denied))
    more = f" and {len(actions) - NAMED} more" if len(actions) > NAMED else ""
    return failed(
        f"{source} may not {', '.join(actions[:NAMED])}{more} (first on {denied[0].resource}).",
        "Attach the policy that txnpipe policy prints, or ask whoever administers the account to.",
        ExitCode.ENVIRONMENT,
    )


def _order(denied: Denied) -> tuple[str, str]:
    return denied.action, denied.resource


def principal(target: Target, caller_arn: str) -> str | None:
    """The ARN that IAM knows the caller by: a session's role, with its path; None where there is none."""
    _, partition, service, _, account, resource = caller_arn.split(":", 5)
    kind, _, rest = resource.partition("/")
    if service == "iam" and kind in {"user", "role"}:
        return caller_arn
    if service != "sts" or kind != "assumed-role":
        return None
    role = rest.partition("/")[0]
    try:
        with translated("look up", f"the role {role}"):
            # A session's ARN leaves the role's path out, and a role of SSO has one.
            return str(target.client("iam").get_role(RoleName=role)["Role"]["Arn"])
    except TxnpipeError:
        return f"arn:{partition}:iam::{account}:role/{role}"


def _denied(target: Target, source: str, need: Granted) -> Iterator[Denied]:
    iam = target.client("iam")
    with translated("simulate the permissions of", source, "Ask for iam:SimulatePrincipalPolicy."):
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=source,
            ActionNames=list(need.actions),
            ResourceArns=list(need.resources),
            ContextEntries=list(_context(need.condition)),
        )
        for page in pages:
            for result in page["EvaluationResults"]:
                yield from _of(result)


def _of(result: Mapping[str, Any]) -> Iterator[Denied]:
    action = result["EvalActionName"]
    each = result.get("ResourceSpecificResults")
    if not each:
        if result["EvalDecision"] != ALLOWED:
            yield Denied(action, result.get("EvalResourceName", "*"))
        return
    for specific in each:
        if specific["EvalResourceDecision"] != ALLOWED:
            yield Denied(action, specific["EvalResourceName"])


def _context(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for keys in condition.values():
        for key, value in keys.items():
            values = [value] if isinstance(value, str) else [str(item) for item in value]
            yield {"ContextKeyName": key, "ContextKeyValues": values[:1], "ContextKeyType": "string"}
