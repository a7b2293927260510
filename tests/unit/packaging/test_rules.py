"""Rules: found in the files, checked against the configuration, rendered into both statements."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.config import Settings
from txnpipe.config.settings import AnalyticsSettings, RuleSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.packaging.rules import enabled_rules, filled_in, inexact_rules, known_rules, render, sql_number
from txnpipe.sqltext import parameter_names


def settings(**rules: RuleSettings) -> Settings:
    return Settings(analytics=AnalyticsSettings(rules=rules))


def test_all_shipped_rules_run_unless_disabled() -> None:
    assert [rule.name for rule in enabled_rules(Settings())] == ["amount_spike", "large_amount", "velocity"]
    quiet = settings(velocity=RuleSettings(enabled=False))
    assert [rule.name for rule in enabled_rules(quiet)] == ["amount_spike", "large_amount"]


def test_large_amount_is_the_tutorials_rule() -> None:
    rule = next(rule for rule in enabled_rules(Settings()) if rule.name == "large_amount")
    assert "WHERE amount > 10000" in rule.statement
    assert "amount > 10000" in rule.verify_sql


@pytest.mark.parametrize("definition", known_rules().values(), ids=lambda definition: definition.name)
def test_every_rule_is_described_and_fully_rendered(definition) -> None:  # type: ignore[no-untyped-def]
    rule = render(definition, filled_in(definition, {}))
    assert definition.title
    assert definition.parameters
    for sql in (rule.statement, rule.verify_sql):
        assert "{" not in sql
        assert "}" not in sql
        assert ";" not in sql
        assert "--" not in sql
    assert parameter_names(rule.verify_sql) == ["run_id"]
    # What every SELECT of a rule must hand on.
    select = re.split(r"\bFROM\b", rule.statement)[0]
    for column in ("transaction_id", "account_id", "amount", "event_time", "run_id", "detail"):
        assert column in select


def test_parameters_are_overridden_one_by_one() -> None:
    chosen = settings(amount_spike=RuleSettings(parameters={"factor": 2.5}))
    rule = next(rule for rule in enabled_rules(chosen) if rule.name == "amount_spike")
    assert rule.parameters["factor"] == Decimal("2.5")
    assert rule.parameters["history"] == 20
    assert "> 2.5 * sum_before" in rule.statement
    assert "> 2.5 * sum_before" in rule.verify_sql


def test_only_rules_that_look_back_depend_on_order() -> None:
    assert {rule.name: rule.ordered for rule in enabled_rules(Settings())} == {
        "amount_spike": True,
        "large_amount": False,
        "velocity": True,
    }


@pytest.mark.parametrize(
    ("rules", "cause", "fix"),
    [
        ({"large_amuont": RuleSettings()}, "no rule large_amuont", "Did you mean large_amount?"),
        (
            {"xyz": RuleSettings(enabled=False)},
            "no rule xyz",
            "Known are: amount_spike, large_amount, velocity.",
        ),
        (
            {"velocity": RuleSettings(parameters={"second": 5})},
            "velocity has no parameter second",
            "Did you mean seconds?",
        ),
        ({"velocity": RuleSettings(parameters={"seconds": 0})}, "between 1 and 86400", "default is 60"),
        ({"velocity": RuleSettings(parameters={"events": 2.5})}, "whole number", "default is 5"),
        (
            {"velocity": RuleSettings(enabled=False, parameters={"events": 1})},
            "between 2 and 1000",
            "default",
        ),
        ({"large_amount": RuleSettings(parameters={"threshold": float("nan")})}, "between", "default"),
        ({"large_amount": RuleSettings(parameters={"threshold": float("inf")})}, "between", "default"),
        ({"large_amount": RuleSettings(parameters={"threshold": True})}, "between", "default"),
    ],
)
def test_what_cannot_be_rendered_is_a_usage_error(
    rules: dict[str, RuleSettings], cause: str, fix: str
) -> None:
    with pytest.raises(TxnpipeError) as caught:
        enabled_rules(settings(**rules))
    assert caught.value.exit_code == ExitCode.USAGE
    assert cause in caught.value.cause
    assert fix in caught.value.fix


@given(st.decimals(min_value=0, max_value=Decimal("99999999.99"), places=2))
def test_numbers_are_plain_digits_in_sql(number: Decimal) -> None:
    text = sql_number(number)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert Decimal(text) == number


@given(st.text(max_size=20))
def test_no_name_but_a_known_one_gets_into_sql(name: str) -> None:
    definition = known_rules()["large_amount"]
    if name == "threshold":
        return
    with pytest.raises(TxnpipeError):
        filled_in(definition, {name: 1})


def test_a_rule_needs_its_verification(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "verify").mkdir()
    (tmp_path / "rules" / "lonely.sql").write_text("-- rule: lonely\n-- title: x\nSELECT 1\n")
    with pytest.raises(FileNotFoundError):
        known_rules(tmp_path / "rules", tmp_path / "verify")


def test_rules_that_look_back_are_told_where_the_app_keeps_no_order() -> None:
    looking_back = ["amount_spike", "velocity"]
    assert inexact_rules(Settings()) == []
    assert inexact_rules(Settings(analytics=AnalyticsSettings(parallelism=2))) == looking_back
    scaling = AnalyticsSettings(auto_scaling=True)
    assert inexact_rules(Settings(target="aws", analytics=scaling)) == looking_back
    assert inexact_rules(Settings(analytics=scaling)) == [], "nothing scales on this machine"
    off = {name: RuleSettings(enabled=False) for name in looking_back}
    assert inexact_rules(Settings(analytics=AnalyticsSettings(parallelism=2, rules=off))) == []
