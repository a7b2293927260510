"""Who we are in the account, and whether our clock and the service's agree.

One call tells both: GetCallerIdentity needs no permission, and its answer is dated even where it is a
refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from txnpipe.aws import Target, translated
from txnpipe.checks import Verdict, failed, ok, unknown, warning
from txnpipe.errors import ExitCode, TxnpipeError

SKEW_LIMIT_S = 300
"""A signature is good for five minutes (IAM user guide, "AWS Signature Version 4 for API requests"); S3
answers RequestTimeTooSkewed from fifteen on (S3, "Error responses")."""
SKEW_NOTICED_S = 60


@dataclass(frozen=True)
class Caller:
    """The answer. account and arn are "" where there was none, and `problem` says why.

    answered_at: the service's clock in that answer, None without one; asked_at: ours at the same time.
    """

    account: str
    arn: str
    asked_at: datetime
    answered_at: datetime | None
    problem: TxnpipeError | None = None


def ask_who(target: Target, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Caller:
    """Asks the service who we are. Never raises for a refusal."""
    try:
        with translated("ask for the identity of", "the caller", "Sign in, or set aws.profile."):
            answer = target.client("sts").get_caller_identity()
    except TxnpipeError as error:
        cause = error.__cause__
        metadata = cause.response.get("ResponseMetadata", {}) if isinstance(cause, ClientError) else {}
        return Caller("", "", now(), _dated(metadata), error)
    return Caller(answer["Account"], answer["Arn"], now(), _dated(answer["ResponseMetadata"]))


def _dated(metadata: Mapping[str, Any]) -> datetime | None:
    text = metadata.get("HTTPHeaders", {}).get("date")
    if not text:
        return None
    try:
        dated = parsedate_to_datetime(text)
    except ValueError:
        return None
    return dated if dated.tzinfo else dated.replace(tzinfo=UTC)


def check_credentials(caller: Caller) -> Verdict:
    """Whether there are any, and whose."""
    if caller.problem is not None:
        return failed(caller.problem.cause, caller.problem.fix, ExitCode.SERVICE)
    if caller.arn.endswith(":root"):
        return warning(
            f"You are the root user of account {caller.account}.",
            "Use a role with the permissions that txnpipe needs, and lock the root user's keys away.",
        )
    return ok(f"You are {caller.arn}.")


def check_clock(caller: Caller) -> Verdict:
    """Whether the two clocks differ by less than a signature's life."""
    if caller.answered_at is None:
        return unknown("No answer of the service says what time it is there.", "Check the network.")
    ahead = (caller.asked_at - caller.answered_at).total_seconds()
    found = f"This machine's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} AWS's."
    fix = "Set the clock by the network's time (NTP)."
    if abs(ahead) > SKEW_LIMIT_S:
        return failed(f"{found} A request is refused from {SKEW_LIMIT_S} s on.", fix, ExitCode.ENVIRONMENT)
    if abs(ahead) > SKEW_NOTICED_S:
        return warning(found, fix)
    return ok("This machine's clock and AWS's agree.")
