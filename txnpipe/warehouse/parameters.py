"""Puts values into SQL for the two ways to the warehouse.

psycopg2 quotes every value itself. The Data API takes strings only, and neither NULL nor an empty one, so
everything that is not a string with content is written into the text as a literal, and the rest is bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from txnpipe.sqltext import parameter_names, replace_parameters


def for_psycopg2(sql: str, parameters: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """The statement in psycopg2's `%(name)s` form, and its values.

    Raises ValueError for a parameter that has no value.
    """
    sql, values = expand(sql, parameters)
    return (
        replace_parameters(sql, lambda name: f"%({name})s", lambda text: text.replace("%", "%%")),
        values,
    )


def for_data_api(
    sql: str, parameters: Mapping[str, object], prefix: str = ""
) -> tuple[str, list[dict[str, str]]]:
    """The statement with `:name` left for strings only, and the Data API's list of parameters.

    prefix: put before every name, so that the statements of one batch, which share their parameters, do not
    share names. Raises ValueError for a missing value, TypeError for one of an unknown type.
    """
    sql, values = expand(sql, parameters)
    bound: dict[str, str] = {}

    def place(name: str) -> str:
        value = values[name]
        if isinstance(value, str) and value:
            bound[prefix + name] = value
            return f":{prefix}{name}"
        return literal(value)

    text = replace_parameters(sql, place)
    return text, [{"name": name, "value": value} for name, value in bound.items()]


def expand(sql: str, parameters: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Replaces every tuple parameter by a list of single ones: `:ids` becomes `(:ids__0, :ids__1)`."""
    values: dict[str, object] = {}

    def place(name: str) -> str:
        if name not in parameters:
            raise ValueError(f"the statement's parameter :{name} has no value")
        value = parameters[name]
        if not isinstance(value, tuple):
            values[name] = value
            return f":{name}"
        if not value:
            raise ValueError(f"the tuple for :{name} is empty")
        parts = [f"{name}__{index}" for index in range(len(value))]
        values.update(zip(parts, value, strict=True))
        return "(" + ", ".join(f":{part}" for part in parts) + ")"

    if not parameter_names(sql):
        return sql, values
    return replace_parameters(sql, place), values


def literal(value: object) -> str:
    """A value other than a string as SQL that Redshift and PostgreSQL both read; '' for the empty string."""
    if value is None:
        return "NULL"
    if value == "" and isinstance(value, str):
        return "''"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    if isinstance(value, datetime) and value.tzinfo is None:
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"DATE '{value.isoformat()}'"
    raise TypeError(f"{type(value).__name__} {value!r} cannot be a parameter of a statement")
