"""Renders the alarms."""

from __future__ import annotations

from txnpipe.export.pieces import Context, Piece
from txnpipe.resources.alarms import Alarms, AlarmsState, request


def alarms(resource: Alarms, state: AlarmsState, context: Context) -> list[Piece]:
    """AWS::CloudWatch::Alarm for each; the properties are the parameters of PutMetricAlarm."""
    return [
        Piece(
            "AWS::CloudWatch::Alarm",
            {**request(name, fields), "Tags": context.tag_list},
            suffix=_words(name.removeprefix(resource.name)),
        )
        for name, fields in state.alarms.items()
    ]


def _words(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
