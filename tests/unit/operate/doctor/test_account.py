"""What the doctor says of an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.remote import settings_of
from tests.unit.deploy.wire import is_change
from tests.unit.operate.doctor.conftest import Account
from txnpipe.aws import Target
from txnpipe.checks import State, Verdict
from txnpipe.config import Settings
from txnpipe.errors import ExitCode
from txnpipe.names import Names
from txnpipe.operate.doctor import identity
from txnpipe.operate.doctor.account import IMPATIENT, examine
from txnpipe.operate.doctor.code import check_connector
from txnpipe.operate.permissions import operator_actions
from txnpipe.target import STAND_IN_CONNECTOR

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def jar() -> Path:
    return STAND_IN_CONNECTOR


Look = Callable[..., dict[str, Verdict]]


@pytest.fixture
def look(account: Account, jar: Path) -> Look:
    """Looks at the account; check → verdict."""

    def looked(
        settings: Settings | None = None, now: datetime = NOW, jar: Path | None = jar
    ) -> dict[str, Verdict]:
        target = replace(account.remote.target, account="", connector_jar=jar)
        results = examine(target, settings or settings_of(), lambda: now)
        return {result.name: result.verdict for result in results}

    return looked


def states(verdicts: dict[str, Verdict]) -> set[State]:
    return {verdict.state for verdict in verdicts.values()}


def test_a_healthy_account_is_found_healthy(look: Look) -> None:
    found = look()
    assert {name: verdict.found for name, verdict in found.items() if verdict.state is not State.OK} == {}
    assert len(found) == 12


def test_a_pipeline_that_is_there_does_not_change_that(account: Account, look: Look) -> None:
    account.remote.setup(settings_of())
    found = look()
    assert states(found) == {State.OK}
    assert "are there and ours" in found["names"].found
    assert "needs 0 more" in found["shards"].found


def test_looking_only_reads(account: Account, look: Look) -> None:
    account.remote.setup(settings_of())
    asked = account.watch()
    look()
    assert len(asked) > 20
    # A simulation is a question, though its name begins with no verb of reading.
    assert [call for call in asked if is_change(call) and call != "iam.SimulatePrincipalPolicy"] == []


def test_a_doctor_is_not_kept_waiting(account: Account, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Target] = []
    ask = identity.ask_who

    def noted(target: Target, *rest: Any) -> identity.Caller:
        seen.append(target)
        return ask(target, *rest)

    monkeypatch.setattr(identity, "ask_who", noted)
    look()
    assert {name: seen[0].client_options[name] for name in IMPATIENT} == IMPATIENT
    assert not account.remote.target.client_options


def test_without_credentials_the_rest_is_skipped(account: Account, look: Look) -> None:
    account.remote.refuse("sts.GetCallerIdentity", "ExpiredToken", "It has expired.", times=99)
    found = look()
    assert found["credentials"].state is State.FAILED
    assert "ExpiredToken" in found["credentials"].found
    skipped = {name for name, verdict in found.items() if verdict.state is State.SKIPPED}
    assert skipped == {
        "region",
        "permissions",
        "names",
        "shards",
        "concurrency",
        "warehouse",
        "vpc",
        "secrets",
    }
    assert found["connector"].state is State.OK


def test_the_root_user_is_warned(account: Account, look: Look) -> None:
    account.arn = "arn:aws:iam::123456789012:root"
    found = look()
    assert (found["credentials"].state, found["permissions"].state) == (State.WARNING, State.OK)


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [
        (0, State.OK, "agree"),
        (59, State.OK, "agree"),
        (61, State.WARNING, "61 s ahead"),
        (-61, State.WARNING, "61 s behind"),
        (300, State.WARNING, "300 s"),
        (301, State.FAILED, "301 s ahead"),
        (-3600, State.FAILED, "3,600 s behind"),
    ],
)
def test_a_clock_that_is_off_is_found(look: Look, seconds: int, state: State, words: str) -> None:
    verdict = look(now=datetime.fromtimestamp(NOW.timestamp() + seconds, UTC))["clock"]
    assert (verdict.state, words in verdict.found) == (state, True)


def test_a_refusal_still_tells_what_time_it_is_there(account: Account, look: Look) -> None:
    """A clock that is far off makes the service refuse the very question."""

    account.remote.refuse("sts.GetCallerIdentity", "SignatureDoesNotMatch", "Signature expired", times=99)
    found = look(now=datetime(2026, 11, 24, 13, 0, 0, tzinfo=UTC))
    assert found["credentials"].state is State.FAILED
    assert (found["clock"].state, "3,600 s ahead" in found["clock"].found) == (State.FAILED, True)


@pytest.mark.parametrize(
    ("regions", "state", "code"),
    [
        ([], State.FAILED, ExitCode.USAGE),
        ([{"RegionName": "us-east-1", "OptInStatus": "not-opted-in"}], State.FAILED, ExitCode.ENVIRONMENT),
        ([{"RegionName": "us-east-1", "OptInStatus": "opted-in"}], State.OK, ExitCode.OK),
    ],
)
def test_the_region_must_be_there_and_enabled(
    account: Account, look: Look, regions: list[dict[str, str]], state: State, code: ExitCode
) -> None:
    account.region = regions
    verdict = look()["region"]
    assert (verdict.state, verdict.exit_code) == (state, code)


def test_a_region_that_ec2_does_not_know_is_none(account: Account, look: Look) -> None:
    account.remote.refuse("ec2.DescribeRegions", "InvalidParameterValue", "Invalid region", times=9)
    assert look()["region"].found == "AWS has no region us-east-1."


def test_a_denied_action_is_named_with_its_resource(account: Account, look: Look) -> None:
    account.denied = {"kinesis:DeleteStream": ""}
    verdict = look()["permissions"]
    assert verdict.state is State.FAILED
    assert "may not kinesis:DeleteStream (first on arn:aws:kinesis" in verdict.found


def test_the_simulation_is_told_of_the_condition_s_keys(account: Account, look: Look) -> None:
    look()
    passing = [asked for asked in account.asked if asked["ActionNames"] == ["iam:PassRole"]]
    assert {asked["PolicySourceArn"] for asked in passing} == {"arn:aws:iam::123456789012:user/operator"}
    told = [entry for asked in passing for entry in asked["ContextEntries"]]
    assert {entry["ContextKeyName"] for entry in told} == {"iam:PassedToService"}
    assert sorted(entry["ContextKeyValues"] for entry in told) == [
        ["kinesisanalytics.amazonaws.com"],
        ["lambda.amazonaws.com"],
    ]


def test_the_simulation_asks_for_all_that_an_operator_needs(account: Account, look: Look) -> None:
    look()
    policy = operator_actions(Names("default", "123456789012", "us-east-1"), settings_of())
    assert sorted(asked["ActionNames"] for asked in account.asked) == sorted(list(n.actions) for n in policy)


def test_where_simulating_is_denied_nothing_is_known_and_nothing_failed(account: Account, look: Look) -> None:
    account.remote.refuse("iam.SimulatePrincipalPolicy", "AccessDenied", "no", times=99)
    verdict = look()["permissions"]
    assert (verdict.state, "AccessDenied" in verdict.found) == (State.UNKNOWN, True)


def test_a_session_is_simulated_as_its_role_with_the_role_s_path(account: Account, look: Look) -> None:
    account.arn = "arn:aws:sts::123456789012:assumed-role/Operator/me@example.com"
    role = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Operator"
    account.answer("iam.GetRole", lambda _: {"Role": {"Arn": role}})
    look()
    assert account.asked[0]["PolicySourceArn"] == role


def test_a_federated_user_cannot_be_simulated(account: Account, look: Look) -> None:
    account.arn = "arn:aws:sts::123456789012:federated-user/me"
    assert look()["permissions"].state is State.UNKNOWN


def test_a_name_that_belongs_to_others_is_a_conflict(account: Account, look: Look) -> None:
    account.remote.target.client("kinesis").create_stream(
        StreamName="TransactionStream", ShardCount=1, Tags={"x": "y"}
    )
    verdict = look()["names"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.CONFLICT)
    assert "TransactionStream exists already" in verdict.found


def test_names_that_cannot_be_read_are_unknown(account: Account, look: Look) -> None:
    account.remote.refuse("sns.GetTopicAttributes", "AuthorizationError", "no", times=9)
    verdict = look()["names"]
    assert (verdict.state, "AuthorizationError" in verdict.found) == (State.UNKNOWN, True)


def test_shards_beyond_the_quota_are_a_limit(account: Account, look: Look) -> None:
    account.limits["ShardLimit"] = 12
    assert look()["shards"].state is State.OK
    verdict = look(settings_of(stream={"shards": 2}))["shards"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.LIMIT)
    assert "needs 3 more" in verdict.found


def test_an_on_demand_stream_counts_as_a_stream_not_by_its_shards(account: Account, look: Look) -> None:
    on_demand = settings_of(stream={"mode": "on-demand", "shards": 9})
    account.limits["ShardLimit"] = 11
    assert "needs 1 more" in look(on_demand)["shards"].found
    account.limits["OnDemandStreamCountLimit"] = 1
    verdict = look(on_demand)["shards"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.LIMIT)


def test_too_little_concurrency_is_a_warning(account: Account, look: Look) -> None:
    account.concurrency = 10
    eight = settings_of(stream={"shards": 8})
    assert look(eight)["concurrency"].state is State.OK
    verdict = look(settings_of(stream={"shards": 9}))["concurrency"]
    assert (verdict.state, "up to 11" in verdict.found) == (State.WARNING, True)


def test_reserving_more_than_lambda_lets_go_is_a_limit(account: Account, look: Look) -> None:
    reserving = settings_of(loader={"reserved_concurrency": 3}, notifier={"reserved_concurrency": 1})
    account.concurrency = 104
    assert look(reserving)["concurrency"].state is State.OK
    account.concurrency = 103
    verdict = look(reserving)["concurrency"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.LIMIT)
    account.remote.setup(reserving)  # what is reserved already is no longer asked for
    assert look(reserving)["concurrency"].state is State.OK


@pytest.mark.parametrize(
    ("warehouse", "words"),
    [
        ({"node_type": "rg.large"}, ""),
        ({"node_type": "rg.huge"}, "offers no rg.huge"),
        ({"node_type": "ra3.4xlarge", "nodes": 1}, "at least two nodes"),
        ({"node_type": "ra3.4xlarge", "nodes": 2}, ""),
    ],
)
def test_the_node_type_must_be_one_that_is_offered(look: Look, warehouse: dict[str, Any], words: str) -> None:
    verdict = look(settings_of(warehouse=warehouse))["warehouse"]
    assert verdict.state is (State.FAILED if words else State.OK)
    assert words in verdict.found


def test_a_serverless_warehouse_wants_three_zones(account: Account, look: Look) -> None:
    serverless = {"kind": "serverless"}
    assert look(settings_of(warehouse=serverless))["warehouse"].state is State.OK
    subnet = account.remote.target.client("ec2").describe_subnets()["Subnets"][0]
    network = {"vpc_id": subnet["VpcId"], "subnet_ids": [subnet["SubnetId"]]}
    verdict = look(settings_of(warehouse=serverless, network=network))["warehouse"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)


def test_an_account_without_a_default_vpc_has_no_place(account: Account, look: Look) -> None:
    account.answer("ec2.DescribeVpcs", lambda _: {"Vpcs": []})
    verdict = look()["vpc"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)


def test_private_names_need_both_attributes_of_the_vpc(account: Account, look: Look) -> None:
    account.dns["enableDnsHostnames"] = False
    verdict = look()["secrets"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)
    assert "enableDnsHostnames" in verdict.found + verdict.fix


def test_a_vpc_without_a_way_to_secrets_manager_fails_where_none_shall_be_made(look: Look) -> None:
    verdict = look(settings_of(network={"secrets_endpoint": "existing"}))["secrets"]
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)


def test_whose_endpoint_serves_is_told(account: Account, look: Look) -> None:
    assert "setup makes it" in look()["secrets"].found
    account.remote.setup(settings_of())
    assert "the pipeline's own" in look()["secrets"].found


def test_subnets_in_one_zone_are_a_warning(account: Account, look: Look) -> None:
    subnet = account.remote.target.client("ec2").describe_subnets()["Subnets"][0]
    only = settings_of(network={"vpc_id": subnet["VpcId"], "subnet_ids": [subnet["SubnetId"]]})
    assert look(only)["vpc"].state is State.WARNING


def test_a_connector_that_is_not_there_or_no_jar_fails(look: Look, tmp_path: Path) -> None:
    assert look(jar=None)["connector"].exit_code is ExitCode.USAGE
    assert look(jar=tmp_path / "missing.jar")["connector"].state is State.FAILED
    (tmp_path / "text.jar").write_text("no zip")
    assert "not a jar" in look(jar=tmp_path / "text.jar")["connector"].found


def test_a_connector_that_may_be_downloaded_is_left_to_setup(tmp_path: Path) -> None:
    settings = settings_of(analytics={"connector_sha256": "0" * 64}).analytics
    assert "setup downloads" in check_connector(settings, None, tmp_path).found
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"{'0' * 64}.jar").write_text("x")
    assert "in the cache" in check_connector(settings, None, tmp_path).found
