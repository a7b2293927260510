"""The detection rules: what sql/rules and sql/verify say, with the configuration's parameters filled in.

A rule is one Flink SELECT (sql/rules/NAME.sql) and one portable SELECT (sql/verify/NAME.sql) that finds the
same transactions in the warehouse. The comment at the head of the first describes it:

    -- rule: velocity
    -- title: Many transactions of one account within a short time
    -- parameter events integer 5 from 2 to 1000: transactions that make a burst

Both files name parameters as {events}; only numbers are ever put there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from txnpipe.assets import sql_directory
from txnpipe.config import Settings
from txnpipe.errors import TxnpipeError, usage_error

_PARAMETER = re.compile(
    r"-- parameter (?P<name>[a-z_]+) (?P<kind>integer|number) (?P<default>\S+)"
    r" from (?P<least>\S+) to (?P<most>\S+): (?P<meaning>.+)"
)
_HEAD = re.compile(r"-- (?P<key>rule|title): (?P<value>.+)")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Parameter:
    """One number of a rule. `whole`: integers only. `least` and `most` are allowed themselves."""

    name: str
    whole: bool
    default: Decimal
    least: Decimal
    most: Decimal
    meaning: str


@dataclass(frozen=True)
class Definition:
    """A rule as the files have it, before parameters are filled in."""

    name: str
    title: str
    parameters: Mapping[str, Parameter]
    statement: str
    verify_sql: str


@dataclass(frozen=True)
class Rule:
    """A rule with its numbers filled in.

    statement: a Flink SELECT over the view `transactions` with the columns transaction_id, account_id,
    amount, event_time, run_id, detail.
    verify_sql: a SELECT over the warehouse's `transactions` that returns (alert_id, transaction_id) of every
    alert that a run must have raised. Valid on Redshift and PostgreSQL. Its one bind parameter is `:run_id`;
    the rule's own numbers are in the text, since window frames and intervals take no bind parameters.
    ordered: the rule looks at an account's transactions in order of arrival. Its alerts equal those of
    `verify_sql` when the analytics app's parallelism is 1 and an account's records share a partition key; at
    a higher parallelism neighbours of one account may change places between two tasks.
    """

    name: str
    title: str
    parameters: Mapping[str, Decimal]
    statement: str
    verify_sql: str
    ordered: bool


def known_rules(rules: Path | None = None, verify: Path | None = None) -> dict[str, Definition]:
    """Every rule that is shipped, by name."""
    rules = rules or sql_directory("rules")
    verify = verify or sql_directory("verify")
    return {
        path.stem: _definition(path.read_text("utf-8"), (verify / path.name).read_text("utf-8"))
        for path in sorted(rules.glob("*.sql"))
    }


def rules_in_order(settings: Settings) -> bool:
    """Whether the analytics app keeps the order that rules which look back depend on (see Rule.ordered)."""
    analytics = settings.analytics
    return analytics.parallelism == 1 and not (analytics.auto_scaling and settings.target == "aws")


def inexact_rules(settings: Settings) -> list[str]:
    """Names of the enabled rules that depend on an order which the analytics app does not keep."""
    if rules_in_order(settings):
        return []
    return [rule.name for rule in enabled_rules(settings) if rule.ordered]


def enabled_rules(settings: Settings) -> list[Rule]:
    """The rules that the configuration leaves enabled, in order of name.

    Raises TxnpipeError (USAGE) for a rule or parameter that does not exist (names the nearest one) and for a
    value that the rule does not take; also for rules that are disabled, so that a typo never hides.
    """
    definitions = known_rules()
    for name in settings.analytics.rules:
        if name not in definitions:
            raise _unknown(f"There is no rule {name}", f"analytics.rules.{name}", name, definitions)
    rules = []
    for name, definition in definitions.items():
        chosen = settings.analytics.rules.get(name)
        parameters = filled_in(definition, chosen.parameters if chosen else {})
        if chosen is None or chosen.enabled:
            rules.append(render(definition, parameters))
    return rules


def filled_in(definition: Definition, chosen: Mapping[str, int | float]) -> dict[str, Decimal]:
    """The rule's parameters: defaults, overridden by the chosen ones, all checked."""
    values = {name: parameter.default for name, parameter in definition.parameters.items()}
    for name, value in chosen.items():
        where = f"analytics.rules.{definition.name}.parameters.{name}"
        if name not in values:
            raise _unknown(
                f"The rule {definition.name} has no parameter {name}", where, name, definition.parameters
            )
        parameter = definition.parameters[name]
        # repr is the shortest text that means this float: 5.5 stays 5.5.
        number = Decimal(repr(value)) if not isinstance(value, bool) else Decimal("NaN")
        if not number.is_finite() or not parameter.least <= number <= parameter.most:
            raise usage_error(
                f"{where} is {value}; it must lie between {parameter.least} and {parameter.most}.",
                f"Choose a number in that range; the default is {parameter.default}.",
            )
        if parameter.whole and number != number.to_integral_value():
            raise usage_error(
                f"{where} is {value}; it must be a whole number.",
                f"Write it without decimals; the default is {parameter.default}.",
            )
        values[name] = number
    return values


def render(definition: Definition, parameters: Mapping[str, Decimal]) -> Rule:
    """Puts the numbers into both statements."""
    return Rule(
        name=definition.name,
        title=definition.title,
        parameters=dict(parameters),
        statement=_with_numbers(definition.statement, parameters),
        verify_sql=_with_numbers(definition.verify_sql, parameters),
        ordered="PARTITION BY" in definition.statement,
    )


def _with_numbers(sql: str, parameters: Mapping[str, Decimal]) -> str:
    return _PLACEHOLDER.sub(lambda match: sql_number(parameters[match[1]]), sql)


def sql_number(number: Decimal) -> str:
    """A number as every SQL dialect reads it: no exponent, no trailing zeros."""
    return format(number.normalize(), "f")


def _definition(rule: str, verify: str) -> Definition:
    head: dict[str, str] = {}
    parameters: dict[str, Parameter] = {}
    for line in rule.splitlines():
        if match := _HEAD.fullmatch(line):
            head[match["key"]] = match["value"]
        elif match := _PARAMETER.fullmatch(line):
            parameters[match["name"]] = Parameter(
                match["name"],
                match["kind"] == "integer",
                Decimal(match["default"]),
                Decimal(match["least"]),
                Decimal(match["most"]),
                match["meaning"],
            )
    return Definition(
        head["rule"], head["title"], parameters, without_comments(rule), without_comments(verify)
    )


def without_comments(sql: str) -> str:
    """The statement without its comment lines."""
    return "\n".join(line for line in sql.splitlines() if not line.startswith("--")).strip()


def _unknown(cause: str, where: str, name: str, known: Mapping[str, object]) -> TxnpipeError:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    known_names = ", ".join(known) or "none"
    return usage_error(
        f"{cause} ({where}).",
        f"Did you mean {nearest[0]}? Known are: {known_names}." if nearest else f"Known are: {known_names}.",
    )
