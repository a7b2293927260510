"""What is done to a pipeline, from which state, and how it looks when it has been done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

from tests.unit.deploy.places import ACCOUNT
from tests.unit.deploy.remote import MOTO_SERVICES, Remote, changed_fields, settings_of, tear_down
from tests.unit.deploy.variants import CHANGED, OF_ONE_KIND, VARIANTS, change
from txnpipe.config import Settings
from txnpipe.deploy.teardown import sweep
from txnpipe.errors import ExitCode, TxnpipeError

Restore = Callable[[], None]


@dataclass(frozen=True)
class Scenario:
    """One command on one variant: from `before` (a kept account) by `command`, until `assert_done`."""

    name: str
    before: Restore
    command: Callable[[], object]
    assert_done: Callable[[], None]


def settings_for(variant: str, *changes: Mapping[str, Any]) -> Settings:
    """The settings of a variant, changed."""
    sections: dict[str, Any] = {}
    for given in (VARIANTS[variant], *changes):
        for section, values in given.items():
            sections[section] = {**sections.get(section, {}), **values}
    return settings_of(**sections)


def every_variant(remote: Remote) -> Iterator[tuple[str, tuple[Scenario, ...]]]:
    """Each variant with its scenarios, in the account as it is now."""
    as_it_was = remote.keep()
    for variant in VARIANTS:
        as_it_was()
        yield variant, scenarios(remote, variant)


def scenarios(remote: Remote, variant: str) -> tuple[Scenario, ...]:
    """Setup, a change of everything that can be changed, and teardown of a variant, in an empty account."""
    settings = settings_for(variant)
    changed = settings_for(variant, *map(change, changes_of(variant)))
    empty = remote.keep()
    remote.setup(settings)
    made, things = remote.keep(), census(remote)
    remote.setup(changed)
    changed_things = census(remote)

    def is_set_up(wanted: Settings, expected: dict[str, int]) -> None:
        assert changed_fields(remote.plan(wanted)) == {}
        assert census(remote) == expected

    def remove() -> None:
        try:
            tear_down(remote, settings)
        except TxnpipeError as error:
            if error.exit_code is not ExitCode.NOT_FOUND:
                raise

    return (
        Scenario("setup", empty, lambda: remote.setup(settings), lambda: is_set_up(settings, things)),
        Scenario("change", made, lambda: remote.setup(changed), lambda: is_set_up(changed, changed_things)),
        Scenario("teardown", made, remove, lambda: assert_nothing_is_left(remote, settings)),
    )


def changes_of(variant: str) -> list[str]:
    """The settings to change: all of them for the first variant, those of its own sections for another."""
    kind = settings_for(variant).warehouse.kind
    fitting = [setting for setting in CHANGED if OF_ONE_KIND.get(setting, kind) == kind]
    if variant == next(iter(VARIANTS)):
        return fitting
    return [setting for setting in fitting if setting.partition(".")[0] in VARIANTS[variant]]


def assert_nothing_is_left(remote: Remote, settings: Settings) -> None:
    """No resource of the graph, and nothing with a tag of the pipeline."""
    graph = remote.graph(settings)
    assert sweep(graph, clock=remote.clock.time).empty
    tagging = remote.target.client("resourcegroupstaggingapi")
    found = tagging.get_resources(TagFilters=[{"Key": "txnpipe:pipeline"}])["ResourceTagMappingList"]
    assert [item["ResourceARN"] for item in found] == []
    assert remote.own.census() == dict.fromkeys(remote.own.census(), 0)


def census(remote: Remote) -> dict[str, int]:
    """How many things of each kind the account holds, whatever they are."""
    counted: dict[str, int] = {}
    for service in MOTO_SERVICES:
        for backend in dict(get_backend(service)[ACCOUNT]).values():
            for name, value in vars(backend).items():
                if isinstance(value, dict | list | set) and name not in _NO_THINGS:
                    key = f"{service}.{name}"
                    counted[key] = counted.get(key, 0) + _size(value)
    return {key: count for key, count in (counted | remote.own.census()).items() if count}


_NO_THINGS = {"sms_messages", "sent_notifications"}


def _size(value: Any, depth: int = 2) -> int:
    """How many leaves a container of containers has."""
    if depth and isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
        return sum(_size(item, depth - 1) for item in value.values())
    return len(value) if isinstance(value, dict | list | set) else 1
