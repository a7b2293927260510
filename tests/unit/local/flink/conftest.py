from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.local.flink.double import LATENCIES, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Without latencies, as the local cloud is."""
    return World(tmp_path)


@pytest.fixture
def slow_world(tmp_path: Path) -> World:
    """With the service's latencies."""
    return World(tmp_path, LATENCIES)
