"""Kinesis engine, Lambda runtime and event source mappings, real, without a daemon around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.event_sources.machine import Machine


@pytest.fixture
def make_machine(tmp_path: Path) -> Iterator[Callable[[], Machine]]:
    """Starts the parts, always in the same home."""
    made: list[Machine] = []

    def make() -> Machine:
        made.append(Machine(tmp_path / "home"))
        return made[-1]

    yield make
    for machine in made:
        machine.stop()


@pytest.fixture
def machine(make_machine: Callable[[], Machine]) -> Machine:
    return make_machine()
