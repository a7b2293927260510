"""A role that a service does not know yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.new_roles import ROLE_TIMEOUT_S, once_role_is_known
from txnpipe.resources.resource import Cloud, Waiter

NEW_ROLE = [
    "The role defined for the function cannot be assumed by Lambda.",
    "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
    "Cannot access stream. Please ensure the role can perform the GetRecords, GetShardIterator actions.",
    "Lambda was unable to configure access to your environment variables because the KMS key is invalid for "
    "CreateGrant. KMS Exception: InvalidArnException KMS Message: ARN does not refer to a valid principal",
    "The function execution role does not have permissions to call DescribeStream on KINESIS",
]


@dataclass
class Time:
    """A clock that moves when somebody sleeps."""

    now: float = 0.0
    sleeps: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@dataclass
class Named:
    """All that waiting needs of a resource."""

    kind: str = "function"
    name: str = "loader"


def cloud(time: Time) -> Cloud:
    return Cloud(None, None, None, Waiter(time.clock, time.sleep))  # type: ignore[arg-type]


def refusal(message: str, code: str = "InvalidParameterValueException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction")


class Call:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "made"


def test_the_analytics_service_has_a_sentence_of_its_own() -> None:
    sentence = "Kinesis Analytics service doesn't have sufficient privileges to assume the role."
    call = Call(1, refusal(sentence, code="InvalidArgumentException"))
    resource: Any = Named()
    assert once_role_is_known(cloud(Time()), resource, call) == "made"


@pytest.mark.parametrize("message", NEW_ROLE)
def test_the_errors_of_a_new_role_are_retried(message: str) -> None:
    call = Call(3, refusal(message))
    resource: Any = Named()
    assert once_role_is_known(cloud(Time()), resource, call) == "made"
    assert call.calls == 4


def test_but_not_for_more_than_five_minutes() -> None:
    time, call = Time(), Call(10**6, refusal(NEW_ROLE[0]))
    resource: Any = Named()
    with pytest.raises(TxnpipeError, match="role of loader is still refused after 300 s") as caught:
        once_role_is_known(cloud(time), resource, call)
    assert caught.value.exit_code is ExitCode.SERVICE
    assert sum(time.sleeps) == pytest.approx(ROLE_TIMEOUT_S)
    assert max(time.sleeps) <= 6


@pytest.mark.parametrize(
    "error",
    [
        refusal("Unzipped size must be smaller than 262144000 bytes"),
        refusal(
            "Lambda was unable to configure your environment variables because the environment variables you "
            "have provided contains reserved keys that are currently not supported for modification."
        ),
        refusal(NEW_ROLE[0], code="ServiceException"),
        ValueError("a defect"),
    ],
)
def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    call = Call(1, error)
    resource: Any = Named()
    with pytest.raises(type(error)):
        once_role_is_known(cloud(Time()), resource, call)
    assert call.calls == 1
