"""Builds the code of the analytics app: a zip that Managed Flink runs, the same bytes for the same input.

main.py                          txnpipe/analytics/main.py as it is
statements.sql                   tables, views and rules with this pipeline's names and numbers filled in
lib/pyflink-dependencies.jar     the Kinesis connector
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from txnpipe import transactions
from txnpipe.config import Settings
from txnpipe.errors import usage_error
from txnpipe.names import Names
from txnpipe.packaging.artifact import Artifact, zip_bytes
from txnpipe.packaging.rules import Rule, enabled_rules, without_comments

ANALYTICS = Path(__file__).parent.parent / "analytics"
STATEMENTS = "statements.sql"
CONNECTOR = "lib/pyflink-dependencies.jar"
_ONCE = re.compile(r"\{once:(.+)\}")
"""What is to be computed once: the rest of a line up to its last brace."""
_PLACEHOLDER = re.compile(r"\{(?:(string|text|identifier):)?([a-z_]+)\}")


def build_analytics(settings: Settings, names: Names, target_region: str, connector: bytes) -> Artifact:
    """The analytics app's zip. `connector` is the jar (see txnpipe/packaging/connector.py).

    Raises TxnpipeError (USAGE) for rules that cannot be rendered.
    """
    content = zip_bytes(
        {
            "main.py": (ANALYTICS / "main.py").read_bytes(),
            STATEMENTS: render_statements(settings, names, target_region).encode(),
            CONNECTOR: connector,
        }
    )
    return Artifact.of("analytics.zip", content)


def render_statements(settings: Settings, names: Names, region: str) -> str:
    """Everything the app executes, in order. Each statement ends with a semicolon at the end of a line."""
    values = {
        "stream_arn": names.stream_arn,
        "alert_stream_arn": names.alert_stream_arn,
        "region": region,
        "state_ttl_days": str(settings.loader.dedupe_window_days),
    }
    tables = _rendered((ANALYTICS / "tables.sql").read_text("utf-8"), values)
    return "\n\n".join([tables, render_view(), render_insert(enabled_rules(settings))]) + "\n"


def render_view() -> str:
    """The event contract as views, with the limits of txnpipe/transactions.py."""
    values = {
        "max_event_bytes": str(transactions.MAX_EVENT_BYTES),
        "max_digits": str(transactions.MAX_DIGITS),
        "max_depth": str(transactions.MAX_DEPTH),
        "too_deep_path": "$" + "[*]" * transactions.MAX_DEPTH,
    }
    return _rendered((ANALYTICS / "transactions.sql").read_text("utf-8"), values)


def render_insert(rules: list[Rule]) -> str:
    """One INSERT for all rules, so that they share one reading of the stream and one writer of alerts."""
    if not rules:
        raise usage_error(
            "Every rule is disabled, so the analytics app would have nothing to do.",
            "Enable at least one rule under analytics.rules.",
        )
    return "INSERT INTO alerts\n" + "\nUNION ALL\n".join(_alerts(rule) for rule in rules) + ";"


def _alerts(rule: Rule) -> str:
    return (
        f"SELECT\n"
        f"    '{rule.name}:' || transaction_id, '{rule.name}', transaction_id, account_id, amount,\n"
        f"    REPLACE(CAST(event_time AS STRING), ' ', 'T') || 'Z',\n"
        f"    REPLACE(CAST(CURRENT_TIMESTAMP AS STRING), ' ', 'T') || 'Z',\n"
        f"    run_id, detail\n"
        f"FROM (\n{rule.statement}\n)"
    )


def _string(column: str) -> str:
    """The text in ["text"]: only escapes need a JSON parser."""
    json = f"{column}_json"
    return (
        f"CASE WHEN POSITION('\\' IN {json}) > 0 THEN JSON_VALUE({json}, '$[0]')"
        f" ELSE SUBSTRING({json} FROM 3 FOR CHAR_LENGTH({json}) - 4) END"
    )


def _text(column: str) -> str:
    """A string is absent, or short enough (HEX writes two digits a byte) and without control characters."""
    limit = _LIMITS[column]
    return (
        f"({column} IS NULL OR CHAR_LENGTH(HEX({column})) <= {2 * limit}"
        f" AND NOT REGEXP({column}, '{transactions.FORBIDDEN_CHARACTERS}'))"
    )


def _identifier(column: str) -> str:
    return f"{_text(column)} AND ({column} IS NULL OR {column} NOT LIKE ' %' AND {column} NOT LIKE '% ')"


_LIMITS = {
    "transaction_id": transactions.TRANSACTION_ID_BYTES,
    "transaction_type": transactions.TRANSACTION_TYPE_BYTES,
    "account_id": transactions.ACCOUNT_ID_BYTES,
    "merchant": transactions.MERCHANT_BYTES,
    "country": transactions.COUNTRY_BYTES,
    "currency": transactions.CURRENCY_BYTES,
    "run_id": transactions.RUN_ID_BYTES,
}
_MACROS: Mapping[str, Callable[[str], str]] = {"string": _string, "text": _text, "identifier": _identifier}


def _rendered(template: str, values: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        macro, name = match.groups()
        return _MACROS[macro](name) if macro else values[name]

    return _ONCE.sub(
        r"SUBSTRING(\1 FROM 1 + RAND_INTEGER(1))", _PLACEHOLDER.sub(replacement, without_comments(template))
    )
