"""Functions in a pipeline: logging, reserved concurrency, and what Lambda refuses or cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy.remote import Remote, changed_fields, settings_of
from txnpipe.deploy.plan import Action, assess
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.function import Function

DEFAULT = settings_of()
NOTIFIER = "function/TransactionNotifier"
TOO_SMALL = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
    "below its minimum value of [10]."
)
RESERVED = settings_of(notifier={"reserved_concurrency": 2})


def notifier(remote: Remote, settings: Any = DEFAULT) -> Function:
    found = remote.graph(settings).resources[NOTIFIER]
    assert isinstance(found, Function)
    return found


def made(remote: Remote, settings: Any = DEFAULT) -> Function:
    """The notifier and its role, alone in the account."""
    role = remote.graph(settings).resources["role/TransactionNotifierRole"]
    role.create(role.desired())
    function = notifier(remote, settings)
    function.create(function.desired())
    return function


def described(remote: Remote) -> dict[str, Any]:
    found: dict[str, Any] = remote.target.client("lambda").get_function(FunctionName="TransactionNotifier")
    return found


def brought(remote: Remote, settings: Any) -> list[str]:
    function = notifier(remote, settings)
    found = assess(function)
    function.update(found.desired, found.change.differences)
    assert assess(function).change.action is Action.UNCHANGED
    return [item.field for item in found.change.differences]


class TestLogging:
    def test_what_lambda_says_is_json_too_and_the_metrics_pass(self, remote: Remote) -> None:
        made(remote)
        assert described(remote)["Configuration"]["LoggingConfig"] == {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "SystemLogLevel": "INFO",
            "LogGroup": "/aws/lambda/TransactionNotifier",
        }

    def test_a_level_that_would_drop_the_metrics_is_put_back(self, remote: Remote) -> None:
        made(remote)
        quiet = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR"}
        remote.target.client("lambda").update_function_configuration(
            FunctionName="TransactionNotifier", LoggingConfig=quiet
        )
        assert brought(remote, DEFAULT) == ["logging.ApplicationLogLevel"]

    def test_a_function_made_without_gets_it(self, remote: Remote) -> None:
        made(remote)

        def text(parsed: dict[str, Any]) -> None:
            group = parsed["Configuration"]["LoggingConfig"]["LogGroup"]
            parsed["Configuration"]["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": group}

        remote.change_answer("lambda.GetFunction", text)
        fields = [item.field for item in assess(notifier(remote)).change.differences]
        assert fields == ["logging.ApplicationLogLevel", "logging.LogFormat", "logging.SystemLogLevel"]


class TestReservedConcurrency:
    def test_nothing_is_reserved_unless_somebody_says_so(self, remote: Remote) -> None:
        made(remote)
        assert "Concurrency" not in described(remote)
        assert "lambda.PutFunctionConcurrency" not in remote.recorder.calls

    def test_it_is_reserved_changed_and_given_back(self, remote: Remote) -> None:
        made(remote, RESERVED)
        assert described(remote)["Concurrency"] == {"ReservedConcurrentExecutions": 2}
        assert assess(notifier(remote, RESERVED)).change.action is Action.UNCHANGED
        more = settings_of(notifier={"reserved_concurrency": 3})
        assert brought(remote, more) == ["reserved_concurrency"]
        assert described(remote)["Concurrency"] == {"ReservedConcurrentExecutions": 3}
        assert brought(remote, DEFAULT) == ["reserved_concurrency"]
        assert "Concurrency" not in described(remote)

    def test_a_change_of_it_touches_nothing_else(self, remote: Remote) -> None:
        made(remote)
        before = len(remote.recorder.changes)
        brought(remote, RESERVED)
        assert remote.recorder.changes[before:] == ["lambda.PutFunctionConcurrency"]

    def test_each_function_has_its_own(self, remote: Remote) -> None:
        remote.setup(DEFAULT)
        both = settings_of(loader={"reserved_concurrency": 8}, notifier={"reserved_concurrency": 2})
        assert changed_fields(remote.plan(both)) == {
            "function/TransactionLoader": ["reserved_concurrency"],
            NOTIFIER: ["reserved_concurrency"],
        }

    def test_an_account_with_too_small_a_pool_is_told_what_to_do(self, remote: Remote) -> None:
        made(remote)
        remote.refuse("lambda.PutFunctionConcurrency", "InvalidParameterValueException", TOO_SMALL)
        with pytest.raises(TxnpipeError, match=r"cannot reserve 2 .* minimum value of \[10\]") as caught:
            brought(remote, RESERVED)
        assert caught.value.exit_code is ExitCode.LIMIT
        assert "null" in caught.value.fix
        assert "Service Quotas" in caught.value.fix

    def test_another_refusal_stays_what_it_is(self, remote: Remote) -> None:
        made(remote)
        remote.refuse("lambda.PutFunctionConcurrency", "InvalidParameterValueException", "no such thing")
        with pytest.raises(Exception, match="no such thing"):
            brought(remote, RESERVED)


class TestChangesInMotion:
    @pytest.mark.parametrize(
        ("operation", "settings"),
        [
            ("lambda.UpdateFunctionConfiguration", settings_of(notifier={"memory_mb": 512})),
            ("lambda.PutFunctionConcurrency", RESERVED),
        ],
    )
    def test_a_change_waits_for_the_one_before(self, remote: Remote, operation: str, settings: Any) -> None:
        made(remote)
        message = "The operation cannot be performed at this time. An update is in progress for resource"
        refused = remote.refuse(operation, "ResourceConflictException", message, times=3)
        brought(remote, settings)
        assert len(refused) == 3

    def test_a_reserved_key_is_told_at_once(self, remote: Remote) -> None:
        made(remote)
        message = (
            "Lambda was unable to configure your environment variables because the environment variables you "
            "have provided contains reserved keys that are currently not supported for modification."
        )
        refused = remote.refuse(
            "lambda.UpdateFunctionConfiguration", "InvalidParameterValueException", message, times=9
        )
        with pytest.raises(Exception, match="reserved keys"):
            brought(remote, settings_of(notifier={"memory_mb": 512}))
        assert len(refused) == 1


class TestFailures:
    """Functions that Lambda could not make or change."""

    def fail(self, remote: Remote, **state: str) -> Function:
        function = made(remote)
        remote.change_answer("lambda.GetFunction", lambda parsed: parsed["Configuration"].update(state))
        return function

    @pytest.mark.parametrize(
        ("code", "fix"),
        [
            ("InsufficientRolePermissions", "policy"),
            ("EniLimitExceeded", "Elastic network interfaces per VPC"),
            ("SubnetOutOfIPAddresses", "addresses"),
            ("InvalidSecurityGroup", "security groups"),
            ("FunctionError", "log"),
            ("FunctionError.RuntimeInitError", "log"),
            ("KMSKeyAccessDenied", "key"),
            ("InternalError", "fault is Lambda's"),
            ("SomethingNew", "Look at the reason"),
        ],
    )
    def test_a_function_that_could_not_be_made_says_why_and_what_to_do(
        self, remote: Remote, code: str, fix: str
    ) -> None:
        function = self.fail(remote, State="Failed", StateReason="It is so.", StateReasonCode=code)
        with pytest.raises(TxnpipeError, match=f"is Failed: {code}: It is so") as caught:
            function.settle()
        assert fix in caught.value.fix
        assert "aws lambda delete-function --function-name TransactionNotifier" in caught.value.fix
        assert caught.value.exit_code is ExitCode.SERVICE

    def test_a_failed_change_can_be_made_again_without_removing_anything(self, remote: Remote) -> None:
        function = self.fail(
            remote,
            LastUpdateStatus="Failed",
            LastUpdateStatusReason="No address is free.",
            LastUpdateStatusReasonCode="SubnetOutOfIPAddresses",
            StateReasonCode="Idle",
        )
        with pytest.raises(
            TxnpipeError, match=r"update Failed: SubnetOutOfIPAddresses: No address is free"
        ) as caught:
            function.settle()
        assert "delete-function" not in caught.value.fix
        found = function.read()
        assert found is not None
        assert found.ready

    def test_a_function_that_is_well_has_nothing_to_fix(self, remote: Remote) -> None:
        found = made(remote).read()
        assert found is not None
        assert "fix" not in found.facts

    def test_one_that_stays_pending_is_waited_for_until_the_time_is_up(self, remote: Remote) -> None:
        function = self.fail(remote, State="Pending", StateReasonCode="Creating", StateReason="Being made.")
        with pytest.raises(TxnpipeError, match="function TransactionNotifier to be ready") as caught:
            function.settle()
        assert caught.value.exit_code is ExitCode.TIMEOUT
